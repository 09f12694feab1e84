"""How questions ended: counted per deployment and second, written by every process, read over all of them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from shared.errors import ServiceBusy
from shared.ledger import counts
from shared.ledger.counts import Counts
from shared.ledger.release import CallStats, call_result
from tests.fakes import World

DATASET, DEPLOYMENT = "support-bot", "r1"


@pytest.fixture
def world() -> World:
    return World()


def _process(world: World, name: str = "a") -> Counts:
    fake: Any = world.storage
    return Counts(fake, world.clock, name)


def _noted(made: Counts, *notes: tuple[str, float], deployment: str = DEPLOYMENT) -> None:
    async def run() -> None:
        for how, seconds in notes:
            made.note(DATASET, deployment, how, seconds)  # type: ignore[arg-type]

    asyncio.run(run())


def _since(world: World, since: float, deployment: str = DEPLOYMENT) -> CallStats:
    return world.services.counts.since(DATASET, deployment, since)


@pytest.mark.parametrize(
    ("status", "usable", "how"),
    [
        (200, True, "answered"),
        (200, False, "failed"),
        (0, False, "failed"),
        (400, False, "refused"),
        (401, False, "refused"),
        (404, False, "refused"),
        (408, False, "failed"),
        (413, False, "refused"),
        (424, False, "failed"),
        (429, False, "busy"),
        (499, False, "left"),
        (500, False, "failed"),
        (503, False, "failed"),
    ],
)
def test_every_status_says_how_a_call_ended(status: int, usable: bool, how: str) -> None:
    assert call_result(status, usable) == how


def test_what_was_never_counted_is_nothing(world: World) -> None:
    assert _since(world, 0) == CallStats()
    assert CallStats().percent(0) == 0


def test_counts_of_all_processes_add_up_per_deployment(world: World) -> None:
    start = world.clock()
    for name in ("a", "b"):
        made = _process(world, name)
        _noted(made, ("answered", 1.0), ("failed", 9.0), ("refused", 0.1))
        _noted(made, ("answered", 1.0), deployment="r2")
        made.flush()
    found = _since(world, start)
    assert (found.asked, found.failed, found.refused) == (6, 2, 2)
    assert found.percent(found.failed) == pytest.approx(100 / 3)
    assert _since(world, start, "r2").asked == 2


def test_writing_twice_counts_once(world: World) -> None:
    made = _process(world)
    _noted(made, ("answered", 1.0))
    made.flush()
    made.flush()
    _noted(made, ("failed", 1.0))
    made.flush()
    assert (_since(world, world.clock()).asked, _since(world, world.clock()).failed) == (2, 1)


def test_what_came_before_the_time_asked_for_is_left_out_to_the_second(world: World) -> None:
    made = _process(world)
    start = float(int(world.clock()))
    for after in (0, 30, 90):
        world.clock.now = start + after
        _noted(made, ("answered", 1.0))
        made.flush()
    assert [_since(world, start + after).asked for after in (0, 1, 31, 91)] == [3, 2, 1, 0]


def test_percentiles_are_near_the_truth(world: World) -> None:
    made = _process(world)
    _noted(made, *[("answered", n / 100) for n in range(1, 101)])
    made.flush()
    found = _since(world, 0)
    assert found.p50_seconds == pytest.approx(0.5, rel=0.06)
    assert found.p95_seconds == pytest.approx(0.95, rel=0.06)


def test_counts_that_could_not_be_written_are_written_with_the_next(world: World, caplog: Any) -> None:
    made = _process(world)
    _noted(made, ("answered", 1.0))
    put = world.storage.put

    def busy(*_: Any) -> str:
        raise ServiceBusy("storage is busy")

    world.storage.put = busy  # type: ignore[method-assign, assignment]
    made.flush()
    assert "not written" in caplog.text
    world.storage.put = put  # type: ignore[method-assign]
    made.flush()
    assert _since(world, 0).asked == 1


def test_what_is_written_late_does_not_undo_what_was_counted_since(world: World) -> None:
    """Storage takes the first writing so long that the next one is due before it has come."""
    made, storage = _process(world), world.storage
    put, halfway, goes_on = storage.put, threading.Event(), threading.Event()

    def slow(*what: Any) -> str:
        halfway.set()
        goes_on.wait(10)
        return put(*what)

    _noted(made, ("answered", 0.1))
    storage.put = slow  # type: ignore[method-assign,assignment]
    first = threading.Thread(target=made.flush)
    first.start()
    halfway.wait(10)
    storage.put = put  # type: ignore[method-assign]
    _noted(made, ("failed", 0.1))
    second = threading.Thread(target=made.flush)
    second.start()
    second.join(0.2)
    goes_on.set()
    first.join()
    second.join()
    assert _since(world, 0).failed == 1


def test_a_process_remembers_only_the_minutes_it_may_still_add_to(world: World) -> None:
    made = _process(world)
    for _ in range(10):
        _noted(made, ("answered", 1.0))
        made.flush()
        world.clock.now += 60
    assert len(made._minutes) <= 2
    assert _since(world, 0).asked == 10


def test_what_is_watched_is_written_sooner(world: World) -> None:
    made = _process(world)
    made.watched_seconds = 0

    async def run() -> None:
        made.note(DATASET, DEPLOYMENT, "answered", 1.0)
        assert made._due is not None
        lazy = made._due[1]
        made.note(DATASET, DEPLOYMENT, "answered", 1.0, watched=True)
        await made._due[1]
        assert lazy.cancelled()
        assert _since(world, 0).asked == 2
        made.note(DATASET, DEPLOYMENT, "answered", 1.0)
        assert made._due is not None

    asyncio.run(run())


def test_a_process_writes_one_blob_a_minute_however_many_datasets_are_called(world: World) -> None:
    made = _process(world)

    async def run() -> None:
        for number in range(50):
            made.note(f"bot-{number}", f"r{number}", "answered", 1.0)

    before = world.process.calls
    asyncio.run(run())
    made.flush()
    assert world.process.calls == before + 1
    assert world.services.counts.since("bot-7", "r7", 0).asked == 1
    assert world.services.counts.since("bot-7", "r8", 0).asked == 0


def test_minutes_that_were_read_are_not_read_again(world: World) -> None:
    made, start = _process(world), world.clock()
    for _ in range(10):
        _noted(made, ("answered", 1.0))
        made.flush()
        world.clock.now += 60
    assert _since(world, start).asked == 10
    before = world.process.calls
    assert (_since(world, start).asked, _since(world, start, "r2").asked) == (10, 0)
    assert world.process.calls == before + 2, "one listing for each"
    _noted(made, ("failed", 1.0))
    made.flush()
    assert _since(world, start).asked == 11


def test_counts_are_forgotten_with_one_request_for_many(world: World) -> None:
    for minute in range(200):
        world.storage.put("work", f"calls/202609211{minute:03}-a.json", b"{}")
    world.storage.put("work", "counts/support-bot/r1/202609201413-x.json", b"{}")
    before = world.process.calls
    assert world.services.counts.forget(world.clock() + 86_400) == 201
    assert world.process.calls == before + 3


def test_a_damaged_blob_of_counts_is_passed_over(world: World) -> None:
    made = _process(world)
    _noted(made, ("answered", 1.0))
    made.flush()
    world.storage.put("work", f"calls/{_name(world)}-b.json", b"{")
    assert _since(world, 0).asked == 1


def _name(world: World) -> str:
    return counts.minute_text(world.clock())


def test_old_counts_are_forgotten(world: World) -> None:
    made = _process(world)
    _noted(made, ("answered", 1.0))
    made.flush()
    world.clock.now += 3600
    _noted(made, ("answered", 1.0))
    made.flush()
    assert made.forget(world.clock() - 60) == 1
    assert _since(world, 0).asked == 1
