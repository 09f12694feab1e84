"""How many validations run at once in one process, which are threads of it: bounded by the memory they take together.

Used by the validate step and by the check of a part, around the reading. Who finds no room waits and is asked again;
the first is never refused, however large. What ended a worker before runs alone: who is at it when a process ends is to
blame only if nobody else was. What is counted is what files of that size take at worst. Nothing of it is on record: a
process that ends takes nothing any more.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import NotReady

# So long a validation waits for room (s) before it asks again.
ASK_AGAIN = 10
# Measured by `python -m benchmarks.validation_memory`: blocks read ahead and rows to be staged; of parquet also the
# pages that are unpacked at once. A small file takes less.
_BUFFERS, _BUFFERS_OF_PARQUET = 96 * 2**20, 224 * 2**20
_AT_LEAST, _OF_A_SMALL_FILE = 16 * 2**20, 8
# The shortest row has 80 bytes, and its hashes take 67 while it is staged; no more than 5 million rows are read.
_HASHES_SHARE, _MOST_HASHES = 0.8, 335e6


# Only glibc has it.
_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


class NoRoom(NotReady):
    """Other validations take the memory of this process for now."""

    def __init__(self) -> None:
        super().__init__("waits for memory: other snapshots are validated in the same process", ASK_AGAIN)


class MemoryBound:
    """What the validations of a process take."""

    def __init__(self) -> None:
        self.taken = 0.0
        """Bytes, by estimate, that all validations of the process take now."""
        self._running = 0
        self._is_alone = False
        self._lock = threading.Lock()

    @contextmanager
    def room_for(self, size: float, most_mb: float, at_once: int | None = None, alone: bool = False) -> Iterator[None]:
        """Holds so many bytes of memory, see `footprint`. Raises NoRoom if all would take more than `most_mb`.

        It is one of `at_once` validations at most, if that is given. `alone`: no other runs meanwhile.
        """
        with self._lock:
            if self._is_alone or (self._running and (alone or self.taken + size > most_mb * 2**20)):
                raise NoRoom
            if at_once is not None and self._running >= at_once:
                raise NoRoom
            self.taken += size
            self._running += 1
            self._is_alone = alone
        try:
            yield
        finally:
            give_back()
            with self._lock:
                self.taken -= size
                self._running -= 1
                self._is_alone = False


OF_THIS_PROCESS = MemoryBound()


def give_back() -> None:
    """Gives memory that nobody uses any more back to the system, where the C library can be asked to; else nothing.

    Each thread frees into a pool of its own, which the library keeps: the checks of six threads, one after the other,
    would take six times the memory of one.
    """
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()
    if _TRIM is not None:
        _TRIM(0)


def footprint(text: int, parquet: bool) -> float:
    """The bytes of memory that the validation of so many bytes of text takes at most. `parquet`: some of it is that."""
    buffers = min(_BUFFERS_OF_PARQUET if parquet else _BUFFERS, _AT_LEAST + _OF_A_SMALL_FILE * text)
    return buffers + min(text * _HASHES_SHARE, _MOST_HASHES)
