"""Training files as they are written during the pass: blocks that mean nothing until they are committed.

The target is the caller's (`Staging`): block blobs in the app, a dictionary in tests. Rows of a split come
out in the order of their seeded hash: they are gathered in buckets by hash prefix, and each full bucket is
sorted and staged as one block; blocks are put in order at commit. So within a bucket larger than its
buffer, order is by block. What it promises when repeated: the same rows in the same order give the same
block ids with the same bytes.
"""

from __future__ import annotations

from typing import Protocol

import xxhash

from shared.chatdata.splits import Split

_ROW_OVERHEAD = 160  # what Python adds to a small row held in a list


class Staging(Protocol):
    """Where blocks go. Both calls may be repeated; `stage` overwrites a block of the same id."""

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        """Keep a block, uncommitted."""
        ...

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        """Make the split's file of these blocks, in this order (none: an empty file)."""
        ...


class BlockWriter:
    """Writes one split's rows through a bounded buffer."""

    def __init__(self, split: Split, staging: Staging, *, buffer: int, buckets: int, part: int = 0) -> None:
        self._split, self._staging, self._part = split, staging, part
        self._budget = buffer
        self._buckets: list[list[tuple[float, bytes]]] = [[] for _ in range(buckets)]
        self._sizes = [0] * buckets
        self._held = 0
        self._staged: list[list[str]] = [[] for _ in range(buckets)]
        self.rows = 0

    def add(self, place: float, data: bytes) -> None:
        """Take one row: a line of JSON with its line feed."""
        bucket = int(place * len(self._buckets))
        size = len(data) + _ROW_OVERHEAD
        self._buckets[bucket].append((place, data))
        self._sizes[bucket] += size
        self._held += size
        self.rows += 1
        if self._held > self._budget:
            self._flush([self._sizes.index(max(self._sizes))])

    def _flush(self, buckets: list[int]) -> None:
        """Stage neighbouring buckets as one block, which belongs to the first of them."""
        rows = sorted(row for bucket in buckets for row in self._buckets[bucket])
        if rows:
            home = self._staged[buckets[0]]
            content = b"".join([data for _, data in rows])
            # All ids of a blob must have one length. With the content in its id, a block is never mistaken for another.
            block = f"{buckets[0]:02d}-{self._part:05d}-{len(home):05d}-{xxhash.xxh3_64_hexdigest(content)}"
            home.append(block)
            self._staging.stage(self._split, block, content)
        for bucket in buckets:
            self._held -= self._sizes[bucket]
            self._buckets[bucket], self._sizes[bucket] = [], 0

    def finish(self) -> tuple[str, ...]:
        """Stage the rest and return the blocks in their order."""
        return tuple(block for blocks in self.leave() for block in blocks)

    def leave(self) -> list[list[str]]:
        """Stage the rest, small neighbours together, and return the blocks by bucket."""
        group: list[int] = []
        size = 0
        most = self._budget // 4
        for bucket, staged in enumerate(self._staged):
            if group and (staged or size + self._sizes[bucket] > most):
                self._flush(group)
                group, size = [], 0
            group.append(bucket)
            size += self._sizes[bucket]
        self._flush(group)
        return self._staged
