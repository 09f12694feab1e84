"""The envelope of every step: when it runs, what it writes, who sends messages, which requests stay."""

from __future__ import annotations

from typing import Any

import pytest

from shared.azure.storage import LEASE_SECONDS
from shared.errors import (
    LeaseHeld,
    ServiceBusy,
)
from shared.ledger.engine import EARLY, INTENT_GRACE, Announcement, StepResult
from shared.ledger.rows import HISTORY_KEPT, HistoryEntry
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from tests.builders import SNAPSHOT, a_dataset, a_request, a_snapshot
from tests.fakes import START
from tests.ledger_world import KEY, FakeHandler, LedgerWorld, raises, validates


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld()


def test_a_step_writes_its_intent_before_it_acts_and_its_outcome_after(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    during = []

    def does(row: Any) -> StepResult:
        during.append(world.row())
        return StepResult(S.VALIDATED, "fine", {"digest": "d"}, poll_in=9)

    assert world.advance({"validate": FakeHandler(does)}) == "RECEIVED -> VALIDATED"
    (row,) = during
    assert row.state == S.VALIDATING
    assert row.poll_at == START + INTENT_GRACE
    after = world.row()
    assert (after.state, after.digest, after.poll_at) == (S.VALIDATED, "d", START + 9)
    assert [(e.state, e.reason) for e in after.history] == [("RECEIVED", ""), ("VALIDATING", ""), ("VALIDATED", "fine")]
    assert world.looks() == [(9, KEY)]
    assert world.told() == [(KEY, "VALIDATED", "fine")]


def test_an_intent_is_watched_so_that_a_dead_workers_step_is_resumed_without_a_sweep(world: LedgerWorld) -> None:
    world.keep(a_snapshot())

    class Killed(BaseException):
        pass

    def dies(row: Any) -> StepResult:
        raise Killed

    with pytest.raises(Killed):
        world.advance({"validate": FakeHandler(dies)})
    ((at, _, message),) = world.storage.messages
    assert (at - START, message) == (INTENT_GRACE, KEY)
    assert INTENT_GRACE > LEASE_SECONDS
    world.clock.now = at
    assert world.advance(validates(), message) == "VALIDATING -> VALIDATED"


def test_a_watch_over_an_intent_that_was_resolved_does_nothing(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    world.advance(validates(poll_in=600))
    world.clock.now += INTENT_GRACE
    assert world.advance(validates()) == "not due"


def test_an_interrupted_intent_goes_on_though_nothing_else_is_ready(world: LedgerWorld) -> None:
    world.keep(a_snapshot(S.VALIDATING))
    handler = FakeHandler(lambda row: StepResult(S.VALIDATED), is_ready=False)
    assert world.advance({"validate": handler}) == "VALIDATING -> VALIDATED"


def test_the_first_step_of_the_table_that_is_ready_runs_alone(world: LedgerWorld) -> None:
    world.keep(a_snapshot(S.VALIDATED))
    handlers = {
        "submit": FakeHandler(lambda row: StepResult(S.TRAINING)),
        "reserve": FakeHandler(lambda row: StepResult(S.SUPERSEDED)),
    }
    world.advance(handlers)
    assert (handlers["reserve"].acts, handlers["submit"].acts) == (1, 0)


def test_when_no_step_is_ready_no_further_look_is_planned(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    handler = FakeHandler(lambda row: StepResult(S.VALIDATED), is_ready=False)
    assert world.advance({"validate": handler}) == "nothing to do"
    assert (world.row().poll_at, handler.acts, world.looks(), world.told()) == (None, 0, [], [])


def test_a_look_that_is_planned_for_later_stays_planned_when_a_hint_finds_nothing(world: LedgerWorld) -> None:
    world.keep(a_snapshot(poll_at=START + 99))
    world.advance({}, f"{KEY}?")
    assert world.row().poll_at == START + 99


@pytest.mark.parametrize(
    ("look", "hint", "done"),
    [
        (0.0, "", "RECEIVED -> VALIDATED"),
        (-999.0, "", "RECEIVED -> VALIDATED"),
        (EARLY, "", "RECEIVED -> VALIDATED"),
        (EARLY + 0.1, "", "not due"),
        (999.0, "", "not due"),
        (None, "", "not due"),
        (999.0, "?", "RECEIVED -> VALIDATED"),
        (None, "?", "RECEIVED -> VALIDATED"),
    ],
)
def test_a_message_acts_when_its_time_has_come_and_a_hint_at_any_time(
    world: LedgerWorld, look: float | None, hint: str, done: str
) -> None:
    world.keep(a_snapshot(poll_at=None if look is None else START + look))
    assert world.advance(validates(), KEY + hint) == done


@pytest.mark.parametrize("hint", ["", "?"])
def test_a_row_that_waits_for_a_person_is_left_alone(world: LedgerWorld, hint: str) -> None:
    row = world.keep(a_snapshot(attention=True))
    handlers = validates()
    assert world.advance(handlers, KEY + hint) == "waits for a person"
    assert (handlers["validate"].acts, world.row()) == (0, row)


def test_a_row_whose_lease_is_held_is_left_to_its_holder(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    world.storage.lease(SNAPSHOT)
    handlers = validates()
    assert world.advance(handlers) == "held elsewhere"
    assert handlers["validate"].acts == 0


@pytest.mark.parametrize(("hint", "again"), [("", 1), ("?", 0)])
def test_a_planned_look_at_a_held_row_is_not_lost_and_a_hint_is_not_multiplied(
    world: LedgerWorld, hint: str, again: int
) -> None:
    world.keep(a_snapshot())
    world.storage.lease(SNAPSHOT)
    assert world.advance(validates(), KEY + hint) == "held elsewhere"
    assert [(at - START, message) for at, _, message in world.storage.messages] == [(INTENT_GRACE, KEY)] * again


def test_an_unknown_row_takes_no_lease(world: LedgerWorld) -> None:
    assert world.advance(validates()) == "unknown"
    assert not world.storage.leases


@pytest.mark.parametrize("error", [None, ServiceBusy("x"), ValueError("x"), LeaseHeld("x")], ids=repr)
def test_the_lease_is_given_back_however_a_step_ends(world: LedgerWorld, error: Exception | None) -> None:
    world.keep(a_snapshot())
    world.advance(raises(error) if error else validates())
    assert not world.storage.leases


def _moved_before_the_lease(world: LedgerWorld, **changes: Any) -> dict[str, FakeHandler]:
    """Another worker moves the row after it was read and before its lease is free."""
    hold = world.storage.lease

    def late(name: str, take_over: bool = False) -> Any:
        world.ledger.change(KEY, lambda row: row.but(**changes))
        return hold(name)

    world.storage.lease = late  # type: ignore[method-assign]
    return validates()


def test_what_another_worker_planned_meanwhile_is_not_due_any_more(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    handlers = _moved_before_the_lease(world, poll_at=START + 60)
    assert world.advance(handlers) == "not due"
    assert (handlers["validate"].acts, world.storage.leases, world.looks()) == (0, {}, [])


def test_a_row_that_came_to_need_a_person_meanwhile_is_left_alone(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    handlers = _moved_before_the_lease(world, attention=True)
    assert world.advance(handlers, f"{KEY}?") == "waits for a person"
    assert handlers["validate"].acts == 0


def test_a_step_whose_lease_was_lost_while_it_acted_records_nothing(world: LedgerWorld) -> None:
    world.keep(a_snapshot())

    def does(row: Any) -> StepResult:
        world.clock.now += 3600
        world.storage.lease(SNAPSHOT)  # somebody else has it now
        return StepResult(S.VALIDATED)

    assert world.advance({"validate": FakeHandler(does)}) == "somebody else was first"
    assert (world.row().state, world.looks()) == (S.VALIDATING, [])
    assert world.told() == []
    assert world.storage.leases


@pytest.mark.parametrize("poll_in", [0, 60, None])
def test_only_the_write_that_won_sends_a_message(world: LedgerWorld, poll_in: float | None) -> None:
    world.keep(a_snapshot())

    def overtaken(row: Any) -> StepResult:
        kept = world.ledger.read(KEY)
        entry = HistoryEntry(state=S.REJECTED, at=START, reason="by another worker")
        world.ledger.write(kept, kept.row.but(state=S.REJECTED, history=(*kept.row.history, entry)))
        return StepResult(S.VALIDATED, poll_in=poll_in, then=(Announcement("dataset/aa"),))

    assert world.advance({"validate": FakeHandler(overtaken)}) == "somebody else was first"
    assert (world.row().state, world.looks()) == (S.REJECTED, [])
    assert world.told() == [(KEY, "REJECTED", "by another worker")]


def test_other_rows_are_hinted_at_once_the_outcome_is_written(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    world.advance(validates(poll_in=None, then=(Announcement("dataset/aa"), Announcement("dataset/bb"))))
    assert world.looks() == [(0, "dataset/aa?"), (0, "dataset/bb?")]


def test_a_history_stays_short_and_keeps_the_newest(world: LedgerWorld) -> None:
    old = tuple(HistoryEntry(state="RECEIVED", at=float(i)) for i in range(HISTORY_KEPT))
    world.ledger.create(a_snapshot())
    world.ledger.change(KEY, lambda row: row.but(history=old))
    world.advance(validates())
    assert len(world.row().history) == HISTORY_KEPT
    assert world.row().reason == "fine"


# --- requests recorded while a step acts -------------------------------------------------------------------------


def _sleeping(world: LedgerWorld, request: str, **changes: Any) -> str:
    """A dataset goes to sleep, during which `changes` are recorded."""
    key = str(world.keep(a_dataset(requested=a_request("sleep"))).key)

    def does(row: Any) -> StepResult:
        world.ledger.change(key, lambda r: r.but(**changes))
        return StepResult(D.ASLEEP, "done", {"requested": None, "scoring_uri": ""}, poll_in=None)

    assert world.advance({"sleep": FakeHandler(does)}, f"{key}?") == "LIVE -> ASLEEP"
    return key


def test_a_request_recorded_while_a_step_acts_is_kept_and_looked_at_next(world: LedgerWorld) -> None:
    request = a_request("retry", snapshot=SNAPSHOT, at=START + 1)
    key = _sleeping(world, "retry", requested=request, poll_at=START + 1)
    row = world.row(key)
    assert (row.state, row.requested, row.scoring_uri) == (D.ASLEEP, request, "")
    assert row.poll_at == START
    assert world.looks() == [(0, key)]


def test_a_note_recorded_while_a_step_acts_is_kept_beside_its_outcome(world: LedgerWorld) -> None:
    key = _sleeping(world, "", last_asked_at=START + 7)
    row = world.row(key)
    assert (row.state, row.requested, row.last_asked_at, row.poll_at) == (D.ASLEEP, None, START + 7, None)
    assert world.looks() == []


def test_a_request_that_the_step_fulfilled_is_over(world: LedgerWorld) -> None:
    assert world.row(_sleeping(world, "")).requested is None


def test_a_request_that_a_transition_answers_is_void(world: LedgerWorld) -> None:
    key = str(world.keep(a_dataset(D.SHIFTING, requested=a_request("wake"), before_rollout=D.ASLEEP)).key)
    world.advance({"shift": FakeHandler(lambda row: StepResult(D.LIVE, "it serves", poll_in=None))}, f"{key}?")
    assert (world.row(key).state, world.row(key).requested) == (D.LIVE, None)
