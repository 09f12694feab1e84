"""No more datasets than MAX_ENDPOINTS have an endpoint at once; what waits for one says so, and gets it in the end."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger.rows import Origin
from shared.ledger.states import DatasetState as D
from shared.operations import actions, status, steps
from tests.builders import a_dataset, a_model, a_trained_snapshot
from tests.fakes import World, dialogues


def _world() -> World:
    """Three datasets that are released, of which two may have an endpoint."""
    world = World(settings={"max_endpoints": 2, "max_runs": 10})
    for name in ("one", "two", "three"):
        world.drop(f"{name}.jsonl", dialogues(40, name))
    world.run()
    return world


def _states(world: World) -> dict[str, Any]:
    return {name: world.services.ledger.read(f"dataset/{name}").row.state for name in ("one", "two", "three")}


def _by_state(world: World, state: D) -> list[str]:
    return [name for name, found in _states(world).items() if found == state]


def test_a_release_beyond_the_limit_waits_and_says_why_until_another_sleeps() -> None:
    world = _world()
    (waits,) = _by_state(world, D.EMPTY)
    assert len(world.workspace.endpoints.made) == 2
    told = "2 other datasets have an endpoint and MAX_ENDPOINTS is 2"
    assert told in status.dataset(world.services, waits)["waiting"]
    assert told in world.snapshots(waits)[0]["waiting"]
    actions.ask(world.services, _by_state(world, D.LIVE)[0], "sleep", "ada")
    world.run()
    assert _states(world)[waits] == D.LIVE
    assert status.dataset(world.services, waits)["waiting"] is None
    assert len(world.workspace.endpoints.made) == 2


def _meanwhile(world: World, act: Any) -> None:
    """Has something happen right after the next listing of datasets, as another worker would do it."""
    listing = world.storage.list

    def once(container: str, prefix: str = "") -> Any:
        found = list(listing(container, prefix))
        if prefix == "datasets/":
            world.storage.list = listing  # type: ignore[method-assign]
            act()
        return iter(found)

    world.storage.list = once  # type: ignore[method-assign]


@pytest.mark.parametrize("state", [D.EMPTY, D.ASLEEP])
def test_two_datasets_that_ask_in_the_same_moment_do_not_both_get_the_last_endpoint(state: D) -> None:
    world = World(settings={"max_endpoints": 1})
    for name in ("one", "two"):
        snapshot = f"{name}-20260921141320-0123abcd"
        model = a_model()
        world.services.ledger.create(a_trained_snapshot(id=snapshot, dataset=name, model=model))
        world.services.ledger.create(a_dataset(state, name=name, live=None, newest_registered=snapshot, endpoint=""))
    _meanwhile(world, lambda: steps.step(world.services, "dataset/two?"))
    steps.step(world.services, "dataset/one?")
    assert sorted(world.services.ledger.read(f"dataset/{name}").row.state for name in ("one", "two")) == sorted(
        [D.DEPLOYING, state]
    )


def test_of_two_that_are_woken_in_the_same_moment_one_wakes() -> None:
    """Each of them is shown as waking before anybody looked whether it may."""
    world = World(settings={"max_endpoints": 1})
    for name in ("one", "two"):
        world.drop(f"{name}.jsonl", dialogues(40, name))
        world.run()
        actions.ask(world.services, name, "sleep", "ada")
        world.run()
    for name in ("one", "two"):
        actions.ask(world.services, name, "wake", "ada")
    world.run()
    states = [world.services.ledger.read(f"dataset/{name}").row.state for name in ("one", "two")]
    assert sorted(states) == [D.ASLEEP, D.LIVE]
    assert len(world.workspace.endpoints.made) == 1


def test_a_slot_that_was_taken_before_a_crash_runs_out() -> None:
    world = World(settings={"max_endpoints": 1})
    one, two = a_dataset(D.EMPTY, name="one"), a_dataset(D.EMPTY, name="two")
    assert world.services.endpoint_slots.take(one) == world.services.endpoint_slots.take(one) == ""
    assert "MAX_ENDPOINTS is 1" in world.services.endpoint_slots.take(two)
    world.clock.now += 121
    assert world.services.endpoint_slots.take(two) == ""


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"taken": {"a": "x"}}', b"\xff"])
def test_slots_that_cannot_be_read_are_written_anew(data: bytes) -> None:
    world = World(settings={"max_endpoints": 1})
    world.storage.put("ledger", "endpoints.json", data)
    world.services.ledger.create(a_dataset(D.LIVE, name="one"))
    two = a_dataset(D.EMPTY, name="two")
    assert "1 other datasets have an endpoint" in world.services.endpoint_slots.take(two)
    world.services.ledger.change("dataset/one", lambda row: row.but(state=D.ASLEEP))
    assert world.services.endpoint_slots.take(two) == ""


def test_a_wake_beyond_the_limit_ends_with_the_reason_and_makes_nothing() -> None:
    world = _world()
    asleep = _by_state(world, D.LIVE)[0]
    actions.ask(world.services, asleep, "sleep", "ada")
    world.run()
    actions.ask(world.services, asleep, "wake", "a call", Origin.CALL)
    world.run()
    row = world.services.ledger.read(f"dataset/{asleep}").row
    assert (row.state, row.requested) == (D.ASLEEP, None)
    assert "could not wake: 2 other datasets have an endpoint and MAX_ENDPOINTS is 2" in row.reason
    assert len(world.workspace.endpoints.made) == 2
