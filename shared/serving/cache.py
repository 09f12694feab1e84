"""Values read from slow services, kept for a moment: one read at a time for each name, however many callers wait.

Used for the rows of datasets, the keys of endpoints and the traits of models. Losing a cache costs time only. Why no
library does this: docs/decisions/caching.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.errors import NotFound, PipelineError


@dataclass(frozen=True, slots=True)
class _Kept[V]:
    value: V
    fresh_until: float
    usable_until: float


class SingleFlightCache[V]:
    """Values by name. A value is `fresh` for so many seconds and `usable` for longer.

    A value that is no longer fresh is read again, once, while other callers get the one before. If it cannot be read,
    the one before is returned as long as it is usable. A name that is not there (NotFound) is forgotten at once.
    """

    def __init__(self, read: Callable[[str], Awaitable[V]], fresh: float, usable: float) -> None:
        self._read, self._fresh, self._usable = read, fresh, max(fresh, usable)
        self._kept: dict[str, _Kept[V]] = {}
        self._reading: dict[str, asyncio.Task[V]] = {}

    async def get(self, name: str) -> V:
        """The value, as fresh as it has to be. Raises what reading it raises."""
        kept, now = self._kept.get(name), time.monotonic()
        if kept and now < kept.fresh_until:
            return kept.value
        reading = self._reading.get(name)
        if kept and reading and now < kept.usable_until:
            return kept.value
        try:
            # Shielded: this caller may leave while others wait for the same value.
            return await asyncio.shield(reading or self._begin(name))
        except NotFound:
            self._kept.pop(name, None)
            raise
        except PipelineError:
            if kept and now < kept.usable_until:
                return kept.value
            raise

    def forget(self, name: str, value: V | None = None) -> None:
        """Have the value read anew; with `value`, only if that is still the one kept."""
        kept = self._kept.get(name)
        if kept and (value is None or kept.value == value):
            del self._kept[name]
            self._reading.pop(name, None)  # this read began when the forgotten value was still right

    def _begin(self, name: str) -> asyncio.Task[V]:
        reading = asyncio.ensure_future(self._read_and_keep(name))
        self._reading[name] = reading
        reading.add_done_callback(lambda task: self._end(name, task))
        return reading

    async def _read_and_keep(self, name: str) -> V:
        value = await self._read(name)
        if self._reading.get(name) is asyncio.current_task():
            now = time.monotonic()
            self._kept[name] = _Kept(value, now + self._fresh, now + self._usable)
        return value

    def _end(self, name: str, task: asyncio.Task[V]) -> None:
        if self._reading.get(name) is task:
            del self._reading[name]
        if not task.cancelled():
            task.exception()  # raised to everybody who waited; nobody else is to be told
