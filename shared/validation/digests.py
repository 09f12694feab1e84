"""Equal rows, found by sorting: 128-bit hashes of all good rows with their places, 28 bytes a row.

Hashes are XXH3: meant to find equal rows, not to withstand forgery. A chunk keeps its own, sorted, in one piece of
memory; the fold walks through all chunks in step, a slice of the hash space at a time, so that it never holds more than
a few thousand rows as Python objects, however many there are.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

WIDTH = 16
ENTRY = 28
_NO_OFFSET = (1 << 48) - 1
_SLICE = 1 << 15  # rows


class DigestEntries:
    """Hashes with the row's number and its byte offset (six bytes each), as they come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._sorted: list[bytes] = []

    def extend(self, digests: Iterable[bytes], rows: Iterable[int], offsets: Iterable[int | None]) -> None:
        """Remember rows."""
        self._pieces += [
            digest + (row << 48 | (_NO_OFFSET if offset is None else offset)).to_bytes(12)
            for digest, row, offset in zip(digests, rows, offsets, strict=True)
        ]
        if len(self._pieces) >= _SLICE:
            self._close()

    def _close(self) -> None:
        self._pieces.sort()
        self._sorted.append(b"".join(self._pieces))
        self._pieces = []

    def packed(self) -> bytes:
        """All of them, sorted, end to end."""
        self._close()
        if len(self._sorted) == 1:
            return self._sorted[0]
        return b"".join(b"".join(sorted(entry for _, entry in rows)) for rows in _slices(self._sorted))


class RowSet:
    """Numbers of rows of one chunk, a bit each."""

    def __init__(self, highest: int) -> None:
        self._bits = bytearray(highest // 8 + 1)

    @classmethod
    def unpacked(cls, bits: bytes) -> RowSet:
        """The set that was `packed`."""
        rows = cls(0)
        rows._bits = bytearray(bits)
        return rows

    def packed(self) -> bytes:
        """The set as bytes."""
        return bytes(self._bits)

    def add(self, row: int) -> None:
        """Take a row."""
        self._bits[row >> 3] |= 1 << (row & 7)

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and bool(self._bits[row >> 3] & 1 << (row & 7))


class DigestSet:
    """Hashes seen so far, at about 28 bytes each; a set of them would take three times that."""

    def __init__(self) -> None:
        self._digests = bytearray()
        self._slots = array("I", bytes(4 * 1024))

    def add(self, digest: bytes) -> bool:
        """Remember a hash; says whether it is new."""
        slots, digests = self._slots, self._digests
        mask = len(slots) - 1
        slot = int.from_bytes(digest[:8], "little") & mask
        while ordinal := slots[slot]:
            if digests[(ordinal - 1) * WIDTH : ordinal * WIDTH] == digest:
                return False
            slot = (slot + 1) & mask
        digests += digest
        slots[slot] = len(digests) // WIDTH
        if 2 * slots[slot] > len(slots):
            self._grow()
        return True

    def _grow(self) -> None:
        slots = array("I", bytes(8 * len(self._slots)))
        mask, digests = len(slots) - 1, self._digests
        for start in range(0, len(digests), WIDTH):
            slot = int.from_bytes(digests[start : start + 8], "little") & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = start // WIDTH + 1
        self._slots = slots


class RowRef(NamedTuple):
    """Where a row is: its chunk, its number in that, and its byte offset in a JSONL file."""

    chunk: int
    row: int
    offset: int | None


class RepeatedRow(NamedTuple):
    """A row that was seen before: where it is, and where it was first."""

    again: RowRef
    first: RowRef


def find_repeated(packed: Sequence[bytes], but: Mapping[int, RowSet] | None = None) -> Iterator[RepeatedRow]:
    """Every row whose hash is also in an earlier chunk, or earlier in its own; in no particular order.

    Rows in `but` (by chunk) count for nothing.
    """
    if _surely_differ(packed):
        return
    for rows in _slices(packed):
        if len({entry[:WIDTH] for _, entry in rows}) == len(rows):
            continue
        rows.sort(key=lambda row: (row[1][:WIDTH], row[0], row[1]))
        for _, same in groupby(rows, key=lambda row: row[1][:WIDTH]):
            places = [at for at in map(_at, same) if not (but and at.chunk in but and at.row in but[at.chunk])]
            yield from (RepeatedRow(again, places[0]) for again in places[1:])


def distinct(packed: Sequence[bytes], known: Sequence[bytes] = ()) -> Iterator[list[bytes]]:
    """The different hashes in ascending order, many at a time; without those in `known`."""
    if known:
        yield from _unknown(packed, known)
        return
    for rows in _slices(packed):
        yield sorted({entry[:WIDTH] for _, entry in rows})


def unpacked(data: bytes) -> list[bytes]:
    """The hashes of one chunk, without the places."""
    return [data[at : at + WIDTH] for at in range(0, len(data), ENTRY)]


def _surely_differ(packed: Sequence[bytes]) -> bool:
    """Whether already the first halves of all hashes are different: the rule, and quickly told."""
    import numpy

    entry = numpy.dtype([("half", ">u8"), ("rest", f"V{ENTRY - 8}")])
    chunks = [numpy.frombuffer(data, entry)["half"] for data in packed]
    if not chunks:
        return True
    halves = numpy.sort(numpy.concatenate(chunks))
    return not bool((halves[1:] == halves[:-1]).any())


def _unknown(packed: Sequence[bytes], known: Sequence[bytes]) -> Iterator[list[bytes]]:
    count = len(packed)
    for rows in _slices([*packed, *known]):
        others = {entry[:WIDTH] for chunk, entry in rows if chunk >= count}
        yield sorted({entry[:WIDTH] for chunk, entry in rows if chunk < count} - others)


def content_digest(groups: Iterable[tuple[str, Iterable[list[bytes]]]]) -> str:
    """SHA-256 over the sorted row hashes of each split as dropped: order and file format do not matter."""
    whole = hashlib.sha256()
    for split, slices in groups:
        rows = hashlib.sha256()
        for digests in slices:
            rows.update(b"".join(digests))
        whole.update(split.encode() + b"\0" + rows.digest())
    return whole.hexdigest()


def _at(row: tuple[int, bytes]) -> RowRef:
    chunk, entry = row
    offset = int.from_bytes(entry[WIDTH + 6 :])
    return RowRef(chunk, int.from_bytes(entry[WIDTH : WIDTH + 6]), None if offset == _NO_OFFSET else offset)


def _slices(packed: Sequence[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """All entries as (chunk, entry), a slice of the hash space at a time, in ascending order of slices."""
    total = sum(map(len, packed)) // ENTRY
    count = 1 << max(0, (total // _SLICE).bit_length())
    bounds = [(at << 32) // count for at in range(1, count)]
    starts = [0] * len(packed)
    for bound in [*bounds, None]:
        rows: list[tuple[int, bytes]] = []
        for chunk, data in enumerate(packed):
            start, end = starts[chunk], _end(data, starts[chunk], bound)
            rows += [(chunk, data[at : at + ENTRY]) for at in range(start, end, ENTRY)]
            starts[chunk] = end
        yield rows


def _end(data: bytes, start: int, bound: int | None) -> int:
    """Where the entries below a bound (of the first four bytes) end."""
    if bound is None:
        return len(data)

    def leading(at: int) -> bytes:
        return data[start + at * ENTRY : start + at * ENTRY + 4]

    count = (len(data) - start) // ENTRY
    return start + ENTRY * bisect_left(range(count), bound.to_bytes(4), key=leading)
