"""The file that reads ahead: what it gives, what it fetches, and what it does not keep."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.azure.storage.readahead import AHEAD, KEPT, ReadAhead

BLOCK = 10


class Remote:
    """Bytes far away: which ranges were asked for, in the order they were."""

    def __init__(self, data: bytes) -> None:
        self.data, self.asked = data, list[int]()
        self._lock = threading.Lock()
        self.before: Callable[[int], None] = lambda block: None

    def fill(self, offset: int, room: memoryview) -> None:
        assert offset % BLOCK == 0
        with self._lock:
            self.asked.append(offset // BLOCK)
        self.before(offset // BLOCK)
        room[:] = self.data[offset : offset + len(room)]  # fails unless there are as many

    def open(self) -> ReadAhead:
        return ReadAhead(self.fill, len(self.data), BLOCK)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=150), st.lists(st.tuples(st.integers(0, 160), st.integers(-1, 60)), max_size=12))
def test_it_reads_what_a_file_in_memory_reads(data: bytes, moves: list[tuple[int, int]]) -> None:
    with io.BufferedReader(Remote(data).open(), 16) as reader, io.BytesIO(data) as plain:
        for offset, size in moves:
            assert reader.seek(offset) == plain.seek(offset)
            assert reader.read(size) == plain.read(size)
            assert reader.tell() == plain.tell()
        reader.seek(0)
        assert list(reader) == list(io.BytesIO(data))


def test_the_next_ranges_are_fetched_at_the_same_time_while_one_is_worked_on() -> None:
    remote = Remote(bytes(10 * BLOCK))
    together = threading.Barrier(AHEAD, timeout=20)

    def before(block: int) -> None:
        if 0 < block <= AHEAD:
            together.wait()

    remote.before = before
    with remote.open() as reader:
        assert reader.read(1) == b"\0"
        reader.seek(AHEAD * BLOCK)
        assert reader.read(1) == b"\0"  # or the barrier would be broken


def test_each_range_is_fetched_once_from_front_to_end() -> None:
    remote = Remote(bytes(100 * BLOCK + 3))
    with remote.open() as reader:
        assert len(reader.readall()) == 100 * BLOCK + 3
    assert sorted(remote.asked) == list(range(101))


def test_no_more_than_a_few_blocks_are_kept_or_fetched_before_their_time() -> None:
    remote = Remote(bytes(100 * BLOCK))
    with remote.open() as reader:
        for _ in range(50):
            reader.read(BLOCK)
        assert max(remote.asked) < 50 + AHEAD
        reader.seek((50 - KEPT) * BLOCK)
        reader.read(BLOCK)  # long forgotten
        assert remote.asked.count(50 - KEPT) == 2


def test_a_look_at_the_end_fetches_the_end_only() -> None:
    """Parquet's footer is read first."""
    remote = Remote(bytes(100 * BLOCK))
    with remote.open() as reader:
        reader.seek(-4, io.SEEK_END)
        assert reader.readall() == bytes(4)
    assert remote.asked == [99]


def test_columns_read_side_by_side_are_each_fetched_once() -> None:
    remote = Remote(bytes(100 * BLOCK))
    with remote.open() as reader:
        for step in range(0, 3 * BLOCK, 5):
            for column in (0, 40, 80):
                reader.seek(column * BLOCK + step)
                reader.read(5)
    assert len(remote.asked) == len(set(remote.asked))


def test_what_a_fetch_raises_comes_out_of_the_read_that_needs_it_and_can_be_tried_again() -> None:
    remote = Remote(bytes(5 * BLOCK))

    def before(block: int) -> None:
        if block == 2 and remote.asked.count(2) == 1:
            raise OSError("the line is down")

    remote.before = before
    with remote.open() as reader:
        assert len(reader.read(BLOCK)) == len(reader.read(BLOCK)) == BLOCK
        with pytest.raises(OSError, match="down"):
            reader.read(BLOCK)
        assert len(reader.readall()) == 3 * BLOCK


def test_a_closed_reader_fetches_no_more() -> None:
    remote = Remote(bytes(100 * BLOCK))
    reader = remote.open()
    reader.read(1)
    reader.close()
    assert max(remote.asked) <= AHEAD
    with pytest.raises(ValueError, match="closed"):
        reader.read(1)
