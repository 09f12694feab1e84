"""How many validations run at once in one process, which are threads of it: bounded by the memory they take together.

Used by the validate step and by the check of a part, around the reading. Who finds no room waits and is asked again;
the first is never refused, however large. What ended a worker before runs alone: who is at it when a process ends is to
blame only if nobody else was. What is counted is an estimate: buffers of a few pages and blocks, and the hashes of the
rows. Nothing of it is on record: a process that ends takes nothing any more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import NotReady

# So long a validation waits for room (s) before it asks again.
ASK_AGAIN = 10
_BUFFERS = 128 * 2**20
_HASHES_SHARE = 1 / 10  # of a file's bytes: 56 bytes a row of half a kilobyte
_MOST_HASHES = 400 * 2**20


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
    def room_for(self, stored: int, most_mb: float, at_once: int | None = None, alone: bool = False) -> Iterator[None]:
        """Holds the memory to read so many stored bytes. Raises NoRoom if all would take more than `most_mb`.

        It is one of `at_once` validations at most, if that is given. `alone`: no other runs meanwhile.
        """
        size = footprint(stored)
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
            with self._lock:
                self.taken -= size
                self._running -= 1
                self._is_alone = False


OF_THIS_PROCESS = MemoryBound()


def footprint(stored: int) -> float:
    """The bytes of memory, by estimate, that a validation of so many stored bytes takes."""
    return _BUFFERS + min(stored * _HASHES_SHARE, _MOST_HASHES)
