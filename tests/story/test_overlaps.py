"""Two things at once: what somebody does while a step is under way, or after a pause in which others went on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import LeaseHeld, ServiceBusy
from shared.ledger import fence
from shared.ledger.states import DatasetState as D
from shared.operations import actions, steps, whole_ledger
from shared.releases import idle
from shared.snapshots import intake, refusals
from tests.fakes import World, dialogues

NAME = "support-bot"
KEY = f"dataset/{NAME}"
MONTH = 31 * 86_400.0


def _world(**settings: Any) -> World:
    world = World(settings=settings)
    world.drop(f"{NAME}.jsonl", dialogues(40))
    return world


def _only(world: World) -> dict[str, Any]:
    (row,) = world.snapshots()
    return row


def _dataset(world: World) -> Any:
    return world.services.ledger.read(KEY).row


def _states(world: World) -> list[str]:
    return [entry.state for entry in _dataset(world).history]


def _meanwhile(part: Any, name: str, act: Callable[[], Any], when: Callable[..., bool] = lambda *args: True) -> None:
    """Does something just before the next call of a method, of those that `when` means."""
    method = getattr(part, name)

    def late(*args: Any, **more: Any) -> Any:
        if when(*args):
            setattr(part, name, method)
            act()
        return method(*args, **more)

    setattr(part, name, late)


# --- requests ---


@pytest.mark.parametrize(("first", "then", "state"), [("sleep", "wake", D.LIVE), ("wake", "sleep", D.ASLEEP)])
def test_a_request_withdrawn_while_its_step_begins_is_not_done(first: str, then: str, state: D) -> None:
    world = _world()
    world.run()
    if state == D.ASLEEP:
        actions.ask(world.services, NAME, "sleep", "me")
        world.run()
    before = _states(world)
    assert actions.ask(world.services, NAME, first, "me").done
    _meanwhile(world.storage, "replace", lambda: actions.ask(world.services, NAME, then, "you"))
    world.run()
    assert (_dataset(world).state, _dataset(world).requested) == (state, None)
    assert _states(world) == before


@pytest.mark.parametrize(("what", "by"), [("sleep", "me"), ("sleep", "timer"), ("wake", "me")])
def test_a_retry_waits_until_an_endpoint_has_gone_or_come(what: str, by: str) -> None:
    world = _world(idle_hours=1)
    world.run()
    world.clock.now += 7200
    good = set(world.workspace.deployments.created)
    world.workspace.deployments.outcome = lambda name: "Succeeded" if name in good or name.endswith("-2") else "Failed"
    world.drop(f"{NAME}/next.jsonl", dialogues(60, "next"))
    world.run()
    newest = world.snapshots()[0]
    assert newest["state"] == "DEPLOY_FAILED"
    world.clock.now += 7200
    if what == "wake":
        actions.ask(world.services, NAME, "sleep", "me")
        world.run()
    if by == "timer":
        assert idle.request_sleep(world.services) == [NAME]
    else:
        assert actions.ask(world.services, NAME, what, by).done
    world.run(until=5)
    assert _dataset(world).state == (D.SLEEPING if what == "sleep" else D.WAKING)
    assert f"is to {what} first" in actions.retry(world.services, newest["id"], "me").text
    world.run()
    assert _dataset(world).state == (D.ASLEEP if what == "sleep" else D.LIVE)
    assert actions.retry(world.services, newest["id"], "me").done
    world.run()
    assert world.snapshots()[0]["state"] == "LIVE"
    assert _dataset(world).requested is None


def test_a_retry_counts_more_than_the_timers_request_that_nothing_was_done_about() -> None:
    world = _world(idle_hours=1)
    world.workspace.deployments.outcome = lambda name: "Failed"
    world.run()
    failed = _only(world)["id"]
    world.workspace.deployments.outcome = lambda name: "Succeeded"
    world.clock.now += 5
    world.drop(f"{NAME}/next.jsonl", dialogues(60, "next"))
    world.run()
    world.clock.now += 7200
    assert idle.request_sleep(world.services) == [NAME]
    assert actions.retry(world.services, failed, "me").done
    world.run()
    assert world.snapshots()[1]["state"] == "LIVE"


def test_one_request_does_not_wipe_another() -> None:
    world = _world()
    world.workspace.deployments.outcome = lambda name: "Failed"
    world.run()
    failed = _only(world)["id"]
    world.workspace.deployments.outcome = lambda name: "Succeeded"
    world.clock.now += 5
    world.drop(f"{NAME}/next.jsonl", dialogues(60, "next"))
    world.run()
    assert actions.retry(world.services, failed, "me").done
    assert not actions.ask(world.services, NAME, "sleep", "you").done
    assert _dataset(world).requested.what == "retry"
    world.run()
    assert actions.ask(world.services, NAME, "sleep", "you").done
    assert "has not failed" in actions.retry(world.services, failed, "me").text
    assert _dataset(world).requested.what == "sleep"


# --- people who are slow ---


def test_a_retry_that_comes_late_does_not_use_an_attempts_number_again() -> None:
    world = _world()
    world.workspace.jobs.outcome = lambda name: "Failed"
    world.run()
    snapshot = _only(world)["id"]

    def another_attempt() -> None:
        assert actions.retry(world.services, snapshot, "she").done
        world.run()
        assert (_only(world)["state"], _only(world)["attempt"]) == ("TRAINING_FAILED", 2)

    _meanwhile(world.storage, "replace", another_attempt)
    answer = actions.retry(world.services, snapshot, "he")
    assert (answer.done, "moved on meanwhile and is TRAINING_FAILED" in answer.text) == (False, True)
    assert [name[-2:] for name in world.workspace.jobs.submitted] == ["-1", "-2"]


def test_a_release_that_went_live_meanwhile_is_not_retried() -> None:
    world = _world()
    world.workspace.deployments.outcome = lambda name: "Succeeded" if name.endswith("-2") else "Failed"
    world.run()
    snapshot = _only(world)["id"]

    def another() -> None:
        assert actions.retry(world.services, snapshot, "she").done
        world.run()

    _meanwhile(world.storage, "replace", another)
    answer = actions.retry(world.services, snapshot, "he")
    assert (answer.done, "nothing to retry" in answer.text) == (False, True)
    world.run()
    assert (_only(world)["state"], world.workspace.deployments.created[-1][-2:]) == ("LIVE", "-2")
    assert len(world.workspace.deployments.created) == 2


# --- cleaning ---


def _failed(world: World) -> str:
    world.workspace.jobs.outcome = lambda name: "Failed"
    world.run()
    world.clock.now += MONTH
    whole_ledger.look(world.services)  # as the night does: what ended long ago is due to be cleaned
    return str(_only(world)["id"])


@pytest.mark.parametrize("ask", [actions.retry, actions.override], ids=["retry", "override"])
def test_what_is_being_cleaned_cannot_be_retried(ask: Any) -> None:
    world = _world()
    snapshot = _failed(world)
    said: list[actions.ActionAnswer] = []
    _meanwhile(world.storage, "delete", lambda: said.append(ask(world.services, snapshot, "me")))
    world.run()
    assert (said[0].done, "is CLEANING" in said[0].text) == (False, True)
    assert _only(world)["state"] == "CLEANED"
    assert not [name for container, name in world.storage.blobs if container == "frozen"]


def test_a_retry_before_it_is_cleaned_keeps_its_files() -> None:
    world = _world()
    snapshot = _failed(world)
    world.workspace.jobs.outcome = lambda name: "Completed"
    _meanwhile(world.storage, "replace", lambda: actions.retry(world.services, snapshot, "me"))
    world.run()
    assert _only(world)["state"] == "LIVE"


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_cleaning_that_was_cut_off_is_finished(before: bool) -> None:
    whole = _world()
    _failed(whole)
    begin = whole.process.calls
    whole.run()
    for call in range(begin + 1, whole.process.calls + 1):
        world = _world()
        _failed(world)
        world.process.die_at, world.process.before = call, before
        world.run()
        assert _only(world)["state"] == "CLEANED", call
        assert not [name for container, name in world.storage.blobs if container == "frozen"], call


# --- uploads ---


def test_a_marker_told_of_again_after_its_folder_changed_is_no_refusal() -> None:
    world = World()
    world.drop(f"{NAME}/a/train.jsonl", dialogues(40))
    world.drop(f"{NAME}/a/_SUCCESS", b"")
    world.run()
    world.clock.now += 60
    world.drop(f"{NAME}/a/train.jsonl", dialogues(50))
    world.events.clear()
    assert intake.receive(world.services, f"{NAME}/a/_SUCCESS") == _only(world)["id"]
    assert refusals.newest(world.services, 10) == []
    assert _only(world)["state"] == "LIVE"


def test_rows_that_another_snapshot_holds_out_meanwhile_are_not_trained_on() -> None:
    world = _world()

    def raise_cuts() -> None:
        world.services.ledger.change(KEY, lambda row: row.but(cut_test=0.4, cut_validation=0.5))

    _meanwhile(world.storage, "head", raise_cuts, lambda box, name: bool(box == "snapshots" and world.storage.staged))
    world.run()
    row = _only(world)
    assert row["state"] == "LIVE"
    assert _dataset(world).cut_test == 0.4
    assert row["rows"]["test"] >= 10  # and no longer the few of the first pass


# --- leases ---


def test_a_job_is_canceled_only_under_a_lease_that_is_still_held() -> None:
    class Lost:
        def check(self, left: float = 0) -> None:
            raise LeaseHeld("the lease was lost while the step ran")

        def release(self) -> None:
            """There is nothing to give back."""

    world = _world()
    world.run(until=60)
    (job,) = world.workspace.jobs.submitted
    with fence.under(Lost()), pytest.raises(LeaseHeld):
        world.workspace.jobs.cancel(job)
    assert not world.workspace.jobs.canceled


# --- of two snapshots of one dataset ---


def _two() -> tuple[World, str]:
    """Two uploads of a dataset, each an event; and the id of the newer snapshot once both are recorded."""
    world = _world()
    world.clock.now += 5
    world.drop(f"{NAME}/newer.jsonl", dialogues(60, "newer"))
    for path in world.events:
        intake.receive(world.services, path)
    world.events.clear()
    return world, max(row["id"] for row in world.snapshots())


def test_an_older_snapshot_is_not_trained_because_the_newer_ones_card_could_not_be_written() -> None:
    world, newer = _two()
    put = world.storage.put

    def refuse_verdict(container: str, name: str, data: bytes, metadata: Any = None) -> str:
        if name.startswith("open/") and newer in name and '"VALIDATING"' not in metadata["card"]:
            raise ServiceBusy("503")
        return put(container, name, data, metadata)

    world.storage.put = refuse_verdict  # type: ignore[method-assign]
    world.run(until=280)
    world.storage.put = put  # type: ignore[method-assign]
    world.run()
    assert len(world.workspace.jobs.submitted) == 1
    assert world.states()[newer] == "LIVE"


def test_the_next_in_line_is_told_of_a_verdict_past_one_that_waits_for_a_person() -> None:
    world = _world()
    for name, data in (("b", dialogues(50, "b")), ("c", b"{}\n" * 50)):
        world.clock.now += 5
        world.drop(f"{NAME}/{name}.jsonl", data)
    for path in world.events:
        intake.receive(world.services, path)
    world.events.clear()
    oldest, stuck, newest = sorted(row["id"] for row in world.snapshots())
    assert steps.step(world.services, f"snapshot/{oldest}") == "RECEIVED -> VALIDATING"
    world.services.ledger.change(f"snapshot/{stuck}", lambda row: row.but(attention=True))
    assert steps.step(world.services, f"snapshot/{newest}") == "RECEIVED -> REJECTED"
    assert f"snapshot/{oldest}?" in [text for _, _, text in world.storage.messages]
