"""Which rows were seen: exact duplicates and the digest of a snapshot's content, at about 40 bytes a row.

A dict would cost over 100 bytes a row. Digests lie end to end in one bytearray; an open-addressing table of
ordinals finds them. Digests are 128 bits of XXH3: meant to find equal rows, not to withstand forgery.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_WIDTH = 16


class Seen(NamedTuple):
    """Where a row was first seen: the file (by its number) and the row in it."""

    file: int
    row: int


class RowIndex:
    """All distinct rows, in the order they came."""

    def __init__(self) -> None:
        self._digests = bytearray()
        self._rows = array("Q")
        self._slots = array("I", bytes(4 * 1024))
        self._file_starts: list[int] = []

    def __len__(self) -> int:
        return len(self._rows)

    def start_file(self) -> None:
        """Rows added from now on belong to the next file."""
        self._file_starts.append(len(self._rows))

    def add(self, digest: bytes, row: int) -> Seen | None:
        """Remember a row; if it was seen before, remember nothing and say where."""
        slots, digests = self._slots, self._digests
        mask = len(slots) - 1
        slot = int.from_bytes(digest[:8], "little") & mask
        while ordinal := slots[slot]:
            if digests[(ordinal - 1) * _WIDTH : ordinal * _WIDTH] == digest:
                return Seen(bisect_right(self._file_starts, ordinal - 1) - 1, self._rows[ordinal - 1])
            slot = (slot + 1) & mask
        digests += digest
        self._rows.append(row)
        slots[slot] = len(self._rows)
        if 2 * len(self._rows) > len(slots):
            self._grow()
        return None

    def _grow(self) -> None:
        slots = array("I", bytes(8 * len(self._slots)))
        mask, digests = len(slots) - 1, self._digests
        for ordinal in range(len(self._rows)):
            start = ordinal * _WIDTH
            slot = int.from_bytes(digests[start : start + 8], "little") & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = ordinal + 1
        self._slots = slots

    def sorted_digests(self, first: int, end: int) -> Iterator[bytes]:
        """Digests of the files from `first` up to `end`, ascending; a sixteenth in memory at a time."""
        starts = [*self._file_starts, len(self._rows)]
        part = bytes(memoryview(self._digests)[starts[first] * _WIDTH : starts[end] * _WIDTH])
        leading = part[::_WIDTH]
        for nibble in range(16):
            chosen = [at for at, byte in enumerate(leading) if byte >> 4 == nibble]
            yield from sorted(part[at * _WIDTH : (at + 1) * _WIDTH] for at in chosen)


def content_digest(parts: Iterable[tuple[str, Iterable[bytes]]]) -> str:
    """SHA-256 over the sorted row digests of each split as dropped: order and file format do not matter."""
    whole = hashlib.sha256()
    for split, digests in parts:
        rows = hashlib.sha256()
        for digest in digests:
            rows.update(digest)
        whole.update(split.encode() + b"\0" + rows.digest())
    return whole.hexdigest()
