"""What goes wrong, goes wrong cheaply: nothing paid for is left behind, nothing is lost, and the reason is told."""

from __future__ import annotations

import json

import pytest

from shared.ledger.states import DatasetState
from shared.operations import actions, nightly, status
from shared.releases import idle
from tests.fakes import GPU, Process, World, dialogues
from tests.story.kills import EVERY_THIRD_CALL, STEP

DROP = "support-bot.jsonl"


def _world(**settings: object) -> World:
    world = World(settings=dict(settings))
    world.drop(DROP, dialogues(40))
    return world


def _only(world: World) -> dict[str, object]:
    (row,) = world.snapshots()
    return row


def test_bad_rows_are_refused_with_their_row_numbers_and_submit_nothing() -> None:
    world = World()
    world.drop(DROP, dialogues(20) + b'{"messages": [{"role": "bot", "content": "x"}]}\n')
    world.run()
    row = _only(world)
    assert row["state"] == "REJECTED"
    report = world.storage.blobs["reports", f"{row['id']}.json"].data.decode()
    assert '"row": 21' in report
    assert not world.workspace.jobs.submitted
    assert not [name for container, name in world.storage.blobs if container == "frozen"]


def test_an_override_trains_on_the_good_rows() -> None:
    world = World()
    world.drop(DROP, dialogues(40) + b"{}\n")
    world.run()
    answer = actions.override(world.services, str(_only(world)["id"]), "me")
    assert answer.done
    world.run()
    assert _only(world)["state"] == "LIVE"


def test_an_archived_model_is_refused_before_anything_is_paid() -> None:
    world = _world()
    world.workspace.registry.archived = True
    world.run()
    assert _only(world)["state"] == "REJECTED"
    assert "archived" in str(_only(world)["reason"])
    assert not world.workspace.jobs.submitted


def test_all_that_is_wrong_is_said_in_one_refusal_with_a_live_model() -> None:
    settings = {"training_instance_type": "Standard_NC6", "component_version": "9.9.9", "serving_instances": 50}
    world = World(settings=settings)
    options = {"base_model": "No-Such-Model", "hyperparameters": {"apply_lora": "yes"}}
    world.drop("support-bot/one/snapshot.json", json.dumps(options).encode())
    world.drop("support-bot/one/train.jsonl", dialogues(40))
    world.drop("support-bot/one/_SUCCESS", b"")
    world.run()
    row = _only(world)
    assert row["state"] == "REJECTED"
    for words in (
        "No-Such-Model in registry azureml does not exist, use a live one such as Phi-4",
        "component chat_completion_pipeline 9.9.9 is not in registry azureml",
        "apply_lora = 'yes'",
        "TRAINING_INSTANCE_TYPE = Standard_NC6: this size is too old",
        f"serving on 50 x {GPU} takes 1200 cores",
    ):
        assert words in str(row["reason"])
    assert not world.workspace.jobs.submitted


def test_defaults_of_the_model_that_are_no_hyperparameters_are_named_in_the_report() -> None:
    world = _world()
    world.workspace.registry.tags = {"model_specific_defaults": '{"learning_rate_max": "5e-5", "precision": 16}'}
    world.run()
    row = _only(world)
    note = "not used of the defaults of Phi-4:8, since no hyperparameters: learning_rate_max"
    assert row["state"] == "LIVE"
    assert row["report"]["notes"] == (note,)  # type: ignore[index]
    assert note in world.storage.blobs["reports", f"{row['id']}.json"].data.decode()


def test_a_failed_training_names_its_step_and_a_retry_trains_under_a_new_name() -> None:
    world = _world()
    world.workspace.jobs.outcome = lambda name: "Failed" if name.endswith("-1") else "Completed"
    world.run()
    row = _only(world)
    assert row["state"] == "TRAINING_FAILED"
    assert "chat_completion_finetune" in str(row["reason"])
    assert actions.retry(world.services, str(row["id"]), "me").done
    assert actions.retry(world.services, str(row["id"]), "me").text.endswith("already")
    world.run()
    assert _only(world)["state"] == "LIVE"
    assert [name[-2:] for name in world.workspace.jobs.submitted] == ["-1", "-2"]


def test_after_a_failed_training_the_same_content_may_be_dropped_again() -> None:
    world = _world()
    world.workspace.jobs.outcome = lambda name: "Failed" if len(world.workspace.jobs.submitted) == 1 else "Completed"
    world.run()
    world.clock.now += 5
    world.drop("support-bot/again.jsonl", dialogues(40))
    world.run()
    assert sorted(world.states().values()) == ["LIVE", "TRAINING_FAILED"]


@pytest.mark.parametrize("first", [True, False], ids=["first release", "second release"])
@pytest.mark.parametrize("cut", [True, False], ids=["deployment fails", "gate fails"])
def test_a_release_that_fails_leaves_only_what_was_there(first: bool, cut: bool) -> None:
    world = _world()
    if not first:
        world.run()
        world.clock.now += 5
        world.drop("support-bot/next.jsonl", dialogues(60, "next"))
    before = set(world.workspace.deployments.made)
    if cut:
        good = {name for _, name in before}
        world.workspace.deployments.outcome = lambda name: "Succeeded" if name in good else "Failed"
    else:
        world.inference.status = 424
    world.run()
    states = world.states()
    newest = max(states)
    assert states[newest] == ("DEPLOY_FAILED" if cut else "WITHHELD")
    assert set(world.workspace.deployments.made) == before
    assert bool(world.workspace.endpoints.made) is not first
    dataset = status.dataset(world.services, "support-bot")
    assert dataset["state"] == ("EMPTY" if first else "LIVE")
    assert any(name.endswith(".log.json") for container, name in world.storage.blobs if container == "evaluations")


@EVERY_THIRD_CALL
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_failed_release_leaves_nothing_wherever_it_is_killed(before: bool, first: int) -> None:
    def run(process: Process) -> World:
        world = World(process)
        world.workspace.deployments.outcome = lambda name: "Failed"
        world.drop(DROP, dialogues(40))
        world.run()
        return world

    calls = run(Process()).process.calls
    for call in range(first, calls + 1, STEP):
        world = run(Process(die_at=call, before=before))
        assert list(world.states().values()) == ["DEPLOY_FAILED"], call
        assert not world.workspace.endpoints.made, call
        assert not world.workspace.deployments.made, call


def test_a_failed_release_can_be_retried() -> None:
    world = _world()
    world.workspace.deployments.outcome = lambda name: "Succeeded" if name.endswith("-2") else "Failed"
    world.run()
    assert actions.retry(world.services, str(_only(world)["id"]), "me").done
    world.run()
    assert _only(world)["state"] == "LIVE"


def test_an_endpoint_of_somebody_else_is_never_touched() -> None:
    world = _world()
    world.run()
    name = world.workspace.endpoints.created[0]
    other = World()
    other.workspace.endpoints.write(name, {"owner": "x"}, {})
    other.drop(DROP, dialogues(40))
    other.run()
    assert _only(other)["state"] == "LIVE"
    assert status.dataset(other.services, "support-bot")["endpoint"] == f"{name}-1"
    assert other.workspace.endpoints.made[name].value.tags == {"owner": "x"}


def test_a_name_that_is_taken_in_the_region_gets_a_suffix_that_is_remembered() -> None:
    name = _named()
    world = _world()
    world.workspace.endpoints.taken = {name, f"{name}-1"}
    world.run()
    assert status.dataset(world.services, "support-bot")["endpoint"] == f"{name}-2"
    actions.ask(world.services, "support-bot", "sleep", "me")
    world.run()
    world.workspace.endpoints.taken.add(f"{name}-2")
    actions.ask(world.services, "support-bot", "wake", "me")
    world.run()
    assert (_only(world)["state"], world.workspace.endpoints.created) == ("LIVE", [f"{name}-2", f"{name}-3"])


def test_when_every_name_is_taken_the_release_fails_and_says_so() -> None:
    name = _named()
    world = _world()
    world.workspace.endpoints.taken = {name, *(f"{name}-{n}" for n in range(1, 20))}
    world.run()
    assert _only(world)["state"] == "DEPLOY_FAILED"
    assert "unique within the region" in str(_only(world)["reason"])
    assert not world.workspace.endpoints.made


def _named() -> str:
    world = _world()
    world.run()
    return str(status.dataset(world.services, "support-bot")["endpoint"])


def test_a_busy_service_is_waited_for() -> None:
    world = _world()
    world.workspace.busy = 4
    world.run()
    assert _only(world)["state"] == "LIVE"


def test_after_five_faults_a_person_is_needed_and_can_go_on() -> None:
    world = _world()
    world.workspace.busy = 99
    world.run()
    world.workspace.busy = 0
    row = _only(world)
    assert row["needs_attention"]
    assert "'count': 5" in str(row["fault"])
    assert row["state"] == "VALIDATING"
    assert actions.retry(world.services, str(row["id"]), "me").done
    world.run()
    assert _only(world)["state"] == "LIVE"


def _live() -> World:
    world = _world(idle_hours=1)
    world.run()
    return world


def test_an_idle_endpoint_is_put_to_sleep_and_woken() -> None:
    world = _live()
    world.clock.now += 7200
    assert idle.request_sleep(world.services) == ["support-bot"]
    world.run()
    assert _only(world)["state"] == "ASLEEP"
    assert not world.workspace.endpoints.made
    assert actions.ask(world.services, "support-bot", "wake", "me").done
    world.run()
    assert _only(world)["state"] == "LIVE"
    assert len(world.workspace.jobs.submitted) == 1


@pytest.mark.parametrize("rate", [None, 3.0], ids=["unknown", "busy"])
def test_what_is_not_known_to_be_idle_stays(rate: float | None) -> None:
    world = _live()
    world.clock.now += 7200
    world.metrics.rate = rate
    assert idle.request_sleep(world.services) == []


def test_a_question_after_the_timer_keeps_the_endpoint() -> None:
    world = _live()
    world.clock.now += 7200
    idle.request_sleep(world.services)
    now = world.clock()
    world.services.ledger.change("dataset/support-bot", lambda row: row.but(last_asked_at=now))
    world.run()
    assert _only(world)["state"] == "LIVE"
    assert status.dataset(world.services, "support-bot")["requested"] is None


def test_a_wake_that_fails_goes_back_to_sleep_and_leaves_nothing() -> None:
    world = _live()
    actions.ask(world.services, "support-bot", "sleep", "me")
    world.run()
    world.workspace.deployments.outcome = lambda name: "Failed"
    actions.ask(world.services, "support-bot", "wake", "me")
    world.run()
    dataset = status.dataset(world.services, "support-bot")
    assert dataset["state"] == DatasetState.ASLEEP
    assert "Failed" in str(dataset["history"])
    assert not world.workspace.endpoints.made


def test_files_of_a_refused_snapshot_are_cleaned_after_the_keep_time() -> None:
    world = World()
    world.drop(DROP, dialogues(40) + b"{}\n")
    world.run()
    world.clock.now += 31 * 86_400
    nightly.every_night(world.services)  # which has looked at what ended long ago
    world.run()
    assert _only(world)["state"] == "CLEANED"
    assert ("snapshots", DROP) in world.storage.blobs
