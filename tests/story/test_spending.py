"""Before money is spent and when a training ends: what waits and why, what is refused, and that no place is lost."""

from __future__ import annotations

from typing import Any

import pytest

from shared.azure.workspace.quota import QuotaUsage, family_key
from shared.operations import actions
from tests.fake_workspace import FAMILY
from tests.fakes import GPU, Process, World, dialogues
from tests.story.kills import EVERY_THIRD_CALL, STEP


def _world(process: Process | None = None, **settings: Any) -> World:
    world = World(process or Process(), settings=settings)
    world.drop("support-bot.jsonl", dialogues(40))
    return world


def _drop(world: World, dataset: str, seed: str = "") -> None:
    world.clock.now += 1
    world.drop(f"{dataset}/{seed or 'first'}.jsonl", dialogues(40, dataset + seed))


def _only(world: World) -> dict[str, Any]:
    (row,) = world.snapshots()
    return row


def _running(world: World) -> int:
    return sum(run.ended is None for run in world.services.budget.reservations().runs.values())


def test_no_more_jobs_run_at_once_than_allowed_and_all_get_their_turn() -> None:
    world = World(settings={"max_runs": 2})
    for dataset in ("aa", "bb", "cc", "dd", "ee"):
        _drop(world, dataset)
    most = 0
    job = world.workspace.jobs.get

    def watched(name: str) -> Any:
        nonlocal most
        unfinished = [n for n in world.workspace.jobs.made if world.workspace.jobs.find(n).status == "Running"]  # type: ignore[union-attr]
        most = max(most, len(unfinished))
        return job(name)

    world.workspace.jobs.get = watched  # type: ignore[method-assign]
    world.run()
    assert set(world.states().values()) == {"LIVE"}
    assert most == 2
    assert _running(world) == 0


def test_a_second_snapshot_of_a_dataset_waits_says_so_and_is_superseded_by_a_third() -> None:
    world = _world()
    world.workspace.pace = 3000
    world.run(until=300)
    _drop(world, "support-bot", "second")
    world.run(until=300)
    second, first = world.snapshots()
    assert (first["state"], second["state"]) == ("TRAINING", "VALIDATED")
    assert second["waiting"] == f"{first['id']} of this dataset trains and MAX_RUNS_PER_DATASET is 1"
    assert second["blocked"] == ["concurrent_runs"]
    _drop(world, "support-bot", "third")
    world.run(until=30_000)
    assert [row["state"] for row in world.snapshots()] == ["LIVE", "SUPERSEDED", "RETIRED"]
    assert len(world.workspace.jobs.submitted) == 2
    assert _running(world) == 0


def test_a_superseded_snapshot_can_be_trained_after_all() -> None:
    world = _world()
    _drop(world, "support-bot", "second")
    world.run()
    (old,) = (name for name, state in world.states().items() if state == "SUPERSEDED")
    assert actions.override(world.services, old, "me").done
    world.run()
    assert len(world.workspace.jobs.submitted) == len(world.workspace.models.registered) == 2
    assert sorted(world.states().values()) == ["LIVE", "SUPERSEDED"]


def test_the_days_limit_is_waited_for_or_excused() -> None:
    world = _world(max_runs_per_day=1)
    world.run()
    for dataset in ("aa", "bb"):
        _drop(world, dataset)
    world.run(until=4000)
    waiting = [row for row in world.snapshots() if row["state"] == "VALIDATED"]
    assert {tuple(row["blocked"]) for row in waiting} == {("daily_runs",)}
    assert actions.override(world.services, waiting[0]["id"], "ada").done
    world.run(until=4000)
    states = world.states()
    assert (states[waiting[0]["id"]], states[waiting[1]["id"]]) == ("LIVE", "VALIDATED")
    world.run(until=2 * 86_400)
    assert set(world.states().values()) == {"LIVE"}


def test_quota_of_others_is_waited_for_until_it_is_free() -> None:
    world = _world()
    world.workspace.quota.allowed = {family_key(FAMILY): QuotaUsage(used=90, limit=100)}
    world.run(until=1000)
    row = _only(world)
    assert (row["state"], row["blocked"], row["fault"]) == ("VALIDATED", ["quota"], None)
    assert "of 100 are 90 in use" in row["waiting"]
    assert not world.workspace.jobs.submitted
    assert _running(world) == 0
    world.workspace.quota.allowed = {family_key(FAMILY): QuotaUsage(used=10, limit=100)}
    world.run()
    assert _only(world)["state"] == "LIVE"
    assert _only(world)["waiting"] is None


def test_what_will_not_pass_refuses_before_a_row_is_read() -> None:
    world = _world()
    world.workspace.quota.allowed = {family_key(FAMILY): QuotaUsage(used=0, limit=10)}
    world.workspace.registry.archived = True
    world.run()
    row = _only(world)
    assert (row["state"], row["blocked"], row["report"]) == ("REJECTED", ["model", "quota"], None)
    assert "(1) base model Phi-4:8 is archived" in row["reason"]
    assert "(3) training on 1 x" in row["reason"]
    assert actions.override(world.services, row["id"], "ada").done
    world.run()
    assert (_only(world)["state"], _only(world)["overrides"]) == ("LIVE", ["model", "quota"])


def test_a_model_that_retires_after_validation_is_not_trained_on() -> None:
    world = _world(max_runs_per_day=1)
    world.run()
    _drop(world, "faq")
    world.run(until=600)
    world.workspace.registry.tags = {"deprecation": "{'finetuneRetirementDate': '2026-09-22T00:00:00Z'}"}
    world.run(until=2 * 86_400)
    row = world.snapshots()[0]
    assert row["state"] == "TRAINING_FAILED"
    assert row["reason"].startswith("not submitted: base model Phi-4:8 cannot be fine-tuned since 2026-09-22")
    assert len(world.workspace.jobs.submitted) == 1
    assert actions.override(world.services, row["id"], "ada", ["model"]).done
    world.run(until=2 * 86_400)
    assert world.snapshots()[0]["state"] == "LIVE"


# --- how a training ends --------------------------------------------------------------------------------------


def test_a_failed_training_tells_the_end_of_its_log_and_keeps_more_of_it() -> None:
    world = _world()
    world.workspace.jobs.outcome = lambda name: "Failed"
    world.run()
    row = _only(world)
    log = f"{row['id']}.training-1.log"
    assert row["reason"].endswith(
        "failed: step chat_completion_finetune failed: out of memory; its log ends: epoch 1 / CUDA: out of memory; "
        f"more of it is in reports/{log}"
    )
    assert world.storage.blobs["reports", log].data == b"epoch 1\nCUDA: out of memory"
    assert _running(world) == 0


def test_a_job_that_does_not_respond_for_long_is_canceled_and_has_failed() -> None:
    world = _world(silence_minutes=30)
    world.workspace.jobs.outcome = lambda name: "NotResponding"
    world.run(until=1500)
    assert _only(world)["state"] == "TRAINING"
    assert not world.workspace.jobs.canceled
    world.run()
    assert world.workspace.jobs.canceled == world.workspace.jobs.submitted
    row = _only(world)
    assert (row["state"], row["job"]["status"]) == ("TRAINING_FAILED", "Canceled")
    assert row["reason"].endswith("did not respond for 30 minutes and was canceled")
    assert _running(world) == 0


def test_a_job_that_cannot_even_be_canceled_is_given_up() -> None:
    world = _world(silence_minutes=30)
    world.workspace.jobs.outcome = lambda name: "NotResponding"
    world.workspace.jobs.cancel = lambda name: None  # type: ignore[method-assign]
    world.run()
    assert _only(world)["reason"].endswith("did not respond for 60 minutes, though it was canceled")


def test_a_job_is_not_given_up_before_it_was_canceled_however_late_the_look_comes() -> None:
    world = _world(silence_minutes=30)
    world.workspace.jobs.outcome = lambda name: "NotResponding"
    world.run(until=200)
    world.clock.now += 86_400  # the app was stopped
    world.run()
    assert world.workspace.jobs.canceled == world.workspace.jobs.submitted
    assert _only(world)["job"]["status"] == "Canceled"


def test_a_job_that_responds_again_is_not_canceled() -> None:
    world = _world(silence_minutes=30)
    silent = world.clock() + 1500
    world.workspace.jobs.outcome = lambda name: "NotResponding" if world.clock() < silent else "Completed"
    world.run()
    assert _only(world)["state"] == "LIVE"
    assert not world.workspace.jobs.canceled


def test_a_job_that_is_missing_once_is_looked_for_again() -> None:
    world = _world()
    job, hidden = world.workspace.jobs.get, [1]

    def flickers(name: str) -> Any:
        found = job(name)
        return None if found and found.status == "Running" and hidden and hidden.pop() else found

    world.workspace.jobs.get = flickers  # type: ignore[method-assign]
    world.run()
    assert _only(world)["state"] == "LIVE"
    assert len(world.workspace.jobs.submitted) == 1


def test_a_job_that_stays_missing_has_failed_and_a_retry_trains_under_a_new_name() -> None:
    world = _world()
    world.run(until=60)
    world.workspace.jobs.made.clear()
    world.run()
    assert _only(world)["state"] == "TRAINING_FAILED"
    assert _only(world)["reason"].endswith("is not in the workspace any more")
    assert _running(world) == 0
    assert actions.retry(world.services, _only(world)["id"], "me").done
    world.run()
    assert _only(world)["state"] == "LIVE"
    assert [name[-2:] for name in world.workspace.jobs.submitted] == ["-1", "-2"]


@EVERY_THIRD_CALL
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_no_place_is_lost_wherever_a_failing_training_is_killed(before: bool, first: int) -> None:
    def run(process: Process) -> World:
        world = _world(process, max_runs=1)
        world.workspace.jobs.outcome = lambda name: "Failed"
        world.run()
        return world

    for call in range(first, run(Process()).process.calls + 1, STEP):
        world = run(Process(die_at=call, before=before))
        assert list(world.states().values()) == ["TRAINING_FAILED"], call
        assert len(world.workspace.jobs.submitted) == 1, call
        assert _running(world) == 0, call


def test_hyperparameters_that_fail_together_are_refused_before_a_job_is_made() -> None:
    world = _world(hyperparameters={"auto_find_batch_size": True})
    world.drop("support-bot.jsonl", dialogues(40))
    world.run()
    (row,) = world.snapshots()
    assert row["state"] == "REJECTED"
    assert "apply_deepspeed = true with auto_find_batch_size = true" in str(row["reason"])
    assert not world.workspace.jobs.submitted


def test_an_uploader_gets_no_more_epochs_than_the_operator_allows() -> None:
    world = World(settings={"hyperparameter_limits": {"num_train_epochs": 3}})
    world.drop("support-bot/one/snapshot.json", b'{"hyperparameters": {"num_train_epochs": 4}}')
    world.drop("support-bot/one/train.jsonl", dialogues(40))
    world.drop("support-bot/one/_SUCCESS", b"")
    world.run()
    (row,) = world.snapshots()
    assert row["state"] == "REJECTED"
    assert "support-bot/one/snapshot.json: num_train_epochs = 4 (allowed: at most 3)" in str(row["reason"])
    assert not world.workspace.jobs.submitted


def test_the_estimate_is_shown_measured_and_held_against_the_next_job() -> None:
    world = World(settings={"prices": {GPU: 60.0}, "currency": "EUR"})
    world.drop("support-bot.jsonl", dialogues(40))
    world.run()
    (first,) = world.snapshots()
    assert not {"basis", "cost"} & first["estimate"].keys()
    assert first["estimate"]["tokens"] > 0
    world.services = world.new_process()
    world.services.settings = world.services.settings.model_copy(update={"max_run_cost": 0.01})
    world.drop("support-bot.jsonl", dialogues(41, "more"))
    world.run()
    second = world.snapshots()[0]
    assert second["state"] == "TRAINING_FAILED"
    assert "not submitted: by estimate training costs" in str(second["reason"])
    assert second["blocked"] == ["cost"]
    assert len(world.workspace.jobs.submitted) == 1


def test_a_job_whose_time_costs_more_than_it_may_is_canceled() -> None:
    world = World(settings={"prices": {GPU: 3.0}, "max_run_cost": 6})
    world.workspace.jobs.outcome = lambda name: "Running"
    world.drop("support-bot.jsonl", dialogues(40))
    world.run(until=5 * 3600)
    (row,) = world.snapshots()
    assert row["state"] == "TRAINING_FAILED"
    assert "ran longer than MAX_RUN_COST allows (6 at 3 an hour: 2.0 h)" in str(row["reason"])
