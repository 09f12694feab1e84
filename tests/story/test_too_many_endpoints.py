"""No more datasets than MAX_ENDPOINTS have an endpoint at once; what waits for one says so, and gets it in the end."""

from __future__ import annotations

from typing import Any

from shared.ledger.rows import Origin
from shared.ledger.states import DatasetState as D
from shared.operations import actions, status
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
    assert told in status.snapshots(world.services, waits)[0]["waiting"]
    actions.ask(world.services, _by_state(world, D.LIVE)[0], "sleep", "ada")
    world.run()
    assert _states(world)[waits] == D.LIVE
    assert status.dataset(world.services, waits)["waiting"] is None
    assert len(world.workspace.endpoints.made) == 2


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
