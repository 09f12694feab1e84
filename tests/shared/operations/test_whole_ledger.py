"""The look at the whole ledger reads each thing once, and what is damaged stops nothing else of it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pytest

from shared.errors import AzureRefused, Damaged
from shared.ledger.cards import card_of
from shared.ledger.release import ReleaseOutcome
from shared.ledger.states import ReleaseState, SnapshotState
from shared.operations import costs, open_rows, orphans, sweep, whole_ledger
from shared.releases import outcomes
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_release, a_snapshot, a_trained_snapshot
from tests.counted_storage import CountedStorage
from tests.fakes import START, World

OTHER = NEWER.replace(DATASET, "zz-bot")


def _outcome() -> ReleaseOutcome:
    return ReleaseOutcome(state=ReleaseState.RETIRED, at=START)


def _damaged(world: World, name: str) -> None:
    stored = world.storage.blobs["ledger", name]
    world.storage.put("ledger", name, stored.data[: len(stored.data) // 2], stored.metadata)


def _told(world: World, snapshot: str) -> Any:
    return world.services.ledger.read(f"snapshot/{snapshot}").row.outcome


class Reads:
    """Storage that knows what was read and listed of it."""

    def __init__(self, storage: Any) -> None:
        self.storage, self.seen = storage, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        act = getattr(self.storage, name)
        if name not in ("read", "list"):
            return act

        def noted(container: str, of: str = "") -> Any:
            self.seen[f"{name} {container}/{of}"] += 1
            return act(container, of)

        return noted


def test_the_index_and_the_datasets_are_read_once() -> None:
    world = World()
    world.services.ledger.create(a_trained_snapshot())
    world.services.ledger.create(a_dataset(newest_registered=SNAPSHOT))
    whole_ledger.look(world.services)
    storage: Any = Reads(world.storage)
    whole_ledger.look(dataclasses.replace(world.services, storage=storage))
    # The recent ones are read once more to be written.
    assert {name: count for name, count in storage.seen.items() if count > 1} == {"read ledger/_index/recent": 2}
    assert storage.seen["list ledger/datasets/"] == 1


def test_a_damaged_snapshot_keeps_no_other_from_telling_how_its_release_ended() -> None:
    world = World()
    for name in (SNAPSHOT, NEWER):
        world.services.ledger.create(a_trained_snapshot(id=name))
    world.services.ledger.create(a_dataset(live=None, outcomes={SNAPSHOT: _outcome(), NEWER: _outcome()}))
    _damaged(world, f"snapshots/{DATASET}/{SNAPSHOT}.json")
    with pytest.raises(Damaged):
        outcomes.tell_again(world.services, DATASET, lambda *_: True)
    assert _told(world, NEWER) == _outcome()


@pytest.mark.parametrize("call", ["put", "delete"])
def test_a_card_that_storage_refuses_stops_the_sweep_for_no_other_snapshot(call: str) -> None:
    """Who uploads may not touch the ledger, but a legal hold or a lease of somebody else's may be on any blob."""
    world = World()
    ledger, refused = world.services.ledger, f"open/{DATASET}/{SNAPSHOT}"
    for name in (SNAPSHOT, NEWER):
        state = SnapshotState.REJECTED if call == "delete" else SnapshotState.RECEIVED
        row = ledger.create(a_snapshot(id=name, state=state, poll_at=START)).row
        ledger.cards.put(card_of(row.but(waiting="what it waited for before")))
    act = getattr(world.storage, call)

    def refuse(container: str, name: str, *more: Any, **others: Any) -> Any:
        if name == refused:
            raise AzureRefused("is held by a legal hold")
        return act(container, name, *more, **others)

    setattr(world.storage, call, refuse)
    world.clock.now += 3600
    world.storage.messages.clear()
    sweep.sweep(world.services)
    if call == "put":
        assert {f"snapshot/{SNAPSHOT}", f"snapshot/{NEWER}"} <= {text for _, _, text in world.storage.messages}
    else:
        assert [kept.snapshot for kept in ledger.cards.list()] == [SNAPSHOT]


def test_a_sweep_asks_once_whether_snapshots_tell_how_their_releases_ended() -> None:
    world = World()
    for number in range(20):
        name, snapshot = f"bot-{number:02}", SNAPSHOT.replace(DATASET, f"bot-{number:02}")
        world.services.ledger.create(a_trained_snapshot(id=snapshot, dataset=name))
        world.services.ledger.create(a_dataset(name=name, live=None, outcomes={snapshot: _outcome()}))
    counted: Any = CountedStorage(world.storage)
    services = dataclasses.replace(world.services, storage=counted)
    listed = services.ledger.datasets()
    assert len(open_rows.tell_outcomes(services, listed, {})) == 20
    counted.reset()
    assert open_rows.tell_outcomes(services, listed, {}) == []
    assert counted.requests == {}
    world.clock.now += 1
    ledger = world.services.ledger
    ledger.change("dataset/bot-07", lambda row: row.but(history=row.longer_history(row.state, "again", ledger.clock())))
    assert open_rows.tell_outcomes(services, services.ledger.datasets(), {}) == ["bot-07"]


def test_what_a_damaged_snapshot_cannot_be_told_stays_in_the_row_of_its_dataset(monkeypatch: Any) -> None:
    monkeypatch.setattr(outcomes, "KEPT", 1)
    world = World()
    names = [f"{DATASET}-2026092{n}141320-0123abcd" for n in range(3)]
    for name in names:
        world.services.ledger.create(a_trained_snapshot(id=name))
    row = world.services.ledger.create(a_dataset(live=None, outcomes=dict.fromkeys(names, _outcome()))).row
    _damaged(world, f"snapshots/{DATASET}/{names[0]}.json")
    assert [*outcomes.settled(world.services, row, row.outcomes)] == [names[0], names[2]]
    assert _told(world, names[1]) == _outcome()


@pytest.mark.parametrize("part", ["newest model", "outcomes", "costs", "vanished endpoint"])
def test_a_damaged_dataset_keeps_no_other_from_being_looked_at(part: str) -> None:
    world = World()
    services, ledger = world.services, world.services.ledger
    for name, snapshot in ((DATASET, SNAPSHOT), ("zz-bot", OTHER)):
        row = a_dataset(name=name, live=a_release(snapshot), outcomes={snapshot: _outcome()})
        stored = ledger.create(row)
        ledger.write(stored, stored.row.but(live=a_release(snapshot, deployment="")))
        ledger.create(a_trained_snapshot(id=snapshot, dataset=name))
    _damaged(world, f"datasets/{DATASET}.json")
    listed, damaged = ledger.datasets(), dict[str, str]()
    match part:
        case "newest model":
            whole_ledger.look(services)
            assert ledger.read("dataset/zz-bot").row.newest_registered == OTHER
        case "outcomes":
            open_rows.tell_outcomes(services, listed, damaged)
            assert _told(world, OTHER) == _outcome()
        case "costs":
            assert [*costs.record_ended(services, listed, damaged)] == ["zz-bot"]
        case _:
            orphans.collect(services, listed, damaged)
            assert ledger.read("dataset/zz-bot").row.requested.what == "sleep"
    if part != "newest model":  # the nightly round looks for damage by itself
        assert [*damaged] == [f"ledger/datasets/{DATASET}.json"]
