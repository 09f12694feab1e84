"""Somebody deletes in Azure what a dataset serves from: whatever its state, it ends up serving or asleep, with nothing
left that costs money, and without waiting for a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.ledger.states import DatasetState as D
from shared.operations import actions
from tests.fakes import World, dialogues

NAME, KEY = "support-bot", "dataset/support-bot"
DAY = 86_400.0


def _world(**settings: Any) -> World:
    world = World(settings=settings)
    world.drop(f"{NAME}.jsonl", dialogues(40))
    world.run()
    assert _row(world).state == D.LIVE
    return world


def _row(world: World) -> Any:
    return world.services.ledger.read(KEY).row


def _until(world: World, true: Callable[[Any], bool]) -> None:
    for _ in range(4000):
        if true(_row(world)):
            return
        world.run(until=5)
        world.clock.now += 5
    raise AssertionError(f"it never was: {_row(world).state}")


def _delete_endpoint(world: World) -> None:
    endpoint = _row(world).endpoint
    world.workspace.endpoints.made.pop(endpoint, None)
    for key in [key for key in world.workspace.deployments.made if key[0] == endpoint]:
        del world.workspace.deployments.made[key]


def _delete_live_deployment(world: World) -> None:
    row = _row(world)
    made = world.workspace.endpoints.made[row.endpoint]
    left = {name: share for name, share in made.value.traffic.items() if name != row.live.deployment}
    made.value = made.value.but(traffic=left)
    del world.workspace.deployments.made[row.endpoint, row.live.deployment]


STAGE = {"DEPLOYING": None, "EVALUATING": None, "SHIFTING, before its traffic": 0, "SHIFTING, at a stage": 1}


def _is_at(where: str) -> Callable[[Any], bool]:
    state, _, part = where.partition(", ")

    def true(row: Any) -> bool:
        if row.state != state:
            return False
        stages = row.candidate.stages
        return not part or (bool(stages) and bool(stages[-1].since) == (part == "at a stage"))

    return true


@pytest.mark.parametrize("delete", [_delete_endpoint, _delete_live_deployment], ids=["endpoint", "live's deployment"])
@pytest.mark.parametrize("where", STAGE)
def test_a_rollout_goes_on_without_what_was_live_or_is_undone(where: str, delete: Callable[[World], None]) -> None:
    world = _world(rollout_bake_minutes=10)
    world.clock.now += 5
    world.drop(f"{NAME}/next.jsonl", dialogues(60, "next"))
    _until(world, _is_at(where))
    delete(world)
    world.run(until=DAY)
    row = _row(world)
    assert (row.attention, row.candidate, row.fault) == (False, None, None), row.history[-3:]
    _is_sound(world)
    if row.state == D.ASLEEP:
        assert actions.ask(world.services, NAME, "wake", "me").done
        world.run(until=DAY)
        assert _row(world).state == D.LIVE
        _is_sound(world)


def _is_sound(world: World) -> None:
    row = _row(world)
    assert row.state in (D.LIVE, D.ASLEEP)
    names = [name for _, name in world.workspace.deployments.made]
    if row.state == D.ASLEEP:
        assert (names, row.traffic) == ([], {})
        assert not world.workspace.endpoints.made
    else:
        assert names == [row.live.deployment]
        assert world.workspace.endpoints.made[row.endpoint].value.traffic == {row.live.deployment: 100}


def test_a_release_that_waits_is_released_though_the_endpoint_of_what_was_live_is_gone() -> None:
    world = _world()
    _delete_endpoint(world)
    world.clock.now += 5
    world.drop(f"{NAME}/next.jsonl", dialogues(60, "next"))
    world.run(until=DAY)
    assert world.snapshots()[0]["state"] == "LIVE"
    assert not _row(world).attention
    _is_sound(world)


def test_one_can_go_back_though_what_is_live_was_deleted() -> None:
    world = _world(rollback_keep_hours=24)
    first = _row(world).live.deployment
    world.clock.now += 5
    world.drop(f"{NAME}/next.jsonl", dialogues(60, "next"))
    _until(world, lambda row: row.state == D.LIVE and row.live.deployment != first)
    _delete_live_deployment(world)
    assert actions.ask(world.services, NAME, "roll_back", "ada").done
    world.run(until=3600)
    row = _row(world)
    assert (row.state, row.live.deployment, row.attention) == (D.LIVE, first, False)
    _is_sound(world)
