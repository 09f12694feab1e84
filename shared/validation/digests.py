"""Equal rows, found by sorting: 128-bit hashes of all good rows with their places, 28 bytes a row.

Hashes are XXH3: meant to find equal rows, not to withstand forgery. A chunk keeps its own, sorted, in one piece of
memory; the fold walks through all chunks in step, a slice of the hash space at a time, in arrays: a row becomes a
Python object only if it is named in a report.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

WIDTH = 16
ENTRY = 28
_NO_OFFSET = (1 << 48) - 1
_PIECES = 1 << 15  # rows
_SLICE = 1 << 18  # rows
Array = Any  # of numpy, which takes its time to be imported


class DigestEntries:
    """Hashes with the row's number and its byte offset (six bytes each), as they come."""

    def __init__(self) -> None:
        self._digests: list[bytes] = []
        self._rows: list[int] = []
        self._offsets: list[int] = []
        self._entries = bytearray()

    def extend(self, digests: Iterable[bytes], rows: Iterable[int], offsets: Iterable[int | None]) -> None:
        """Remember rows."""
        self._digests += digests
        self._rows += rows
        self._offsets += [_NO_OFFSET if offset is None else offset for offset in offsets]
        if len(self._digests) >= _PIECES:
            self._close()

    def _close(self) -> None:
        import numpy

        fields = [("digest", f"V{WIDTH}"), ("row", ">u8"), ("offset", ">u4")]  # of the row and offset, six bytes each
        entries = numpy.empty(len(self._digests), fields)
        rows, offsets = numpy.array(self._rows, numpy.uint64), numpy.array(self._offsets, numpy.uint64)
        entries["digest"] = numpy.frombuffer(b"".join(self._digests), f"V{WIDTH}")
        entries["row"] = rows << 16 | offsets >> 32
        entries["offset"] = offsets & 0xFFFFFFFF
        self._entries += entries.tobytes()
        self._digests, self._rows, self._offsets = [], [], []

    def packed(self) -> bytes:
        """All of them, sorted, end to end."""
        import numpy

        self._close()
        if self._entries:
            numpy.frombuffer(self._entries, f"S{ENTRY}").sort()
        return bytes(self._entries)


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

    def add_all(self, rows: Array) -> None:
        """Take many rows, given as an array of numbers."""
        import numpy

        bits = (1 << (rows & 7)).astype(numpy.uint8)
        numpy.bitwise_or.at(numpy.frombuffer(self._bits, numpy.uint8), rows >> 3, bits)

    def holds(self, rows: Array) -> Array:
        """Which rows of an array of numbers are in the set."""
        import numpy

        return (numpy.frombuffer(self._bits, numpy.uint8)[rows >> 3] >> (rows & 7) & 1).astype(bool)

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


class Places:
    """Where rows are, in arrays: millions of them cost what is in an entry, and no Python object."""

    def __init__(self, chunks: Array, places: Array) -> None:
        import numpy

        self.chunks = chunks
        self._bytes = numpy.ascontiguousarray(places).view(numpy.uint8).reshape(len(places), ENTRY - WIDTH)

    def __len__(self) -> int:
        return len(self.chunks)

    @property
    def rows(self) -> Array:
        """The number of each row in its chunk."""
        import numpy

        wide = numpy.zeros((len(self), 8), numpy.uint8)
        wide[:, 2:] = self._bytes[:, :6]
        return wide.view(">u8")[:, 0].astype(numpy.int64)

    def __getitem__(self, at: int) -> RowRef:
        one = self._bytes[at].tobytes()
        offset = int.from_bytes(one[6:])
        return RowRef(int(self.chunks[at]), int.from_bytes(one[:6]), None if offset == _NO_OFFSET else offset)

    def where(self, wanted: Array) -> Places:
        """Those of which an array says so."""
        return Places(self.chunks[wanted], self._bytes[wanted])


class RepeatedRows(NamedTuple):
    """Rows that were seen before, many at a time: where each is, and where it was first."""

    again: Places
    first: Places

    def where(self, wanted: Array) -> RepeatedRows:
        """Those of which an array says so."""
        return RepeatedRows(self.again.where(wanted), self.first.where(wanted))

    def first_in_order(self, most: int) -> list[RepeatedRow]:
        """So many of those that come first in reading order; all of them if that is 0."""
        import numpy

        order = numpy.lexsort((self.again.rows, self.again.chunks))[: most or None]
        return [RepeatedRow(self.again[at], self.first[at]) for at in order.tolist()]


def find_repeated(packed: Sequence[bytes], but: Mapping[int, RowSet] | None = None) -> Iterator[RepeatedRows]:
    """Every row whose hash is also in an earlier chunk, or earlier in its own; in no particular order, many at a time.

    Rows in `but` (by chunk) count for nothing.
    """
    import numpy

    if _surely_differ(packed):
        return
    for chunks, entries in _slices(packed):
        order = numpy.argsort(entries["digest"])
        digests = entries["digest"][order]
        same = digests[1:] == digests[:-1]
        several = numpy.zeros(len(order), bool)
        several[1:] |= same
        several[:-1] |= same
        # Entries come chunk by chunk, sorted in each: what is stable keeps equal rows in reading order.
        at = numpy.sort(order[several])
        del order, digests, same, several
        if but:
            at = at[~_are_in(but, Places(chunks[at], entries["place"][at]))]
        at = at[numpy.argsort(entries["digest"][at], kind="stable")]
        digests = entries["digest"][at]
        is_first = numpy.ones(len(at), bool)
        is_first[1:] = digests[1:] != digests[:-1]
        first = at[numpy.maximum.accumulate(numpy.where(is_first, numpy.arange(len(at)), 0))][~is_first]
        again = at[~is_first]
        for start in range(0, len(again), _SLICE):
            pair = again[start : start + _SLICE], first[start : start + _SLICE]
            yield RepeatedRows(*(Places(chunks[one], entries["place"][one]) for one in pair))


def _are_in(sets: Mapping[int, RowSet], places: Places) -> Array:
    """Which of these places are in the set of their chunk."""
    import numpy

    found, rows = numpy.zeros(len(places), bool), places.rows
    for chunk in numpy.unique(places.chunks).tolist():
        if chunk in sets:
            own = places.chunks == chunk
            found[own] = sets[chunk].holds(rows[own])
    return found


def distinct(packed: Sequence[bytes], known: Sequence[bytes] = ()) -> Iterator[bytes]:
    """The different hashes in ascending order, end to end, many at a time; without those in `known`."""
    import numpy

    for chunks, entries in _slices([*packed, *known]):
        is_known = chunks >= len(packed)
        digests = numpy.sort(entries["digest"][~is_known])
        first = numpy.ones(len(digests), bool)
        first[1:] = digests[1:] != digests[:-1]
        if is_known.any():
            first &= ~numpy.isin(digests, entries["digest"][is_known])
        yield digests[first].tobytes()


def digests_of(data: bytes) -> bytes:
    """The hashes of one chunk, end to end, without the places."""
    return bytes(_entries(data)["digest"].tobytes())


def _surely_differ(packed: Sequence[bytes]) -> bool:
    """Whether already the first halves of all hashes are different: the rule, and quickly told."""
    import numpy

    entry = numpy.dtype([("half", ">u8"), ("rest", f"V{ENTRY - 8}")])
    chunks = [numpy.frombuffer(data, entry)["half"] for data in packed]
    if not chunks:
        return True
    halves = numpy.concatenate(chunks).astype(numpy.uint64)
    halves.sort()
    return not bool((halves[1:] == halves[:-1]).any())


def content_digest(groups: Iterable[tuple[str, Iterable[bytes]]]) -> str:
    """SHA-256 over the sorted row hashes of each split as dropped: order and file format do not matter."""
    whole = hashlib.sha256()
    for split, slices in groups:
        rows = hashlib.sha256()
        for digests in slices:
            rows.update(digests)
        whole.update(split.encode() + b"\0" + rows.digest())
    return whole.hexdigest()


def _entries(data: bytes) -> Array:
    import numpy

    return numpy.frombuffer(data, [("digest", f"S{WIDTH}"), ("place", f"V{ENTRY - WIDTH}")])


def _slices(packed: Sequence[bytes]) -> Iterator[tuple[Array, Array]]:
    """All entries, a slice of the hash space at a time, in ascending order of slices: the chunk of each, and itself."""
    import numpy

    if not packed:
        return
    total = sum(map(len, packed)) // ENTRY
    count = 1 << max(0, (total // _SLICE).bit_length())
    bounds = [(at << 32) // count for at in range(1, count)]
    chunks, starts = [*map(_entries, packed)], [0] * len(packed)
    for bound in [*bounds, None]:
        ends = [_end(data, start, bound) for data, start in zip(packed, starts, strict=True)]
        pieces = [chunk[start:end] for chunk, start, end in zip(chunks, starts, ends, strict=True)]
        yield numpy.repeat(numpy.arange(len(packed), dtype=numpy.int32), [*map(len, pieces)]), numpy.concatenate(pieces)
        starts = ends


def _end(data: bytes, start: int, bound: int | None) -> int:
    """The first entry from `start` on that is not below a bound of its first four bytes."""
    total = len(data) // ENTRY
    if bound is None:
        return total

    def leading(at: int) -> bytes:
        return data[at * ENTRY : at * ENTRY + 4]

    return bisect_left(range(total), bound.to_bytes(4), lo=start, key=leading)
