"""Values that are kept for a moment: one read for many callers, fresh and usable times, forgetting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.errors import NotFound, ServiceBusy
from shared.serving.cache import SingleFlightCache


class Source:
    """What a cache reads from: a number that grows, or an error; `gate` holds reads until it is set."""

    def __init__(self) -> None:
        self.reads = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, name: str) -> str:
        self.reads += 1
        number = self.reads
        await self.gate.wait()
        if self.error:
            raise self.error
        return f"{name}{number}"


def _in_a_loop(act: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await act()

    asyncio.run(run())


def test_a_value_is_read_once_while_it_is_fresh_and_again_when_it_is_not() -> None:
    async def act() -> None:
        source = Source()
        kept, stale = SingleFlightCache(source.read, 100, 100), SingleFlightCache(source.read, 0, 0)
        assert [await kept.get("a") for _ in range(3)] == ["a1"] * 3
        assert [await stale.get("a") for _ in range(3)] == ["a2", "a3", "a4"]

    _in_a_loop(act)


def test_many_who_ask_at_once_cause_one_read() -> None:
    async def act() -> None:
        source = Source()
        cache = SingleFlightCache(source.read, 100, 100)
        assert set(await asyncio.gather(*(cache.get("a") for _ in range(50)))) == {"a1"}

    _in_a_loop(act)


def test_while_it_is_read_again_others_get_the_value_before() -> None:
    async def act() -> None:
        source = Source()
        cache = SingleFlightCache(source.read, 0, 100)
        await cache.get("a")
        source.gate.clear()
        first = asyncio.create_task(cache.get("a"))
        await asyncio.sleep(0)
        assert await cache.get("a") == "a1"
        source.gate.set()
        assert await first == "a2"

    _in_a_loop(act)


def test_a_reader_who_leaves_does_not_take_the_value_from_the_others() -> None:
    async def act() -> None:
        source = Source()
        source.gate.clear()
        cache = SingleFlightCache(source.read, 100, 100)
        first, second = (asyncio.create_task(cache.get("a")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        source.gate.set()
        assert await second == "a1"

    _in_a_loop(act)


def test_what_cannot_be_read_now_is_good_for_longer_but_not_what_is_gone() -> None:
    async def act() -> None:
        source = Source()
        cache, short = SingleFlightCache(source.read, 0, 100), SingleFlightCache(source.read, 0, 0)
        await cache.get("a")
        await short.get("a")
        source.error = ServiceBusy("no")
        assert await cache.get("a") == "a1"
        with pytest.raises(ServiceBusy):
            await short.get("a")
        source.error = NotFound("no")
        for _ in range(2):
            with pytest.raises(NotFound):
                await cache.get("a")

    _in_a_loop(act)


def test_a_value_is_forgotten_unless_it_is_another_by_now() -> None:
    async def act() -> None:
        source = Source()
        cache = SingleFlightCache(source.read, 100, 100)
        await cache.get("a")
        cache.forget("a", "an older one")
        assert await cache.get("a") == "a1"
        cache.forget("a", "a1")
        assert await cache.get("a") == "a2"
        cache.forget("a")
        cache.forget("nobody")
        assert await cache.get("a") == "a3"

    _in_a_loop(act)


def test_a_read_that_began_before_a_value_was_forgotten_is_not_kept() -> None:
    async def act() -> None:
        source = Source()
        cache = SingleFlightCache(source.read, 0, 100)
        await cache.get("a")
        source.gate.clear()
        early = asyncio.create_task(cache.get("a"))
        await asyncio.sleep(0)
        cache.forget("a", "a1")
        late = asyncio.create_task(cache.get("a"))
        await asyncio.sleep(0)
        source.gate.set()
        assert (await early, await late) == ("a2", "a3")
        source.error = ServiceBusy("no")
        assert await cache.get("a") == "a3"

    _in_a_loop(act)
