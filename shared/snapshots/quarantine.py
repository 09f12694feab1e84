"""Bad rows that training goes on without, as JSONL in `quarantine/<snapshot>/`. Called by the validate step.

One line a row: split, file, row, byte offset, rule and message; never what the row says. Lines leave memory in blocks
while the pass runs, so a million bad rows cost no more than one. Nothing is visible before `close`; a repeat writes the
same blocks again.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from shared import naming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.azure.storage import Storage
    from shared.validation import BadRow

BLOCK = 4 * 2**20


class Quarantine:
    """The quarantine file of one snapshot, or the share of it that one of the snapshot's files has, by number."""

    def __init__(self, storage: Storage, snapshot: str, number: int = 0) -> None:
        self._storage, self._name, self._number = storage, naming.quarantine(snapshot), number
        self._lines: list[bytes] = []
        self._size = 0
        self._blocks: list[str] = []
        self.rows = 0

    def add(self, bad: BadRow) -> None:
        """Adds one bad row."""
        line = _line(bad)
        self._lines.append(line)
        self._size += len(line)
        self.rows += 1
        if self._size >= BLOCK:
            self._flush()

    def close(self) -> None:
        """Makes the quarantine file of this share alone; without rows there is none."""
        self.commit(self.stage_rest())

    def stage_rest(self) -> list[str]:
        """Stages the rows that are still in memory; returns all blocks of this share, in their order."""
        self._flush()
        return self._blocks

    def commit(self, blocks: Sequence[str]) -> None:
        """Makes the quarantine file of these blocks, those of all shares; without any there is none."""
        if blocks:
            self._storage.commit_blocks("quarantine", self._name, blocks)

    def _flush(self) -> None:
        if self._lines:
            block = base64.b64encode(f"{self._number:05d}-{len(self._blocks):06d}".encode()).decode()
            self._storage.stage_block("quarantine", self._name, block, b"".join(self._lines))
            self._blocks.append(block)
            self._lines, self._size = [], 0


def _line(bad: BadRow) -> bytes:
    fields = {
        "split": bad.split,
        "file": bad.file,
        "row": bad.row,
        "byte_offset": bad.byte_offset,
        "rule": bad.rule,
        "message": bad.message,
    }
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
