"""Deleting a dataset: what costs money goes first, then everything that is its own, and nothing brings it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from shared import naming
from shared.azure.workspace.jobs import Job
from shared.errors import NotFound
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from shared.operations import actions, deletion_plan, open_rows, pages, status, steps, sweep
from shared.snapshots import intake
from tests.builders import DATASET, a_dataset, a_fault, a_snapshot
from tests.fakes import World, dialogues

OTHER = f"{DATASET}-2"
SET = f"dataset/{DATASET}"
# What outlives a dataset: what was spent, that it was deleted, and what is of the whole installation.
STAYS = ("deleted/", "costs/", "_", "budget.json", "endpoints.json")


def _served(*names: str, **settings: Any) -> World:
    world = World(settings=settings)
    for name in names or (DATASET, OTHER):
        world.drop(f"{name}/1.jsonl", dialogues(40, name))
    world.run()
    assert set(world.states().values()) == {"LIVE"}
    return world


def _owned(world: World, name: str) -> dict[tuple[str, str], bytes]:
    """The blobs that are a dataset's, but for what was dropped and for locks."""
    return {
        (container, blob): stored.data
        for (container, blob), stored in world.storage.blobs.items()
        if _owner(container, blob, stored) == name
    }


def _owner(container: str, blob: str, stored: Any) -> str:
    if container == "ledger" and blob.startswith("claims/"):
        return naming.dataset_of(stored.metadata["snapshot"]) or ""
    if container in ("snapshots", "locks") or (container == "ledger" and blob.startswith(STAYS)):
        return ""
    word = blob.split("/")[-1 if container == "ledger" else 0].split(".")[0]
    return naming.dataset_of(word) or word


def _delete(world: World, **how: Any) -> None:
    assert actions.delete(world.services, DATASET, "ada", **how).done
    world.run()


def test_everything_that_is_its_own_goes_and_nothing_of_another_dataset() -> None:
    world = _served()
    others, endpoints = _owned(world, OTHER), len(world.workspace.endpoints.made)
    snapshot = max(name for name in world.states() if naming.dataset_of(name) == DATASET)
    assert len(_owned(world, DATASET)) > 5
    _delete(world)
    assert _owned(world, DATASET) == {}
    assert {place: data for place, data in _owned(world, OTHER).items() if place in others} == others
    assert len(world.workspace.endpoints.made) == endpoints - 1
    assert [row["id"] for row in pages.snapshots(world.services)["snapshots"]] == list(world.states())
    assert snapshot not in world.states()
    with pytest.raises(NotFound):
        status.dataset(world.services, DATASET)


def test_what_was_dropped_and_the_models_stay_unless_it_is_asked_for() -> None:
    world = _served()
    _delete(world)
    assert ("snapshots", f"{DATASET}/1.jsonl") in world.storage.blobs
    assert any(DATASET in name for name, _ in world.workspace.models.made)
    world = _served()
    _delete(world, with_files=True)
    assert [name for box, name in world.storage.blobs if box == "snapshots"] == [f"{OTHER}/1.jsonl"]


def test_asking_for_what_was_dropped_when_all_else_is_gone_is_no_success() -> None:
    world = _served(DATASET)
    _delete(world)
    late = actions.delete(world.services, DATASET, "ada", True)
    assert (late.done, "without what was dropped" in late.text) == (False, True)
    assert ("snapshots", f"{DATASET}/1.jsonl") in world.storage.blobs
    assert actions.delete(world.services, DATASET, "ada").done


def test_what_costs_money_is_gone_before_anything_is_erased() -> None:
    world = _served(DATASET)
    world.workspace.pace = 3000
    world.clock.now += 60
    world.drop(f"{DATASET}/2.jsonl", dialogues(40, "more"))
    world.run(until=900)
    training = max(world.states())
    assert world.states()[training] == "TRAINING"
    before = {place for place in _owned(world, DATASET) if place[0] == "reports"}
    actions.delete(world.services, DATASET, "ada")
    world.run(until=600)
    assert world.workspace.jobs.canceled, "its job is canceled"
    assert before <= set(_owned(world, DATASET)), "its endpoint is still being removed"
    assert "being removed" in status.dataset(world.services, DATASET)["waiting"]
    world.run(until=9000)
    assert _owned(world, DATASET) == {}
    assert not any(world.workspace.endpoints.find(name) for name in list(world.workspace.endpoints.made))


def test_what_was_spent_stays_on_record() -> None:
    world = _served(DATASET)
    world.clock.now += 7200
    _delete(world)
    (month,) = {blob.split("/")[1] for box, blob in world.storage.blobs if box == "ledger" and "costs/" in blob}
    spent = {time.what for time in world.services.month_costs.times(month, DATASET)}
    assert spent == {"training", "endpoint"}


def test_an_endpoint_that_no_row_names_is_removed_by_its_tags() -> None:
    world = _served(DATASET)
    tags = {naming.TAG_INSTALLATION: world.services.installation, naming.TAG_DATASET: DATASET}
    world.workspace.endpoints.write("lost-00000000", tags, {})
    world.workspace.endpoints.write("lost-00000001", {**tags, naming.TAG_DATASET: OTHER}, {})
    _delete(world)
    left = [name for name in world.workspace.endpoints.made if world.workspace.endpoints.find(name)]
    assert left == ["lost-00000001"]


@pytest.mark.parametrize("at", range(1, 220, 10))
def test_a_deletion_that_is_killed_at_any_call_goes_on(at: int) -> None:
    world = _killed(at)
    assert _owned(world, DATASET) == {}
    assert world.services.ledger.deletions.of(DATASET).ended_at  # type: ignore[union-attr]
    assert not any(world.workspace.endpoints.find(name) for name in list(world.workspace.endpoints.made))


def _killed(at: int) -> World:
    world = _served(DATASET)
    actions.delete(world.services, DATASET, "ada")
    world.process.die_at = world.process.calls + at
    world.run(until=7200)
    world.process.die_at = -1
    return world


def test_asking_again_is_asking_once_and_may_add_what_was_dropped() -> None:
    world = _served(DATASET)
    actions.delete(world.services, DATASET, "ada")
    assert actions.delete(world.services, DATASET, "bob").done
    assert actions.delete(world.services, DATASET, "ada", with_files=True).done
    world.run()
    assert not [name for box, name in world.storage.blobs if box == "snapshots"]
    answer = actions.delete(world.services, DATASET, "ada")
    assert (answer.done, "was deleted by ada" in answer.text) == (True, True)


@pytest.mark.parametrize("name", ["nobody", "../x", "A", ""])
def test_what_is_not_there_is_not_found(name: str) -> None:
    with pytest.raises(NotFound):
        actions.delete(_served(DATASET).services, name, "ada")


def test_a_dataset_whose_first_snapshot_was_not_read_yet_can_be_deleted() -> None:
    world = World()
    world.services.ledger.create(a_snapshot(S.RECEIVED, poll_at=None))
    _delete(world)
    assert _owned(world, DATASET) == {}


@pytest.mark.parametrize("state", [state for state in D if state != D.DELETING])
def test_a_dataset_can_be_deleted_in_every_state(state: D) -> None:
    world = World()
    world.services.ledger.create(a_dataset(state, attention=True, fault=a_fault()))
    assert actions.delete(world.services, DATASET, "ada").done
    row = world.services.ledger.read(SET).row
    assert (row.state, row.candidate, row.requested, row.attention) == (D.DELETING, None, None, False)
    for what in ("wake", "sleep", "roll_back"):
        assert not actions.ask(world.services, DATASET, what, "bob").done


def test_an_endpoint_that_azure_does_not_remove_waits_for_a_person_who_may_go_on() -> None:
    world = _served(DATASET)
    world.workspace.breaks = lambda kind, name: "it stays" if kind == "removal" else ""
    actions.delete(world.services, DATASET, "ada")
    world.run(until=60 * 3600.0)
    assert world.services.ledger.read(SET).row.attention
    assert any(place[0] == "reports" for place in _owned(world, DATASET)), "nothing is erased before"
    world.workspace.breaks = lambda kind, name: ""
    assert actions.delete(world.services, DATASET, "ada").done
    world.run()
    assert _owned(world, DATASET) == {}


# --- nothing brings it back --------------------------------------------------------------------------------------


def test_no_event_and_no_look_brings_back_what_was_deleted() -> None:
    world = _served(DATASET)
    world.drop(f"{DATASET}/train.jsonl", b"refused")
    world.run()
    world.clock.now += 5  # of what came in the second of the request nobody knows whether it came before
    _delete(world)
    for path in (f"{DATASET}/1.jsonl", f"{DATASET}/train.jsonl"):
        assert intake.receive(world.services, path) is None
    world.run(until=2 * 86_400)
    assert world.states() == {}
    assert status.refused(world.services, DATASET) == []


def test_an_upload_that_comes_meanwhile_is_refused_with_what_to_do() -> None:
    world = _served(DATASET)
    world.workspace.pace = 3000
    actions.delete(world.services, DATASET, "ada")
    world.run(until=300)
    world.drop(f"{DATASET}/2.jsonl", dialogues(40, "late"))
    world.run(until=9000)
    assert world.states() == {}
    (refused,) = status.refused(world.services, DATASET)
    assert "upload it again" in refused["reason"]


def test_a_new_drop_begins_anew_and_takes_no_job_or_claim_for_its_own() -> None:
    world = _served(DATASET)
    old = list(world.workspace.jobs.submitted)
    _delete(world)
    world.clock.now += 60
    world.drop(f"{DATASET}/1.jsonl", dialogues(40, DATASET))  # the same rows
    world.run()
    assert set(world.states().values()) == {"LIVE"}
    assert len(set(world.workspace.jobs.submitted) - set(old)) == 1
    world.run(until=7200)
    assert set(world.states().values()) == {"LIVE"}, "the look after the deletion touches nothing of the new one"


def _late_row(world: World, snapshot: str) -> None:
    world.services.ledger.create(a_snapshot(id=snapshot, uploaded_at=world.clock() - 9000))


def _late_dataset(world: World, snapshot: str) -> None:
    world.services.ledger.create(a_dataset(D.EMPTY))


def _late_report(world: World, snapshot: str) -> None:
    world.storage.put("reports", f"{snapshot}.json", b"{}")
    world.storage.put("frozen", f"{snapshot}/train.jsonl", b"{}")


@pytest.mark.parametrize("write", [_late_row, _late_dataset, _late_report])
def test_what_a_stalled_worker_writes_after_the_end_is_found(write: Callable[[World, str], None]) -> None:
    world = _served(DATASET)
    snapshot = max(world.states())
    _delete(world)
    write(world, snapshot)
    for _ in range(3):  # a dataset that is deleted once more is looked after an hour later
        world.clock.now += 3601
        world.run()
    assert _owned(world, DATASET) == {}
    assert world.workspace.jobs.submitted == [naming.job(world.services.installation, snapshot, 1)]
    assert world.services.ledger.deletions.of(DATASET).settled  # type: ignore[union-attr]


def test_a_row_that_went_before_its_end_was_on_record_is_ended_by_the_sweep() -> None:
    world = _served(DATASET)
    actions.delete(world.services, DATASET, "ada")
    steps.step(world.services, f"{SET}?")
    del world.storage.blobs["ledger", f"datasets/{DATASET}.json"]
    sweep.sweep(world.services)
    deletion = world.services.ledger.deletions.of(DATASET)
    assert deletion is not None
    assert deletion.ended_at == world.clock()


def test_the_rows_of_a_dataset_are_remade_only_if_nobody_deleted_it() -> None:
    world = _served(DATASET)
    del world.storage.blobs["ledger", f"datasets/{DATASET}.json"]
    assert [*open_rows.remake(world.services, [DATASET])] == [SET]


# --- what is said before -----------------------------------------------------------------------------------------


def test_the_plan_says_what_goes_what_stays_and_what_it_costs() -> None:
    world = _served(prices={"Standard_NC24ads_A100_v4": 3.67})
    plan = deletion_plan.plan(world.services, DATASET)
    assert (plan.state, plan.snapshots, plan.models, plan.files, plan.confirm) == ("LIVE", 1, 1, 1, DATASET)
    assert (plan.machines, plan.price_per_hour) == (1, 3.67)
    assert any("endpoint" in text for text in plan.goes)
    assert any("1 dropped file (" in text for text in plan.stays)
    assert any("1 dropped file (" in text for text in deletion_plan.plan(world.services, DATASET, with_files=True).goes)
    with pytest.raises(NotFound):
        deletion_plan.plan(world.services, "nobody")


@pytest.mark.parametrize("rows", [dialogues(40), b"{}\n" * 40], ids=["served", "rejected"])
def test_a_row_that_somebody_loses_half_way_leaves_nothing_that_was_to_go(rows: bytes) -> None:
    world = _served(OTHER)
    world.drop(f"{DATASET}/1.jsonl", rows)
    world.run()
    assert actions.delete(world.services, DATASET, "ada", with_files=True).done
    steps.step(world.services, f"{SET}?")  # the deletion is on record, and its work has begun
    del world.storage.blobs["ledger", f"datasets/{DATASET}.json"]
    world.storage.messages.clear()
    sweep.sweep(world.services)
    world.clock.now += 2 * 3600
    sweep.sweep(world.services)
    world.run()
    assert not [name for container, name in world.storage.blobs if container == "snapshots" and _is_own(name)]
    assert _owned(world, DATASET) == {}
    assert ("snapshots", f"{OTHER}/1.jsonl") in world.storage.blobs


def _is_own(dropped: str) -> bool:
    return dropped.startswith((f"{DATASET}/", f"{DATASET}."))


def test_of_a_snapshot_that_failed_the_workspace_is_asked_once_however_long_a_deletion_takes() -> None:
    world, failed = World(), [f"{DATASET}-202609211413{number:02}-0123abcd" for number in range(60)]
    world.services.ledger.create(a_dataset(D.EMPTY))
    for name in failed:
        world.services.ledger.create(a_snapshot(S.TRAINING_FAILED, id=name, poll_at=None))
    asked = Counter[str]()
    get = world.workspace.jobs.get
    world.workspace.jobs.get = lambda name: (asked.update([name]), get(name))[1]  # type: ignore[method-assign]
    _delete(world)
    assert _owned(world, DATASET) == {}
    jobs = [naming.job(world.services.installation, name, 1) for name in failed]
    assert {name: times for name, times in asked.items() if name in jobs} == dict.fromkeys(jobs, 1)


def test_a_job_that_was_given_up_is_canceled_before_anything_else_is_erased() -> None:
    world = World()
    world.services.ledger.create(a_dataset(D.EMPTY))
    names = [f"{DATASET}-202609211413{number:02}-0123abcd" for number in range(60)]
    for name in names:
        state = S.TRAINING_FAILED if name == names[-1] else S.REJECTED
        world.services.ledger.create(a_snapshot(state, id=name, poll_at=None))
    running = naming.job(world.services.installation, names[-1], 1)
    canceled: list[str] = []
    jobs: Any = world.workspace.jobs
    jobs.get = lambda job: Job(name=job, status="NotResponding", tags={}) if job == running else None
    jobs.cancel = canceled.append
    actions.delete(world.services, DATASET, "ada")
    while not canceled:
        message = min(world.storage.messages)
        world.storage.messages.remove(message)
        steps.step(world.services, message[2])
    assert len(list(world.services.ledger.list("snapshot", DATASET))) > 30
