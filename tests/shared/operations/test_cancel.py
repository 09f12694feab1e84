"""Canceling a snapshot: it ends before it serves, its job before it does, and what waited for it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger.release import ReleaseOutcome
from shared.ledger.states import DatasetState as D
from shared.ledger.states import ReleaseState
from shared.ledger.states import SnapshotState as S
from shared.operations import actions, open_rows, steps, sweep
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_fault, a_release, a_snapshot, a_trained_snapshot
from tests.fakes import World, dialogues

KEY, SET = f"snapshot/{SNAPSHOT}", f"dataset/{DATASET}"
ENDED = (S.REJECTED, S.DUPLICATE, S.SUPERSEDED, S.TRAINING_FAILED, S.REGISTER_FAILED, S.CLEANING, S.CLEANED)


def _dropped(**settings: Any) -> World:
    world = World(settings=settings)
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    return world


def _only(world: World) -> Any:
    (row,) = world.services.ledger.rows("snapshot")
    return row


def _run_to(world: World, state: S) -> Any:
    """Runs step by step until the one snapshot is in this state."""
    while world.events:
        world._event(world.events.pop(0))
    while (row := _only(world)).state != state:
        _one_step(world)
    return row


def _one_step(world: World) -> None:
    message = min(world.storage.messages)
    world.storage.messages.remove(message)
    world.clock.now = max(world.clock.now, message[0])
    steps.step(world.services, message[2])


def _row(world: World, key: str) -> Any:
    return world.services.ledger.read(key).row


def test_a_job_is_canceled_and_has_ended_before_its_snapshot_has() -> None:
    world = _dropped()
    world.workspace.pace = 3600
    row = _run_to(world, S.TRAINING)
    answer = actions.cancel(world.services, row.id, "ada", "wrong file")
    assert answer.done
    assert actions.cancel(world.services, row.id, "bob").done, "asking twice is asking once"
    world.run()
    found = _only(world)
    assert (found.state, found.reason) == (S.CANCELED, "canceled by ada: wrong file")
    assert [entry.state for entry in found.history[-2:]] == [S.CANCELING, S.CANCELED]
    assert world.workspace.jobs.canceled == [row.job]
    assert found.requested is None
    assert not world.services.budget.reservations().holds(row.job)
    assert world.states() == {row.id: "CANCELED"}
    assert actions.cancel(world.services, row.id, "ada").done


def test_a_job_that_azure_does_not_end_leaves_its_snapshot_canceling_for_a_person() -> None:
    world = _dropped()
    world.workspace.pace = 1e6
    row = _run_to(world, S.TRAINING)
    world.workspace.breaks = lambda kind, name: "it does not end" if kind == "cancel" else ""
    actions.cancel(world.services, row.id, "ada")
    world.run(until=20 * 3600.0)
    found = _only(world)
    assert (found.state, found.attention, found.fault.type) == (S.CANCELING, True, "AzureFailed")
    world.workspace.breaks = lambda kind, name: ""
    actions.retry(world.services, row.id, "ada")
    world.run()
    assert _only(world).state == S.CANCELED


def test_a_job_that_completed_in_the_same_moment_is_kept_for_a_retry() -> None:
    world = _dropped()
    row = _run_to(world, S.TRAINING)
    world.clock.now += 3600
    actions.cancel(world.services, row.id, "ada")
    world.run()
    found = _only(world)
    assert (found.state, found.job_status) == (S.CANCELED, "Completed")
    assert "had completed" in found.reason
    assert world.workspace.jobs.canceled == []
    assert actions.retry(world.services, row.id, "ada").done
    world.run()
    assert world.workspace.jobs.submitted == [row.job], "nothing is trained twice"
    assert world.states() == {row.id: "LIVE"}


@pytest.mark.parametrize("state", [S.RECEIVED, S.VALIDATED])
def test_what_was_not_submitted_costs_nothing_and_may_be_taken_again(state: S) -> None:
    world = _dropped()
    row = _run_to(world, state)
    actions.cancel(world.services, row.id, "ada")
    world.run()
    assert _only(world).state == S.CANCELED
    assert world.workspace.jobs.submitted == []
    assert not world.services.budget.reservations().runs
    assert actions.retry(world.services, row.id, "ada").done
    assert actions.retry(world.services, row.id, "ada").done, "asking twice is asking once"
    world.run()
    assert world.states() == {row.id: "LIVE"}


@pytest.mark.parametrize(("state", "seen"), [(S.VALIDATING, 0), (S.SUBMITTING, 0), (S.REGISTERING, 1)])
def test_a_step_that_was_cut_off_notices_that_nobody_wants_its_product(state: S, seen: int) -> None:
    world = _dropped()
    done = S.TRAINED if state == S.REGISTERING else {S.VALIDATING: S.RECEIVED, S.SUBMITTING: S.VALIDATED}[state]
    row = _run_to(world, done)
    ledger = world.services.ledger
    if state == S.SUBMITTING:
        steps.step(world.services, f"{row.key}?")  # takes its slot
    stored = ledger.read(row.key)
    ledger.write(stored, stored.row.but(state=state, acting=True))
    assert actions.cancel(world.services, row.id, "ada").done
    world.run()
    assert _only(world).state == S.CANCELED
    assert len(world.workspace.jobs.submitted) == seen
    assert world.workspace.models.registered == []


def test_a_snapshot_that_waits_for_a_person_can_be_canceled() -> None:
    world = World()
    world.services.ledger.create(a_snapshot(S.VALIDATED, attention=True, fault=a_fault(count=5)))
    assert actions.cancel(world.services, SNAPSHOT, "ada").done
    world.run()
    assert _row(world, KEY).state == S.CANCELED


@pytest.mark.parametrize("state", ENDED)
def test_what_has_ended_is_left_as_it_is(state: S) -> None:
    world = World()
    world.services.ledger.create(a_snapshot(state))
    answer = actions.cancel(world.services, SNAPSHOT, "ada")
    assert not answer.done
    assert state in answer.text
    assert _row(world, KEY).requested is None


@pytest.mark.parametrize("state", ENDED[:5])
def test_a_request_that_came_too_late_is_gone_with_the_end(state: S) -> None:
    row = a_snapshot(S.TRAINING, requested=None).but(state=state)
    asked = row.but(requested=_request())
    assert asked.settled().requested is None
    assert row.but(state=S.TRAINING, requested=_request()).settled().requested is not None


def _request() -> Any:
    world = World()
    world.services.ledger.create(a_snapshot(S.TRAINING))
    actions.cancel(world.services, SNAPSHOT, "ada")
    return _row(world, KEY).requested


def test_the_next_snapshot_takes_the_place_at_once() -> None:
    world = _dropped(max_runs_per_dataset=1)
    world.workspace.pace = 3600
    first = _run_to(world, S.TRAINING)
    world.clock.now += 60
    world.drop(f"{DATASET}.jsonl", dialogues(40, "other"))
    world.run(until=600)
    second = max(world.states())
    assert _row(world, f"snapshot/{second}").waiting
    actions.cancel(world.services, first.id, "ada")
    world.run(until=300, sweep_every=1e9)
    assert len(world.workspace.jobs.submitted) == 2


# --- what has its model ------------------------------------------------------------------------------------------


def _registered(state: D, **changes: Any) -> World:
    """A newer snapshot that has its model, and a dataset in this state."""
    world = World()
    world.services.ledger.create(a_trained_snapshot(id=NEWER))
    world.services.ledger.create(a_dataset(state, newest_registered=NEWER, **changes))
    world.storage.messages.clear()
    return world


def _step_all(world: World) -> None:
    while world.storage.messages:
        _one_step(world)


def test_a_model_that_waits_for_its_release_is_never_released() -> None:
    world = _registered(D.EMPTY)
    assert actions.cancel(world.services, NEWER, "ada", "not this one").done
    _step_all(world)
    assert (_row(world, SET).state, _row(world, SET).next_release) == (D.EMPTY, "")
    assert world.states() == {NEWER: "CANCELED"}
    assert actions.cancel(world.services, NEWER, "ada").done
    assert world.snapshots()[0]["reason"] == "canceled by ada: not this one"
    assert actions.retry(world.services, NEWER, "ada").done
    assert _row(world, SET).requested.what == "retry"


def test_a_candidate_is_taken_back_from_its_rollout() -> None:
    candidate = a_release(NEWER)
    world = _registered(D.SHIFTING, candidate=candidate, traffic={})
    assert actions.cancel(world.services, NEWER, "ada").done
    message = next(text for _, _, text in world.storage.messages if text.startswith("snapshot/"))
    steps.step(world.services, message)
    assert _row(world, SET).requested.wanted == ("roll_back", "")
    assert _row(world, f"snapshot/{NEWER}").requested is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"live": a_release(NEWER)}, "roll back"),
        ({"outcomes": {NEWER: ReleaseOutcome(state=ReleaseState.WITHHELD, at=1)}}, "WITHHELD"),
    ],
)
def test_what_serves_or_has_ended_is_not_canceled(changes: dict[str, Any], said: str) -> None:
    world = _registered(D.LIVE, **changes)
    answer = actions.cancel(world.services, NEWER, "ada")
    assert (answer.done, said in answer.text) == (False, True)
    assert _row(world, f"snapshot/{NEWER}").requested is None


def test_a_request_whose_message_was_lost_is_found_by_the_sweep() -> None:
    world = _registered(D.EMPTY)
    open_rows.close(world.services, _ended(world))
    actions.cancel(world.services, NEWER, "ada")
    world.storage.messages.clear()
    world.clock.now += 60
    assert f"snapshot/{NEWER}" in sweep.sweep(world.services)
    _step_all(world)
    assert world.states() == {NEWER: "CANCELED"}


def _ended(world: World) -> open_rows.EndedSnapshots:
    found = open_rows.EndedSnapshots()
    list(open_rows.poll_snapshots(world.services, list(world.services.ledger.cards.list()), found, 0.0, {}))
    return found
