"""State changes for whoever listens: one poller a process, shared by all listeners. Called by the HTTP event stream.

It looks while somebody listens, and a little longer, so that a listener whose stream ended goes on where it was. What
storage is asked does not grow with the listeners. A look runs in a thread; a listener that does not read is overtaken
and told the present again. Nothing here is needed for anything to happen: a process that ends loses no event, because
rows have their histories, and whoever comes back elsewhere is told the present state of all that has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.errors import PipelineError
from shared.operations.events import ChangeWatcher, EventQuery, StateEvent

if TYPE_CHECKING:
    from shared.runtime import Services

log = logging.getLogger(__name__)

# So many events are kept for listeners that come back; so long (s) is looked on when nobody listens any more.
KEPT, LINGERS = 1000, 30.0
# Looks take at most this share of the time, however many rows there are.
_SHARE = 0.05


class TooManyListeners(Exception):
    """This instance takes no more of them now."""


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """An event with what is to be sent back to go on after it; nothing where that is another event's to say."""

    event: StateEvent
    id: str = ""


@dataclass
class EventFeed:
    """The events of one process. `pause`: seconds between looks; `most`: how many may listen."""

    services: Services
    pause: float
    most: int
    _watcher: ChangeWatcher = field(init=False)
    _name: str = ""
    _events: deque[tuple[int, StateEvent]] = field(default_factory=lambda: deque(maxlen=KEPT))
    _last: int = 0
    _listeners: int = 0
    _left_at: float = 0.0
    _beginning: asyncio.Lock = field(default_factory=asyncio.Lock)
    _poller: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self) -> None:
        """Returns once the present is known and is looked after. Raises TooManyListeners, and what a look raises."""
        if self._listeners >= self.most:
            raise TooManyListeners
        async with self._beginning:
            if self._poller is None or self._poller.done():
                watcher = ChangeWatcher(self.services)
                await asyncio.to_thread(watcher.look)
                self._watcher, self._name = watcher, secrets.token_hex(4)
                self._events.clear()
                self._left_at = time.monotonic()
                self._poller = asyncio.create_task(self._poll())

    async def listen(self, query: EventQuery, last_id: str, seconds: float) -> AsyncGenerator[NumberedEvent]:
        """The events that are asked for, for so long: those after `last_id`, else the present first.

        To be called after `begin`. Raises PipelineError when storage does not answer.
        """
        ends = time.monotonic() + seconds
        self._listeners += 1
        try:
            position = self._position(last_id)
            while self._listeners <= self.most:
                changed = self._changed
                if position is None or position < self._oldest - 1:  # from elsewhere, or overtaken
                    position = self._last
                    for event in await self._present(query, last_id):
                        yield event
                    continue  # meanwhile it may have been overtaken
                for number, found in [kept for kept in self._events if kept[0] > position]:
                    position = number
                    if query.fits(found):
                        yield NumberedEvent(found, self._id(number))
                if (left := ends - time.monotonic()) <= 0:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), left)
        finally:
            self._listeners -= 1
            self._left_at = time.monotonic()

    async def _poll(self) -> None:
        """Looks again and again, until nobody has listened for a while."""
        took = 0.0
        while self._listeners or time.monotonic() <= self._left_at + LINGERS:
            await asyncio.sleep(max(self.pause, took / _SHARE))
            begun = time.monotonic()
            try:
                self._publish(await asyncio.to_thread(self._watcher.look))
            except PipelineError as error:
                log.info("no events for now: %s", error)
            except Exception:
                log.exception("a look for events failed")
            took = time.monotonic() - begun

    def _publish(self, found: list[StateEvent]) -> None:
        for event in found:
            self._last += 1
            self._events.append((self._last, event))
        if found:
            self._changed.set()
            self._changed = asyncio.Event()

    @property
    def _oldest(self) -> int:
        """The number of the oldest event that is kept."""
        return self._events[0][0] if self._events else self._last + 1

    async def _present(self, query: EventQuery, last_id: str) -> list[NumberedEvent]:
        """What is under way now; for somebody who comes from elsewhere also what ended since then. Only the last one
        says where to go on: whoever is cut off before it is told all of it again."""
        last, since = self._last, _time_of(last_id)
        found = await asyncio.to_thread(self._watcher.present_of, query)
        if since is not None:
            ended = await asyncio.to_thread(lambda: list(self._watcher.ended_since(since)))
            found = [*(event for event in ended if query.fits(event)), *found]
        numbered = [NumberedEvent(event) for event in found]
        return [*numbered[:-1], NumberedEvent(found[-1], self._id(last))] if found else []

    def _id(self, number: int) -> str:
        """When it was told, by whom, and which one it is."""
        return f"{self.services.clock():.0f}-{self._name}-{number}"

    def _position(self, last_id: str) -> int | None:
        """After which event to go on; None where this process cannot know."""
        _, _, rest = last_id.partition("-")
        name, _, number = rest.partition("-")
        if name != self._name or not number.isdecimal() or len(number) > 12:
            return None
        return int(number) if self._oldest - 1 <= int(number) <= self._last else None


def _time_of(last_id: str) -> float | None:
    """When the event of an id was told; None of what is no id of ours."""
    at = last_id.partition("-")[0]
    return float(at) if at.isdecimal() and len(at) <= 12 else None


_FEEDS: weakref.WeakKeyDictionary[Any, EventFeed] = weakref.WeakKeyDictionary()


def feed(services: Services) -> EventFeed:
    """The feed of this process, made by the first who listens."""
    if services.ledger not in _FEEDS:
        pause = min(5.0, max(1.0, services.settings.look_seconds / 12))
        _FEEDS[services.ledger] = EventFeed(services, pause, services.settings.event_listeners)
    return _FEEDS[services.ledger]
