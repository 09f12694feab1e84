"""Every state change is told once to whoever listens, cheaply, and whoever comes back goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from shared.errors import ServiceBusy
from shared.ledger.rows import HistoryEntry
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from shared.operations import event_feed, sweep
from shared.operations.event_feed import EventFeed, NumberedEvent, TooManyListeners
from shared.operations.events import ChangeWatcher, EventQuery, StateEvent
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_release, a_snapshot
from tests.fakes import World, dialogues

ALL = EventQuery()


def _moves(world: World, state: S, at: float, reason: str = "", **changes: Any) -> None:
    """A snapshot enters a state, as the engine writes it."""

    def entered(row: Any) -> Any:
        return row.but(state=state, history=(*row.history, HistoryEntry(state=state, at=at, reason=reason)), **changes)

    world.services.ledger.change(f"snapshot/{SNAPSHOT}", entered)


def _told(events: list[StateEvent]) -> list[tuple[str, str]]:
    return [(event.kind, event.state) for event in events]


def _requests(world: World) -> int:
    return world.process.calls


# --- what is told ---------------------------------------------------------------------------------------------


def test_each_state_that_was_entered_between_two_looks_is_told_with_its_own_reason_and_time() -> None:
    world = World()
    world.services.ledger.create(a_snapshot())
    watcher = ChangeWatcher(world.services)
    assert watcher.look() == []
    _moves(world, S.VALIDATING, world.clock() + 1, "x" * 400)
    _moves(world, S.REJECTED, world.clock() + 2, "row 3 is bad")
    first, second = watcher.look()
    assert (first.state, first.reason, first.id, first.dataset) == ("VALIDATING", "x" * 400, SNAPSHOT, DATASET)
    assert (second.state, second.reason, second.at) == ("REJECTED", "row 3 is bad", "2026-09-21T14:13:22.000Z")
    assert watcher.look() == []


def test_a_whole_life_is_told_in_its_order_to_somebody_who_looks_now_and_then() -> None:
    world = World()
    watcher = ChangeWatcher(world.services)
    watcher.look()
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    told: list[StateEvent] = []
    for _ in range(60):
        world.run(until=60)
        told += watcher.look()
    row = world.snapshots()[0]
    assert row["state"] == "LIVE"
    own = [event.state for event in told if event.kind == "snapshot"]
    for state in ("RECEIVED", "VALIDATING", "TRAINING", "TRAINED", "REGISTERED", "DEPLOYING", "LIVE"):
        assert own.count(state) == 1, (state, own)
    assert own.index("TRAINING") < own.index("REGISTERED") < own.index("LIVE")
    kept = [(entry["state"], entry["at"]) for entry in row["history"]]
    assert [(e.state, e.at) for e in told if e.kind == "snapshot" and (e.state, e.at) in kept] == kept
    assert [e.snapshot for e in told if e.kind == "dataset" and e.state == "LIVE"] == [row["id"]]
    (last,) = [event for event in told if event.kind == "training"][-1:]
    assert last.training is not None
    assert (last.id, last.training["share"]) == (row["id"], pytest.approx(2 / 3, abs=0.34))


def test_waiting_for_a_person_is_told() -> None:
    world = World()
    world.services.ledger.create(a_snapshot())
    world.services.ledger.create(a_dataset())
    watcher = ChangeWatcher(world.services)
    watcher.look()
    world.services.ledger.change(f"snapshot/{SNAPSHOT}", lambda row: row.but(attention=True))
    world.services.ledger.change(f"dataset/{DATASET}", lambda row: row.but(attention=True))
    assert {(event.kind, event.needs_attention) for event in watcher.look()} == {("snapshot", True), ("dataset", True)}


def test_a_row_that_cannot_be_read_is_told_from_its_card_and_hides_no_other() -> None:
    world = World()
    world.services.ledger.create(a_snapshot())
    watcher = ChangeWatcher(world.services)
    watcher.look()
    _moves(world, S.VALIDATING, world.clock() + 1)
    world.storage.put("ledger", f"snapshots/{DATASET}/{SNAPSHOT}.json", b"{")
    world.services.ledger.create(a_snapshot(id=NEWER))
    assert {event.id for event in watcher.look()} == {SNAPSHOT, NEWER}


def test_what_a_look_costs_does_not_grow_with_what_has_ended() -> None:
    costs = []
    for ended in (0, 30):
        world = World()
        for number in range(ended):
            name = f"{DATASET}-202608{number + 1:02}141320-0123abcd"
            world.services.ledger.create(a_snapshot(S.REJECTED, id=name))
        world.services.ledger.create(a_snapshot())
        sweep.sweep(world.services)
        watcher = ChangeWatcher(world.services)
        watcher.look()
        before = _requests(world)
        watcher.look()
        costs.append(_requests(world) - before)
    assert costs[0] == costs[1] == 2


# --- who is told ----------------------------------------------------------------------------------------------


def _feed(world: World, most: int = 10) -> EventFeed:
    return EventFeed(world.services, pause=0.0, most=most)


async def _some(events: AsyncGenerator[NumberedEvent], count: int) -> list[NumberedEvent]:
    """So many events; the listener stays."""
    return [await asyncio.wait_for(anext(events), 30) for _ in range(count)]


def test_a_listener_is_told_the_present_and_then_each_change_of_what_it_asked_for() -> None:
    world = World()
    world.services.ledger.create(a_snapshot())
    world.services.ledger.create(a_dataset(D.DEPLOYING, name="other-bot", live=None, candidate=a_release(NEWER)))

    async def listens() -> None:
        feed = _feed(world)
        await feed.begin()
        mine, others = (
            feed.listen(EventQuery(snapshot=SNAPSHOT), "", 60),
            feed.listen(EventQuery(dataset="other-bot"), "", 60),
        )
        assert _told([one.event for one in await _some(mine, 1)]) == [("snapshot", "RECEIVED")]
        assert _told([one.event for one in await _some(others, 1)]) == [("dataset", "DEPLOYING")]
        _moves(world, S.VALIDATING, world.clock() + 1)
        _moves(world, S.REJECTED, world.clock() + 2)
        assert [one.event.state for one in await _some(mine, 2)] == ["VALIDATING", "REJECTED"]
        world.services.ledger.change("dataset/other-bot", lambda row: row.but(attention=True))
        assert [one.event.needs_attention for one in await _some(others, 1)] == [True]

    asyncio.run(listens())


def test_whoever_comes_back_goes_on_after_the_last_event_it_had() -> None:
    world = World()
    world.services.ledger.create(a_snapshot())

    async def listens() -> None:
        feed = _feed(world)
        await feed.begin()
        first = feed.listen(ALL, "", 60)
        (present,) = await _some(first, 1)
        _moves(world, S.VALIDATING, world.clock() + 1)
        (validating,) = await _some(first, 1)
        await first.aclose()
        _moves(world, S.REJECTED, world.clock() + 2)
        for last, states in ((validating.id, ["REJECTED"]), (present.id, ["VALIDATING", "REJECTED"])):
            again = feed.listen(ALL, last, 60)
            assert [one.event.state for one in await _some(again, len(states))] == states
            await again.aclose()

    asyncio.run(listens())


def test_elsewhere_it_is_told_the_present_and_what_ended_meanwhile() -> None:
    world = World()
    world.services.ledger.create(a_snapshot())
    world.services.ledger.create(a_snapshot(id=NEWER))

    async def listens() -> None:
        here, elsewhere = _feed(world), _feed(world)
        await here.begin()
        events = here.listen(ALL, "", 60)
        last = (await _some(events, 2))[-1].id
        await events.aclose()
        world.clock.now += 600
        _moves(world, S.REJECTED, world.clock())
        sweep.sweep(world.services)  # which takes its card away
        assert not [kept for kept in world.services.ledger.cards.list() if kept.snapshot == SNAPSHOT]
        await elsewhere.begin()
        again = elsewhere.listen(ALL, last, 60)
        found = {one.event.id: one.event.state for one in await _some(again, 2)}
        assert found == {SNAPSHOT: "REJECTED", NEWER: "RECEIVED"}

    asyncio.run(listens())


@pytest.mark.parametrize("last", ["", "nonsense", "1-2-3", "999999999999999999-x-1", "-", "1790000000--", "1e9-a-b"])
def test_an_id_of_nobody_begins_with_the_present(last: str) -> None:
    world = World()
    world.services.ledger.create(a_snapshot())

    async def listens() -> None:
        feed = _feed(world)
        await feed.begin()
        assert (await _some(feed.listen(ALL, last, 60), 1))[0].event.state == "RECEIVED"

    asyncio.run(listens())


def test_an_id_with_a_number_that_nothing_has_begins_with_the_present() -> None:
    world = World()
    world.services.ledger.create(a_snapshot())

    async def listens() -> None:
        feed = _feed(world)
        await feed.begin()
        (first,) = await _some(feed.listen(ALL, "", 60), 1)
        last = first.id.rpartition("-")[0] + "-" + "9" * 5000  # more digits than Python reads
        assert (await _some(feed.listen(ALL, last, 60), 1))[0].event.state == "RECEIVED"

    asyncio.run(listens())


def test_only_the_end_of_the_present_says_where_to_go_on() -> None:
    world = World()
    for name in (SNAPSHOT, NEWER):
        world.services.ledger.create(a_snapshot(id=name))

    async def listens() -> None:
        feed = _feed(world)
        await feed.begin()
        first, second = await _some(feed.listen(ALL, "", 60), 2)
        assert (first.id, bool(second.id)) == ("", True)

    asyncio.run(listens())


def test_one_that_ended_long_ago_is_told_as_it_is_and_one_that_is_not_there_yet_when_it_comes() -> None:
    world = World()
    world.services.ledger.create(a_snapshot(S.REJECTED))
    sweep.sweep(world.services)

    async def listens() -> None:
        feed = _feed(world)
        await feed.begin()
        ended = feed.listen(EventQuery(snapshot=SNAPSHOT), "", 60)
        assert (await _some(ended, 1))[0].event.state == "REJECTED"
        coming = feed.listen(EventQuery(snapshot=NEWER), "", 60)
        waiting = asyncio.ensure_future(_some(coming, 1))
        await asyncio.sleep(0)
        world.services.ledger.create(a_snapshot(id=NEWER))
        assert (await waiting)[0].event.state == "RECEIVED"

    asyncio.run(listens())


def test_many_listeners_cost_storage_what_one_costs_and_too_many_are_told_so() -> None:
    world = World()
    world.services.ledger.create(a_snapshot())
    looks = 0

    async def listens() -> None:
        nonlocal looks
        feed = _feed(world, most=20)
        await asyncio.gather(*(feed.begin() for _ in range(20)))
        watcher: Any = feed._watcher
        look = watcher.look

        def counted() -> Any:
            nonlocal looks
            looks += 1
            return look()

        watcher.look = counted
        listeners = [feed.listen(ALL, "", 60) for _ in range(20)]
        for one in listeners:
            await _some(one, 1)
        with pytest.raises(TooManyListeners):
            await feed.begin()
        assert [one async for one in feed.listen(ALL, "", 60)] == []  # who came in between is not kept either
        _moves(world, S.VALIDATING, world.clock() + 1)
        states = await asyncio.gather(*(_some(one, 1) for one in listeners))
        assert {one.event.state for (one,) in states} == {"VALIDATING"}
        for one in listeners:
            await one.aclose()
        await feed.begin()  # there is room again

    before = _requests(world)
    asyncio.run(listens())
    assert _requests(world) - before <= 2 * (looks + 1) + 8


def test_a_listener_that_does_not_read_is_overtaken_and_told_the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "KEPT", 5)
    world = World()
    world.services.ledger.create(a_snapshot())

    async def listens() -> None:
        from collections import deque

        feed = _feed(world)
        feed._events = deque(maxlen=5)
        await feed.begin()
        slow, quick = feed.listen(ALL, "", 60), feed.listen(ALL, "", 60)
        await _some(slow, 1)
        await _some(quick, 1)
        for number in range(1, 21):
            _moves(world, S.VALIDATING if number % 2 else S.RECEIVED, world.clock() + number)
            await _some(quick, 1)
        (found,) = await _some(slow, 1)
        assert (found.event.state, found.event.at) == ("RECEIVED", "2026-09-21T14:13:40.000Z")

    asyncio.run(listens())


def test_storage_that_does_not_answer_at_first_is_told_and_later_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.services.ledger.create(a_snapshot())
    busy, list_ = True, world.storage.list

    def listed(container: str, prefix: str = "") -> Any:
        if busy:
            raise ServiceBusy("storage is busy")
        return list_(container, prefix)

    monkeypatch.setattr(world.storage, "list", listed)

    async def listens() -> None:
        nonlocal busy
        feed = _feed(world)
        with pytest.raises(ServiceBusy):
            await feed.begin()
        busy = False
        await feed.begin()
        events = feed.listen(ALL, "", 60)
        await _some(events, 1)
        busy = True
        _moves(world, S.VALIDATING, world.clock() + 1)
        waiting = asyncio.ensure_future(_some(events, 1))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        busy = False
        assert (await waiting)[0].event.state == "VALIDATING"

    asyncio.run(listens())


def test_a_stream_ends_in_its_time_and_nobody_looks_on_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "LINGERS", 0.0)
    world = World()
    world.services.ledger.create(a_snapshot())

    async def listens() -> None:
        feed = _feed(world)
        await feed.begin()
        poller = feed._poller
        assert [one.event.state async for one in feed.listen(ALL, "", 0.05)] == ["RECEIVED"]
        assert poller is not None
        await asyncio.wait_for(poller, 30)

    asyncio.run(listens())
