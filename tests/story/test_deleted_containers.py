"""Somebody empties a container while the app runs: what was in it is gone, nothing else stops or is paid for twice."""

from __future__ import annotations

import pytest

from shared.azure.storage import CONTAINERS
from shared.operations import actions
from shared.snapshots import intake
from tests.fakes import World, dialogues


def _empty(world: World, container: str) -> None:
    for box, name in list(world.storage.blobs):
        if box == container:
            del world.storage.blobs[box, name]
    if container == "locks":
        world.storage.leases.clear()
    for box, name in list(world.storage.staged):
        if box == container:
            del world.storage.staged[box, name]


def _until(world: World, *states: str) -> None:
    while not set(states) & set(world.states().values()):
        world.run(30, sweep_every=60)


@pytest.mark.parametrize("moment", ["TRAINING", "DEPLOYING", "LIVE"])
@pytest.mark.parametrize("container", [box for box in CONTAINERS if box != "ledger"])
def test_the_app_goes_on_without_what_a_container_held(container: str, moment: str) -> None:
    world = World()
    intake.accept_since(world.services)
    world.drop("support-bot.jsonl", dialogues(40))
    _until(world, moment)
    _empty(world, container)
    world.run(4 * 3600)
    (row,) = world.snapshots()
    assert (row["needs_attention"], row["fault"]) == (False, None)
    # Without its held-out prompts a candidate cannot be asked anything: it is not released, and that is said.
    expected = {"LIVE"} if container != "frozen" or moment == "LIVE" else {"LIVE", "WITHHELD", "DEPLOY_FAILED"}
    assert row["state"] in expected
    assert row["state"] == "LIVE" or row["reason"]
    assert len(world.workspace.jobs.submitted) == 1
    world.drop("support-bot/next.jsonl", dialogues(40, "next"))
    world.run(4 * 3600)
    assert world.states()[max(world.states())] == "LIVE", "whatever comes next is as if nothing had been"


def test_of_a_ledger_that_is_emptied_the_endpoint_is_told_and_what_comes_next_is_served() -> None:
    world = World()
    intake.accept_since(world.services)
    world.drop("support-bot.jsonl", dialogues(40))
    world.run()
    _empty(world, "ledger")
    world.drop("support-bot/next.jsonl", dialogues(40, "next"))
    world.run(4 * 3600)
    assert list(world.states().values()) == ["LIVE"]
    assert len(world.workspace.endpoints.list()) == 1
    assert actions.ask(world.services, "support-bot", "sleep", "ada").done
    world.run()
    assert world.workspace.endpoints.list() == []
