"""The rules of Event Grid: who gets which event, when it is tried again, when it is given up.

Used by `app` (publishers and people) and by `storage_events`. At least once, in no promised order. Deliveries under
way live in memory: a broker that dies forgets them, except storage events, which its log position brings back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

import httpx

from local.eventgrid.delivery import Delivery, DeliveryAttempt, DeliveryState, attempt
from local.eventgrid.faults import NONE, DeliveryFaults
from local.eventgrid.schemas import EventGridEvent
from local.eventgrid.subscriptions import Subscription, Subscriptions

log = logging.getLogger(__name__)

REMEMBERED = 10_000
REORDER_SECONDS = 0.3


class DeadLetterBox(Protocol):
    """Where events go that could not be delivered."""

    async def write(self, delivery: Delivery, subscription: Subscription, reason: str) -> None:
        """Keep one."""


class Broker:
    """All topics, their subscriptions and what is on its way."""

    def __init__(self, client: httpx.AsyncClient, subscriptions: Subscriptions, dead_letters: DeadLetterBox) -> None:
        self._client = client
        self._subscriptions = subscriptions
        self._dead_letters = dead_letters
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[Delivery] = set()
        self._held: list[Delivery] = []
        self._shuffled: list[Delivery] = []
        self._closed = asyncio.Condition()
        self.faults = NONE
        self.remembered: deque[Delivery] = deque(maxlen=REMEMBERED)
        # Called after each delivery that ends, however it does.
        self.on_end: Callable[[], None] = lambda: None

    @property
    def open(self) -> frozenset[Delivery]:
        """The deliveries that have not ended."""
        return frozenset(self._open)

    def may_be_wanted(self, topic: str, event_type: str, subject: str) -> bool:
        """Whether any subscription could want such an event; spares the making of events that none does."""
        return any(one.may_want(topic, event_type, subject) for one in self._subscriptions.all())

    def publish(self, topic: str, events: Sequence[EventGridEvent], position: tuple[int, int] | None = None) -> None:
        """Begin to deliver the events to every subscription that wants them."""
        faults = self.faults.on(topic)
        for event in events:
            for subscription in self._subscriptions.all():
                if subscription.wants(topic, event):
                    for _ in range(1 + faults.duplicate):
                        self._begin(Delivery(topic, event, subscription.name, position), faults)

    def release(self, newest_first: bool = False) -> int:
        """Deliver what was held, one after the other, and try again what failed; how many were held."""
        held, self._held = self._held, []
        self._spawn(self._in_turn(reversed(held) if newest_first else held))
        self._hurry(self._open)
        return len(held)

    def unsubscribed(self, name: str) -> None:
        """End what is on its way to a subscription that is no more."""
        theirs = [delivery for delivery in self._held if delivery.subscription == name]
        self._held = [delivery for delivery in self._held if delivery.subscription != name]
        self._spawn(self._in_turn(theirs))
        self._hurry(delivery for delivery in self._open if delivery.subscription == name)

    def set_faults(self, faults: DeliveryFaults) -> None:
        """Replace the faults; when they no longer hold events, those held are let go."""
        self.faults = faults
        if not faults.hold:
            self.release()

    async def settled(self) -> None:
        """Return once no delivery is open."""
        async with self._closed:
            await self._closed.wait_for(lambda: not self._open)

    async def stop(self) -> None:
        """Give up whatever is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, delivery: Delivery, faults: DeliveryFaults) -> None:
        self.remembered.append(delivery)
        if faults.loses(delivery.event):
            delivery.state = DeliveryState.LOST
            return
        self._open.add(delivery)
        if faults.hold:
            delivery.state = DeliveryState.HELD
            self._held.append(delivery)
        elif faults.reorder:
            self._shuffled.append(delivery)
            self._spawn(self._later(REORDER_SECONDS + faults.delay_seconds, self._deliver_shuffled))
        else:
            self._spawn(self._later(faults.delay_seconds, lambda: self._deliver(delivery)))

    def _hurry(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.state is DeliveryState.RETRYING:
                delivery.hurry.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        await work()

    async def _deliver_shuffled(self) -> None:
        shuffled, self._shuffled = self._shuffled, []
        await self._in_turn(reversed(shuffled))

    async def _in_turn(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in list(deliveries):
            if not await self._try(delivery):
                self._spawn(self._retry(delivery))

    async def _deliver(self, delivery: Delivery) -> None:
        if not await self._try(delivery):
            await self._retry(delivery)

    async def _retry(self, delivery: Delivery) -> None:
        """Try again on the subscription's schedule until the delivery has ended."""
        ended = False
        while not ended:
            delivery.state = DeliveryState.RETRYING
            subscription = self._subscriptions.find(delivery.subscription)
            if subscription is not None:
                await pause(subscription.retry.delay_after(len(delivery.attempts)), delivery.hurry)
            ended = await self._try(delivery)

    async def _try(self, delivery: Delivery) -> bool:
        """Attempt it once; whether the delivery has ended with that."""
        subscription = self._subscriptions.find(delivery.subscription)
        if subscription is None:
            return await self._end(delivery, DeliveryState.UNSUBSCRIBED)
        made = await attempt(self._client, delivery, subscription)
        delivery.attempts.append(made)
        if made.accepted:
            return await self._end(delivery, DeliveryState.DELIVERED)
        log.warning("%s %s: attempt %d: %s", *_named(delivery), len(delivery.attempts), made.outcome)
        reason = why_give_up(delivery, subscription, made)
        return reason is not None and await self._give_up(delivery, subscription, reason)

    async def _give_up(self, delivery: Delivery, subscription: Subscription, reason: str) -> bool:
        if subscription.dead_letter is None:
            return await self._end(delivery, DeliveryState.DROPPED)
        try:
            await self._dead_letters.write(delivery, subscription, reason)
        except Exception:  # whatever the storage did, the event is gone, and the broker lives on
            log.exception("%s %s: the dead letter could not be written", *_named(delivery))
            return await self._end(delivery, DeliveryState.DROPPED)
        return await self._end(delivery, DeliveryState.DEAD_LETTERED)

    async def _end(self, delivery: Delivery, state: DeliveryState) -> bool:
        delivery.state = state
        log.info("%s %s: %s", *_named(delivery), state)
        async with self._closed:
            self._open.discard(delivery)
            self.on_end()
            self._closed.notify_all()
        return True


async def pause(seconds: float, hurry: asyncio.Event) -> None:
    """Wait so long, or until hurried."""
    hurry.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await hurry.wait()


def why_give_up(delivery: Delivery, subscription: Subscription, made: DeliveryAttempt) -> str | None:
    """The reason that the dead letter names, or None if another attempt is due."""
    if made.hopeless:
        return made.hopeless
    if len(delivery.attempts) >= subscription.retry.attempts:
        return "MaxDeliveryAttemptsExceeded"
    if time.monotonic() - delivery.born >= subscription.retry.ttl_minutes * 60:
        return "TimeToLiveExceeded"
    return None


def _named(delivery: Delivery) -> tuple[str, str]:
    return delivery.subscription, f"{delivery.event.type} {delivery.event.subject} ({delivery.event.id})"
