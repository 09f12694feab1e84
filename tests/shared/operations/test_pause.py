"""A paused dataset: what is dropped is checked and waits before anything is paid; what serves goes on."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import NotFound
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from shared.operations import actions, datasets, status
from tests.builders import DATASET, NEWER, a_dataset, a_release, a_snapshot, a_trained_snapshot
from tests.fakes import World, dialogues

SET = f"dataset/{DATASET}"


def _served() -> World:
    world = World()
    world.drop(f"{DATASET}/1.jsonl", dialogues(40))
    world.run()
    assert set(world.states().values()) == {"LIVE"}
    world.clock.now += 60
    return world


def _dropped(world: World, name: str) -> str:
    world.drop(f"{DATASET}/{name}.jsonl", dialogues(40, name))
    world.run(until=1800)
    world.clock.now += 60
    return max(world.states())


def _row(world: World) -> Any:
    return world.services.ledger.read(SET).row


def test_what_is_dropped_is_checked_and_waits_before_anything_is_paid() -> None:
    world = _served()
    jobs = list(world.workspace.jobs.submitted)
    assert actions.pause(world.services, DATASET, "ada", "budget is spent").done
    snapshot = _dropped(world, "2")
    found = status.snapshot(world.services, snapshot)
    assert (found["state"], found["needs_attention"]) == ("VALIDATED", False)
    assert "paused by ada (budget is spent)" in found["waiting"]
    assert found["report"]["verdict"] == "accepted"
    assert world.workspace.jobs.submitted == jobs
    assert _row(world).state == D.LIVE, "what serves goes on"


def test_the_newest_goes_on_at_once_when_the_pause_is_over() -> None:
    world = _served()
    actions.pause(world.services, DATASET, "ada")
    older, newest = _dropped(world, "2"), _dropped(world, "3")
    assert world.states()[older] == "SUPERSEDED", "the newest wins while all wait, as ever"
    assert actions.unpause(world.services, DATASET, "bob").done
    world.run(until=60, sweep_every=1e9)
    assert world.services.ledger.read(f"snapshot/{newest}").row.state == S.TRAINING
    world.run()
    assert world.states()[newest] == "LIVE"


def test_a_job_whose_slot_was_taken_before_the_pause_is_not_submitted() -> None:
    world = World()
    world.services.ledger.create(a_dataset(D.LIVE))
    actions.pause(world.services, DATASET, "ada")
    job = f"dt-{world.services.installation}-{a_snapshot().id}-1"
    given = {"job": job, "job_status": "", "model": None, "poll_at": world.clock()}
    world.services.ledger.create(a_trained_snapshot(S.VALIDATED, **given))
    world.run(until=60, sweep_every=1e9)
    assert world.workspace.jobs.submitted == []
    assert "paused by ada" in world.services.ledger.read(f"snapshot/{a_snapshot().id}").row.waiting


def test_a_model_waits_for_its_release_and_what_is_kept_to_go_back_to_stays() -> None:
    world = World()
    world.services.ledger.create(a_trained_snapshot(id=NEWER))
    previous = a_release("support-bot-20260920141320-0123abcd")
    world.services.ledger.create(a_dataset(D.LIVE, newest_registered=NEWER, previous=previous, kept_until=2e9))
    actions.pause(world.services, DATASET, "ada")
    for _ in range(3):
        for message in list(world.storage.messages):
            world.storage.messages.remove(message)
            world._step(message[2])
        world.clock.now += 900
    row = _row(world)
    assert (row.state, row.candidate, row.previous.deployment) == (D.LIVE, None, previous.deployment)
    assert status.snapshot(world.services, NEWER)["reason"].startswith(f"{DATASET} is paused by ada")
    actions.unpause(world.services, DATASET, "ada")
    assert _row(world).next_release == NEWER


def test_a_rollout_under_way_is_finished() -> None:
    world = World()
    world.workspace.pace = 300
    world.drop(f"{DATASET}/1.jsonl", dialogues(40))
    while not (rows := list(world.services.ledger.rows("dataset"))) or rows[0].state != D.DEPLOYING:
        world.run(until=30, sweep_every=1e9)
        world.clock.now += 1
    actions.pause(world.services, DATASET, "ada")
    world.run()
    assert _row(world).state == D.LIVE


def test_asking_twice_is_asking_once_and_people_see_it() -> None:
    world = _served()
    assert actions.pause(world.services, DATASET, "ada").done
    assert "already" in actions.pause(world.services, DATASET, "bob").text
    assert status.dataset(world.services, DATASET)["paused"]["by"] == "ada"
    assert [one.paused for one in datasets.summaries(world.services)] == [True]
    assert actions.unpause(world.services, DATASET, "ada").done
    assert actions.unpause(world.services, DATASET, "ada").done
    assert status.dataset(world.services, DATASET)["paused"] is None


@pytest.mark.parametrize("act", [actions.pause, actions.unpause])
def test_what_is_not_there_or_is_being_deleted_is_not_paused(act: Any) -> None:
    world = World()
    with pytest.raises(NotFound):
        act(world.services, DATASET, "ada")
    world.services.ledger.create(a_dataset(D.LIVE))
    actions.delete(world.services, DATASET, "ada")
    assert not act(world.services, DATASET, "ada").done
