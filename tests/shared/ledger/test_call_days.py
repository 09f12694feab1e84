"""The calls of a day: every minute counted once, whoever counts, however often, and however late a minute comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.errors import LedgerConflict
from shared.ledger.call_days import BLOB
from shared.runtime import Services
from tests.fakes import World

MINUTE = 60.0


@pytest.fixture
def world() -> World:
    made = World()
    made.clock.now -= made.clock.now % 86_400  # midnight
    return made


def call(services: Services, times: int = 1, dataset: str = "aa") -> None:
    async def noted() -> None:
        for _ in range(times):
            services.counts.note(dataset, "r1", "answered", 0.1)
            services.counts.note(dataset, "r2", "failed", 0.1)

    asyncio.run(noted())
    services.counts.flush()


def test_every_call_of_the_day_is_counted_once_when_its_minute_is_over(world: World) -> None:
    services = world.services
    assert services.call_days.today() is None, "nobody has counted yet"
    call(services, 3)
    services.call_days.add()
    assert services.call_days.today() == {}, "the minute may go on"
    world.clock.now += 4 * MINUTE
    call(services, 1, "bb")
    for _ in range(3):
        services.call_days.add()
    assert services.call_days.today() == {"aa": 6}
    world.clock.now += 4 * MINUTE
    services.call_days.add()
    assert services.call_days.today() == {"aa": 6, "bb": 2}


def test_a_day_begins_at_midnight_and_the_one_before_is_kept(world: World) -> None:
    services = world.services
    world.clock.now += 86_400 - MINUTE
    call(services)
    world.clock.now += 5 * MINUTE
    call(services, 5)
    world.clock.now += 5 * MINUTE
    services.call_days.add()
    assert services.call_days.today() == {"aa": 10}
    world.clock.now += 2 * 86_400
    services.call_days.add()
    assert services.call_days.today() == {}


def test_a_minute_that_another_process_writes_late_is_counted_all_the_same(world: World) -> None:
    late, services = world.new_process(), world.services
    put = world.storage.put
    call(services)

    async def noted() -> None:
        late.counts.note("aa", "r1", "answered", 0.1)

    asyncio.run(noted())
    world.clock.now += 5 * MINUTE
    services.call_days.add()
    assert services.call_days.today() == {"aa": 2}
    late.counts.flush()
    assert world.storage.put == put
    services.call_days.add()
    assert services.call_days.today() == {"aa": 3}


def test_minutes_that_were_counted_long_ago_are_not_counted_again(world: World) -> None:
    services = world.services
    for _ in range(10):
        call(services)
        world.clock.now += 20 * MINUTE
        services.call_days.add()
    world.clock.now += 5 * 3600
    call(services)
    world.clock.now += 5 * MINUTE
    services.call_days.add()
    services.call_days.add()
    assert services.call_days.today() == {"aa": 22}


def test_of_two_that_count_at_once_one_writes(world: World) -> None:
    services = world.services
    call(services)
    world.clock.now += 5 * MINUTE
    create = world.storage.create

    def beaten(container: str, name: str, *more: Any) -> str:
        world.storage.create = create  # type: ignore[method-assign]
        world.new_process().call_days.add()
        return create(container, name, *more)

    world.storage.create = beaten  # type: ignore[method-assign, assignment]
    with pytest.raises(LedgerConflict):
        services.call_days.add()
    services.call_days.add()
    assert services.call_days.today() == {"aa": 2}
    assert ("work", BLOB) in world.storage.blobs


def test_a_damaged_minute_counts_nothing_and_stops_nothing(world: World) -> None:
    services = world.services
    call(services)
    name = next(name for container, name in world.storage.blobs if container == "work")
    world.storage.put("work", name, b"{")
    world.clock.now += 5 * MINUTE
    services.call_days.add()
    assert services.call_days.today() == {}
