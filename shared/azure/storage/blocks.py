"""A blob that is written from front to back as blocks, so that no more than one block of it is in memory.

Called by what writes files of any size: imports, quarantine, and uploads on the page. Nothing is seen of a blob before
`commit`. Who is cut off writes the same again: a block of the same number takes the place of the one before.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

BLOCK = 4 * 2**20


class BlockStore(Protocol):
    """What is needed of the storage account: `Storage` has it."""

    def stage_block(self, container: str, name: str, block: str, data: bytes) -> None: ...
    def commit_blocks(self, container: str, name: str, blocks: Iterable[str]) -> None: ...


class BlobWriter:
    """One blob on its way into storage. `size`: bytes so far. Raises what storage raises."""

    def __init__(self, storage: BlockStore, container: str, name: str) -> None:
        self._storage, self._container, self._name = storage, container, name
        self._blocks: list[str] = []
        self._waiting = bytearray()
        self.size = 0

    @property
    def sends_soon(self) -> bool:
        """Whether the next bytes are likely to send a block."""
        return len(self._waiting) >= BLOCK // 2

    def write(self, data: bytes) -> None:
        """Some more bytes. Full blocks are sent."""
        self._waiting += data
        self.size += len(data)
        while len(self._waiting) >= BLOCK:
            with memoryview(self._waiting) as waiting, waiting[:BLOCK] as full:  # a slice would be one more copy
                block = bytes(full)
            self._send(block)
            del self._waiting[:BLOCK]

    def commit(self) -> None:
        """Makes the blob; none where nothing was written."""
        if self._waiting:
            self._send(bytes(self._waiting))
            self._waiting.clear()
        if self._blocks:
            self._storage.commit_blocks(self._container, self._name, self._blocks)

    def _send(self, data: bytes) -> None:
        # The ids of all blocks of a blob have one length; Azure takes 50,000 blocks.
        block = base64.b64encode(b"%06d" % len(self._blocks)).decode()
        self._storage.stage_block(self._container, self._name, block, data)
        self._blocks.append(block)
