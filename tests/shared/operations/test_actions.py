"""What people may ask for: when it is taken, what it changes, and that asking twice is asking once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import NotFound
from shared.ledger.release import ReleaseOutcome
from shared.ledger.rows import Origin, TrainingEstimate
from shared.ledger.states import DatasetState as D
from shared.ledger.states import ReleaseState
from shared.ledger.states import SnapshotState as S
from shared.operations import actions
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_fault, a_request, a_snapshot, a_trained_snapshot
from tests.fakes import START, World

KEY, SET = f"snapshot/{SNAPSHOT}", f"dataset/{DATASET}"


class ActionWorld:
    """A world with these rows and nothing queued."""

    def __init__(self, *rows: Any) -> None:
        self.world = World()
        self.services = self.world.services
        for row in rows:
            self.services.ledger.create(row)
        self.world.storage.messages.clear()
        self.world.clock.now += 100

    def row(self, key: str) -> Any:
        return self.services.ledger.read(key).row

    def sent(self) -> list[str]:
        return [message for _, _, message in self.world.storage.messages]


# The job of a canceled one had completed here: nothing is trained again.
TO = {S.TRAINING_FAILED: S.VALIDATED, S.REGISTER_FAILED: S.TRAINED, S.CANCELED: S.TRAINED}


@pytest.mark.parametrize("state", S)
def test_a_retry_goes_back_from_what_failed_under_a_new_attempt_and_nowhere_else(state: S) -> None:
    app = ActionWorld(a_trained_snapshot(state), a_dataset())
    answer = actions.retry(app.services, SNAPSHOT, "me")
    row = app.row(KEY)
    assert answer.done == (state in TO)
    if state in TO:
        assert (row.state, row.attempt, row.poll_at) == (TO[state], 2, START + 100)
        assert row.history[-1].reason.endswith("by me")
        assert app.sent() == [f"{KEY}?"]
    else:
        assert (row.state, row.attempt, app.sent()) == (state, 1, [])
        assert SNAPSHOT in answer.text
        assert state in answer.text or "has not failed" in answer.text


@pytest.mark.parametrize("state", S)
def test_an_override_takes_what_was_refused_and_nothing_else(state: S) -> None:
    blocked = {S.DUPLICATE: ("duplicate",), S.SUPERSEDED: ("superseded",), S.REJECTED: ("bad_rows", "size")}
    app = ActionWorld(a_snapshot(state, overrides=("quota",), blocked=blocked.get(state, ())), a_dataset())
    answer = actions.override(app.services, SNAPSHOT, "me")
    row = app.row(KEY)
    assert answer.done == (state in blocked)
    if answer.done:
        assert row.state == S.RECEIVED
        assert row.overrides == tuple(sorted(("quota", *blocked[state])))
        assert row.attempt == 1
        assert app.sent() == [f"{KEY}?"]
    else:
        assert (row.state, row.overrides, app.sent()) == (state, ("quota",), [])


@pytest.mark.parametrize("act", [actions.retry, actions.override], ids=["retry", "override"])
def test_asking_twice_is_asking_once(act: Any) -> None:
    app = ActionWorld(a_snapshot(S.TRAINING_FAILED if act is actions.retry else S.REJECTED))
    assert act(app.services, SNAPSHOT, "me").done
    before = app.row(KEY)
    again = act(app.services, SNAPSHOT, "me")
    assert (again.done, "already" in again.text) == (True, True)
    assert app.row(KEY) == before
    assert len(app.sent()) == 1


def test_an_override_forgets_the_job_that_an_earlier_version_left_on_a_superseded_row() -> None:
    estimate = TrainingEstimate(tokens=9, size="A", machines=1)
    left = a_snapshot(S.SUPERSEDED, job="dt-1", job_status="Completed", studio_url="https://x", estimate=estimate)
    app = ActionWorld(left)
    assert actions.override(app.services, SNAPSHOT, "me").done
    row = app.row(KEY)
    assert (row.state, row.job, row.job_status, row.studio_url) == (S.RECEIVED, "", "", "")
    assert row.estimate is None


def test_an_override_excuses_only_what_was_found() -> None:
    app = ActionWorld(a_snapshot(S.REJECTED))
    assert actions.override(app.services, SNAPSHOT, "me").done
    assert app.row(KEY).overrides == ()


def test_an_override_may_name_what_it_excuses() -> None:
    app = ActionWorld(a_snapshot(S.REJECTED, blocked=("model", "size")))
    assert actions.override(app.services, SNAPSHOT, "me", ["size", "daily_runs"]).done
    assert app.row(KEY).overrides == ("daily_runs", "size")


def test_an_override_of_something_that_has_no_such_name_is_refused_with_the_names() -> None:
    app = ActionWorld(a_snapshot(S.REJECTED))
    with pytest.raises(actions.BadOverride, match="money: nothing of that name can be overridden; bad_rows"):
        actions.override(app.services, SNAPSHOT, "me", ["size", "money"])
    assert app.row(KEY).state == S.REJECTED


def test_what_waits_goes_on_at_once_when_it_is_excused_and_that_is_on_record() -> None:
    app = ActionWorld(a_snapshot(S.VALIDATED, blocked=("quota",), waiting="no cores", poll_at=START + 900))
    assert actions.override(app.services, SNAPSHOT, "me").done
    row = app.row(KEY)
    assert (row.state, row.overrides, row.poll_at) == (S.VALIDATED, ("quota",), START + 100)
    assert row.history[-1].reason == "override by me: excused from quota"
    assert app.sent() == [f"{KEY}?"]
    assert actions.override(app.services, SNAPSHOT, "me").text.endswith("already")
    assert len(app.sent()) == 1


def test_a_training_that_never_began_is_taken_up_again_by_an_override() -> None:
    app = ActionWorld(a_snapshot(S.TRAINING_FAILED, blocked=("gpus",)))
    assert actions.override(app.services, SNAPSHOT, "me").done
    row = app.row(KEY)
    assert (row.state, row.attempt, row.overrides, row.blocked) == (S.VALIDATED, 2, ("gpus",), ())


@pytest.mark.parametrize(("state", "first", "then"), [(D.ASLEEP, "wake", "sleep"), (D.LIVE, "sleep", "wake")])
def test_the_opposite_request_withdraws_one_that_nothing_was_done_about(state: D, first: str, then: str) -> None:
    app = ActionWorld(a_dataset(state))
    assert actions.ask(app.services, DATASET, first, "me").done
    answer = actions.ask(app.services, DATASET, then, "me")
    assert (answer.done, "withdrawn" in answer.text) == (True, True)
    assert app.row(f"dataset/{DATASET}").requested is None


def test_a_retry_is_refused_while_another_trains_the_same_content() -> None:
    app = ActionWorld(a_snapshot(S.TRAINING_FAILED, claim="claims/x.json"))
    app.services.ledger.create(a_snapshot(S.TRAINING, id=NEWER))
    app.services.storage.create("ledger", "claims/x.json", f'{{"snapshot": "{NEWER}"}}'.encode())
    answer = actions.retry(app.services, SNAPSHOT, "me")
    assert (answer.done, app.row(KEY).state) == (False, S.TRAINING_FAILED)
    assert NEWER in answer.text


def test_a_retry_claims_its_content_again() -> None:
    app = ActionWorld(a_snapshot(S.TRAINING_FAILED, claim="claims/x.json"))
    assert actions.retry(app.services, SNAPSHOT, "me").done
    assert SNAPSHOT.encode() in app.services.storage.read("ledger", "claims/x.json")[0]


def test_of_two_retries_at_once_one_wins_and_one_is_told() -> None:
    app = ActionWorld(a_snapshot(S.TRAINING_FAILED))
    replace = app.world.storage.replace

    def late(*args: Any, **more: Any) -> str:
        app.world.storage.replace = replace  # type: ignore[method-assign]
        assert actions.retry(app.services, SNAPSHOT, "she").done
        return replace(*args, **more)

    app.world.storage.replace = late  # type: ignore[method-assign]
    answer = actions.retry(app.services, SNAPSHOT, "he")
    assert (answer.done, "moved on meanwhile and is VALIDATED" in answer.text) == (False, True)
    assert app.row(KEY).attempt == 2
    assert app.sent() == [f"{KEY}?"]


@pytest.mark.parametrize("part", ReleaseState)
def test_a_release_is_retried_only_after_it_failed(part: ReleaseState) -> None:
    ended = ReleaseOutcome(state=part, at=START)
    app = ActionWorld(a_trained_snapshot(), a_dataset(live=None, outcomes={SNAPSHOT: ended}))
    answer = actions.retry(app.services, SNAPSHOT, "me")
    ended_badly = (ReleaseState.DEPLOY_FAILED, ReleaseState.WITHHELD, ReleaseState.ROLLED_BACK, ReleaseState.CANCELED)
    failed = part in ended_badly
    assert answer.done == failed
    request = app.row(SET).requested
    assert (request is not None) == failed
    if request:
        assert (request.what, request.snapshot, request.by) == ("retry", SNAPSHOT, "me")
        assert app.row(SET).poll_at == START + 100
        assert app.sent() == [f"{SET}?"]


@pytest.mark.parametrize("key", [KEY, SET])
def test_what_waits_for_a_person_goes_on_when_one_says_so(key: str) -> None:
    stuck = {"attention": True, "fault": a_fault(count=5), "poll_at": None}
    app = ActionWorld(a_trained_snapshot(S.REGISTERING, **stuck), a_dataset(D.DEPLOYING, **stuck))
    act = actions.retry(app.services, SNAPSHOT, "me") if key == KEY else actions.resume(app.services, DATASET, "me")
    assert act.done
    row = app.row(key)
    assert (row.attention, row.fault, row.poll_at) == (False, None, START + 100)
    assert row.history[-1].reason == "resumed by me"
    assert row.history[-1].state == row.state
    assert app.sent() == [f"{key}?"]


def test_a_retry_of_a_release_resumes_a_dataset_that_waits_for_a_person() -> None:
    app = ActionWorld(a_trained_snapshot(), a_dataset(D.DEPLOYING, attention=True, fault=a_fault()))
    assert actions.retry(app.services, SNAPSHOT, "me").done
    assert not app.row(SET).attention


def test_resuming_what_goes_on_by_itself_changes_nothing() -> None:
    app = ActionWorld(a_dataset())
    before = app.row(SET)
    assert actions.resume(app.services, DATASET, "me").done
    assert actions.resume(app.services, DATASET, "me").text == f"{DATASET} waits for no person: it is LIVE"
    assert app.row(SET) == before


# What is said to (request, state): taken, done already, or refused.
ASKED = {
    "sleep": {D.LIVE: "taken", D.SLEEPING: "there", D.ASLEEP: "there"},
    "wake": {D.ASLEEP: "taken", D.WAKING: "there", D.LIVE: "there"},
}


@pytest.mark.parametrize("state", D)
@pytest.mark.parametrize("what", ASKED)
def test_a_request_is_taken_done_already_or_refused(what: str, state: D) -> None:
    app = ActionWorld(a_dataset(state))
    answer = actions.ask(app.services, DATASET, what, "me")
    row, said = app.row(SET), ASKED[what].get(state, "refused")
    assert answer.done == (said != "refused")
    assert answer.text
    assert row.state == state
    if said == "taken":
        assert (row.requested.what, row.requested.by, row.poll_at) == (what, "me", START + 100)
        assert app.sent() == [f"{SET}?"]
    else:
        assert (row.requested, app.sent()) == (None, [])
        assert state in answer.text or state == D.EMPTY or "is being deleted" in answer.text


def test_the_same_request_again_is_said_to_be_on_its_way_and_sends_nothing() -> None:
    app = ActionWorld(a_dataset(D.ASLEEP))
    first, second = (actions.ask(app.services, DATASET, "wake", by) for by in ("me", "you"))
    assert first == second
    assert app.row(SET).requested.by == "me"
    assert app.sent() == [f"{SET}?"]


def test_a_persons_request_to_sleep_is_not_taken_back_with_the_timers() -> None:
    app = ActionWorld(a_dataset(requested=a_request("sleep", by="timer", origin=Origin.TIMER)))
    assert actions.ask(app.services, DATASET, "sleep", "me").done
    assert (app.row(SET).requested.by, app.row(SET).requested.origin) == ("me", Origin.PERSON)


@pytest.mark.parametrize("name", ["timer", "a question", "a call", "the sweep: its endpoint is gone"])
def test_who_a_person_claims_to_be_does_not_make_the_request_anybody_elses(name: str) -> None:
    app = ActionWorld(a_dataset())
    assert actions.ask(app.services, DATASET, "sleep", name).done
    assert (app.row(SET).requested.by, app.row(SET).requested.origin) == (name, Origin.PERSON)


def test_a_call_does_not_take_back_what_a_person_asked_for() -> None:
    app = ActionWorld(a_dataset(requested=a_request("sleep")))
    answer = actions.ask(app.services, DATASET, "wake", "a call", Origin.CALL)
    assert (answer.text, app.row(SET).requested.what) == (f"{DATASET} is LIVE already", "sleep")


@pytest.mark.parametrize("state", D)
def test_a_call_gets_nothing_going_that_waits_for_a_person(state: D) -> None:
    app = ActionWorld(a_dataset(state, attention=True, fault=a_fault(count=5)))
    before = app.row(SET)
    assert not actions.ask(app.services, DATASET, "wake", "a call", Origin.CALL).done
    assert app.row(SET) == before


def test_a_call_takes_back_what_the_timer_asked_for() -> None:
    app = ActionWorld(a_dataset(requested=a_request("sleep", origin=Origin.TIMER)))
    assert "withdrawn" in actions.ask(app.services, DATASET, "wake", "a call", Origin.CALL).text
    assert app.row(SET).requested is None


def test_a_request_gets_a_dataset_going_that_waits_for_a_person() -> None:
    stuck = {"attention": True, "fault": a_fault(count=5)}
    app = ActionWorld(a_dataset(D.ASLEEP, requested=a_request("wake"), **stuck))
    assert actions.ask(app.services, DATASET, "wake", "me").done
    assert (app.row(SET).attention, app.row(SET).fault) == (False, None)
    assert app.sent() == [f"{SET}?"]


@pytest.mark.parametrize("name", ["nobody-20260101000000-01234567", "x", "../x", ""])
def test_what_is_not_there_is_unknown(name: str) -> None:
    services = World().services
    acts: tuple[Callable[[], actions.ActionAnswer], ...] = (
        lambda: actions.retry(services, name, "me"),
        lambda: actions.override(services, name, "me"),
        lambda: actions.ask(services, name, "wake", "me"),
        lambda: actions.resume(services, name, "me"),
    )
    for act in acts:
        with pytest.raises(NotFound):
            act()
