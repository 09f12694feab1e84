"""A file that is read by ranges, the next ones while this one is worked on. Called by `storage.open`.

It holds a few blocks and nothing else: flat memory however large the file is, no copy on disk. Memory of blocks that
were read is filled again: new memory costs as much as the copy into it. Whatever `fill` raises comes out of the read
that needs the block, and reading it again fetches it again.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

AHEAD = 3
# Room for a block and the next one of each of the columns of a parquet file, which are read side by side.
KEPT = 12


class _Block(NamedTuple):
    """A range, and the memory that it is in once it has come."""

    room: memoryview
    come: Future[None]


class ReadAhead(io.RawIOBase):
    """Random access to `size` bytes. `fill(offset, room)` reads a range; it is called by several threads at once."""

    def __init__(self, fill: Callable[[int, memoryview], None], size: int, block: int) -> None:
        self._fill, self._size, self._block = fill, size, min(block, max(size, 1))
        self._at, self._last = 0, -1
        self._blocks: OrderedDict[int, _Block] = OrderedDict()
        self._spare: list[bytearray] = []
        self._pool: ThreadPoolExecutor | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always: parquet is read from its end."""
        return True

    def tell(self) -> int:
        """Where the next read starts."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves, and says where to; nothing is fetched."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the buffer up to the end of the block."""
        found = self._next(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def readall(self) -> bytes:
        """The rest, block by block: the inherited one asks for a few KB a time."""
        return b"".join(iter(lambda: self._next(self._block), b""))

    def close(self) -> None:
        """Fetches no more, and forgets what was fetched."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._blocks.clear()
        self._spare.clear()
        super().close()

    def _next(self, most: int) -> memoryview | bytes:
        if self.closed:
            raise ValueError("read of a closed file")
        if self._at >= self._size:
            return b""
        number, start = divmod(self._at, self._block)
        found = self._read(number)[start : start + most]
        self._at += len(found)
        return found

    def _read(self, number: int) -> memoryview:
        """One block. Entering it starts those after it: more of them when the file is read from front to end."""
        block = self._start(number)
        if number != self._last:
            goes_on = number == self._last + 1
            ahead = AHEAD if goes_on or number == 0 else 1 if number - 1 in self._blocks else 0
            for following in range(number + 1, min(number + 1 + ahead, -(-self._size // self._block))):
                self._start(following)
            if goes_on:
                self._forget(number - 2)
            self._last = number
        self._blocks.move_to_end(number)
        while len(self._blocks) > KEPT:
            self._forget(next(iter(self._blocks)))
        try:
            block.come.result()
        except BaseException:
            self._forget(number)
            raise
        return block.room

    def _start(self, number: int) -> _Block:
        block = self._blocks.get(number)
        if block is None:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="read-ahead")
            offset = number * self._block
            memory = self._spare.pop() if self._spare else bytearray(self._block)
            room = memoryview(memory)[: self._size - offset]
            block = self._blocks[number] = _Block(room, self._pool.submit(self._fill, offset, room))
        return block

    def _forget(self, number: int) -> None:
        """Drops a block. Its memory is used again, unless a thread is still at it."""
        block = self._blocks.pop(number, None)
        if block is not None and (block.come.cancel() or block.come.done()):
            self._spare.append(block.room.obj)  # type: ignore[arg-type]
