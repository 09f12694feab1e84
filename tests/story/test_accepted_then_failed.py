"""Azure accepts a write, and it fails a while later, each time: nothing is repeated for ever, and nothing is silent."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from shared.ledger.pending import WRITES
from shared.ledger.states import DatasetState as D
from shared.ledger.states import ReleaseState
from shared.operations import actions
from shared.releases import idle
from tests.fakes import World, dialogues

NAME, KEY = "support-bot", "dataset/support-bot"
DAY = 86_400.0
WHY = "InternalServerError: the operation failed"


def _live(**settings: Any) -> World:
    world = World(settings=settings)
    world.drop(f"{NAME}.jsonl", dialogues(40))
    world.run()
    assert _row(world).state == D.LIVE
    world.workspace.accepted.clear()
    return world


def _row(world: World) -> Any:
    return world.services.ledger.read(KEY).row


def _breaks(world: World, *kinds: str) -> None:
    world.workspace.breaks = lambda kind, name: WHY if kind in kinds else ""


def _drop_next(world: World) -> None:
    world.clock.now += 5
    world.drop(f"{NAME}/next.jsonl", dialogues(60, "next"))


def _writes(world: World) -> Counter[str]:
    return Counter(kind for kind, _ in world.workspace.accepted)


def _says_why(row: Any) -> bool:
    """Whether a person who looks at the row is told what Azure said."""
    reasons = [entry.reason for entry in row.history] + [row.fault.message if row.fault else ""]
    return any(WHY in reason for reason in reasons)


def test_traffic_that_cannot_be_moved_ends_the_rollout_and_the_candidate_is_paid_for_no_longer() -> None:
    world = _live()
    live = _row(world).live.deployment
    _breaks(world, "traffic")
    _drop_next(world)
    world.run(until=14 * DAY)
    row, newest = _row(world), world.snapshots()[0]
    assert (row.state, row.attention, row.candidate) == (D.LIVE, False, None)
    assert newest["state"] == ReleaseState.DEPLOY_FAILED
    assert WHY in newest["reason"]
    assert [name for _, name in world.workspace.deployments.made] == [live]
    assert _writes(world)["traffic"] <= 2 * WRITES


def test_a_failed_write_of_traffic_is_mended_before_the_next_release() -> None:
    world = _live()
    _breaks(world, "traffic")
    _drop_next(world)
    world.run(until=DAY)
    _breaks(world)
    actions.retry(world.services, world.snapshots()[0]["id"], "me")
    world.run(until=DAY)
    assert world.snapshots()[0]["state"] == "LIVE"


def test_a_candidate_that_has_traffic_and_cannot_be_rolled_back_waits_for_a_person_who_is_told_why() -> None:
    world = _live(rollout_bake_minutes=30)
    live = _row(world).live
    _drop_next(world)
    for _ in range(2000):
        world.run(until=5)
        world.clock.now += 5
        if (candidate := _row(world).candidate) and candidate.stages and candidate.stages[-1].since:
            break
    _breaks(world, "traffic")
    assert actions.ask(world.services, NAME, "roll_back", "ada").done
    world.run(until=14 * DAY)
    row = _row(world)
    assert (row.state, row.attention) == (D.SHIFTING, True)
    assert WHY in row.fault.message
    assert _writes(world)["traffic"] <= 2 * WRITES
    _breaks(world)
    actions.resume(world.services, NAME, "ada")
    world.run(until=DAY)
    row = _row(world)
    assert (row.state, row.live.deployment, row.pending) == (D.LIVE, live.deployment, {})
    assert list(world.workspace.deployments.made) == [(row.endpoint, live.deployment)]


@pytest.mark.parametrize("settings", [{}, {"rollback_keep_hours": 1}], ids=["withheld", "retired"])
def test_a_deployment_that_cannot_be_removed_waits_for_a_person_and_live_goes_on(settings: dict[str, Any]) -> None:
    world = _live(**settings)
    if not settings:
        world.inference.text = ""
    _breaks(world, "removal")
    _drop_next(world)
    world.run(until=14 * DAY)
    row = _row(world)
    assert row.attention
    assert WHY in row.fault.message
    assert _writes(world)["removal"] <= WRITES
    assert world.workspace.endpoints.made[row.endpoint].value.traffic == {row.live.deployment: 100}
    _breaks(world)
    actions.resume(world.services, NAME, "ada")
    world.run(until=DAY)
    row = _row(world)
    assert (row.state, row.attention, row.pending) == (D.LIVE, False, {})
    assert list(world.workspace.deployments.made) == [(row.endpoint, row.live.deployment)]


def test_an_endpoint_that_cannot_be_put_to_sleep_serves_on_and_says_why() -> None:
    world = _live()
    _breaks(world, "removal")
    actions.ask(world.services, NAME, "sleep", "ada")
    world.run(until=14 * DAY)
    row = _row(world)
    assert (row.state, row.requested, row.pending) == (D.LIVE, None, {})
    assert row.reason.startswith("could not be put to sleep: removal of endpoint")
    assert WHY in row.reason
    assert _writes(world) == {"removal": WRITES}


def test_an_idle_endpoint_that_cannot_be_removed_is_tried_again_each_night_only() -> None:
    world = _live(idle_hours=1)
    _breaks(world, "removal")
    for _ in range(14):
        world.run(until=DAY)
        world.clock.now = (world.clock.now // DAY + 1) * DAY
        idle.request_sleep(world.services)
    assert _row(world).state == D.LIVE
    assert _writes(world)["removal"] <= 14 * WRITES


@pytest.mark.parametrize("kind", ["endpoint", "deployment", "traffic"])
def test_a_wake_that_azure_accepts_and_does_not_carry_out_removes_what_it_made(kind: str) -> None:
    world = _live()
    actions.ask(world.services, NAME, "sleep", "ada")
    world.run()
    world.workspace.accepted.clear()
    _breaks(world, kind)
    actions.ask(world.services, NAME, "wake", "ada")
    world.run(until=14 * DAY)
    row = _row(world)
    assert (row.state, row.requested, row.pending) == (D.ASLEEP, None, {})
    assert WHY in row.reason
    assert not world.workspace.endpoints.made
    assert sum(_writes(world).values()) <= 2 * WRITES


@pytest.mark.parametrize("kind", ["endpoint", "deployment", "traffic"])
def test_a_first_release_that_azure_accepts_and_does_not_carry_out_leaves_nothing_behind(kind: str) -> None:
    world = World()
    _breaks(world, kind)
    world.drop(f"{NAME}.jsonl", dialogues(40))
    world.run(until=14 * DAY)
    row, newest = _row(world), world.snapshots()[0]
    assert (row.state, row.candidate, row.pending) == (D.EMPTY, None, {})
    assert newest["state"] == ReleaseState.DEPLOY_FAILED
    assert WHY in newest["reason"]
    assert not world.workspace.endpoints.made
    assert sum(_writes(world).values()) <= 2 * WRITES


def test_nothing_at_all_that_azure_accepts_is_carried_out_for_a_fortnight() -> None:
    world = _live()
    _breaks(world, "endpoint", "traffic", "deployment", "removal")
    _drop_next(world)
    world.run(until=14 * DAY)
    row = _row(world)
    assert row.attention
    assert _says_why(row)
    assert sum(_writes(world).values()) <= 4 * WRITES


def test_a_cluster_that_is_never_made_ends_the_training_before_it_costs() -> None:
    world = World(settings={"training_compute": "gpus", "create_compute": True})
    _breaks(world, "cluster")
    world.drop(f"{NAME}.jsonl", dialogues(40))
    world.run(until=14 * DAY)
    newest = world.snapshots()[0]
    assert newest["state"] == "TRAINING_FAILED"
    assert WHY in newest["reason"]
    assert _writes(world) == {"cluster": WRITES}
    assert not world.workspace.jobs.submitted


@pytest.mark.parametrize("minutes", [60, 600])
def test_a_job_whose_cancellation_is_accepted_and_not_carried_out_is_given_up_and_says_so(minutes: int) -> None:
    world = World(settings={"silence_minutes": minutes})
    world.workspace.jobs.outcome = lambda name: "NotResponding"
    _breaks(world, "cancel")
    world.drop(f"{NAME}.jsonl", dialogues(40))
    world.run(until=14 * DAY)
    newest = world.snapshots()[0]
    assert newest["state"] == "TRAINING_FAILED"
    assert re.search(rf"did not respond for {2 * minutes // 10}\d minutes, though it was canceled", newest["reason"])
    assert _writes(world)["cancel"] <= WRITES


@pytest.mark.parametrize("kept_up", [False, True], ids=["canceled", "not carried out"])
def test_a_job_that_runs_longer_than_the_limit_is_canceled_and_says_so(kept_up: bool) -> None:
    world = World(settings={"training_limit_hours": 3})
    world.workspace.jobs.outcome = lambda name: "Running"
    if kept_up:
        _breaks(world, "cancel")
    world.drop(f"{NAME}.jsonl", dialogues(40))
    began = world.clock()
    world.run(until=14 * DAY)
    newest = world.snapshots()[0]
    assert newest["state"] == "TRAINING_FAILED"
    told = "though it was canceled" if kept_up else "and was canceled"
    assert "ran longer than TRAINING_LIMIT_HOURS (3 h)" in newest["reason"]
    assert newest["reason"].endswith(told)
    assert 1 <= _writes(world)["cancel"] <= WRITES
    row = world.services.ledger.read(f"snapshot/{newest['id']}").row
    assert 3 * 3600 <= row.since - began <= 3 * 3600 + 2 * 3600
    assert (row.cancel_asked_at, row.pending) == (None, {})
