"""The envelope of every step: when it runs, what it writes, who sends messages, which wishes stay."""

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
from tests.ledger_desk import KEY, Desk, Hand, raises, validates


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_step_writes_its_intent_before_it_acts_and_its_outcome_after(desk: Desk) -> None:
    desk.keep(a_snapshot())
    during = []

    def does(row: Any) -> StepResult:
        during.append(desk.row())
        return StepResult(S.VALIDATED, "fine", {"digest": "d"}, poll_in=9)

    assert desk.advance({"validate": Hand(does)}) == "RECEIVED -> VALIDATED"
    (row,) = during
    assert row.state == S.VALIDATING
    assert row.poll_at == START + INTENT_GRACE
    after = desk.row()
    assert (after.state, after.digest, after.poll_at) == (S.VALIDATED, "d", START + 9)
    assert [(e.state, e.reason) for e in after.history] == [("RECEIVED", ""), ("VALIDATING", ""), ("VALIDATED", "fine")]
    assert desk.looks() == [(9, KEY)]
    assert desk.told == [(KEY, "RECEIVED", "VALIDATING", ""), (KEY, "VALIDATING", "VALIDATED", "fine")]


def test_an_intent_is_watched_so_that_a_dead_workers_step_is_resumed_without_a_sweep(desk: Desk) -> None:
    desk.keep(a_snapshot())

    class Killed(BaseException):
        pass

    def dies(row: Any) -> StepResult:
        raise Killed

    with pytest.raises(Killed):
        desk.advance({"validate": Hand(dies)})
    ((at, _, message),) = desk.storage.messages
    assert (at - START, message) == (INTENT_GRACE, KEY)
    assert INTENT_GRACE > LEASE_SECONDS
    desk.clock.now = at
    assert desk.advance(validates(), message) == "VALIDATING -> VALIDATED"


def test_a_watch_over_an_intent_that_was_resolved_does_nothing(desk: Desk) -> None:
    desk.keep(a_snapshot())
    desk.advance(validates(poll_in=600))
    desk.clock.now += INTENT_GRACE
    assert desk.advance(validates()) == "not due"


def test_an_interrupted_intent_goes_on_though_nothing_else_is_ready(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATING))
    hand = Hand(lambda row: StepResult(S.VALIDATED), is_ready=False)
    assert desk.advance({"validate": hand}) == "VALIDATING -> VALIDATED"


def test_the_first_step_of_the_table_that_is_ready_runs_alone(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATED))
    handlers = {
        "submit": Hand(lambda row: StepResult(S.TRAINING)),
        "reserve": Hand(lambda row: StepResult(S.SUPERSEDED)),
    }
    desk.advance(handlers)
    assert (handlers["reserve"].acts, handlers["submit"].acts) == (1, 0)


def test_when_no_step_is_ready_no_further_look_is_planned(desk: Desk) -> None:
    desk.keep(a_snapshot())
    hand = Hand(lambda row: StepResult(S.VALIDATED), is_ready=False)
    assert desk.advance({"validate": hand}) == "nothing to do"
    assert (desk.row().poll_at, hand.acts, desk.looks(), desk.told) == (None, 0, [], [])


def test_a_look_that_is_planned_for_later_stays_planned_when_a_hint_finds_nothing(desk: Desk) -> None:
    desk.keep(a_snapshot(poll_at=START + 99))
    desk.advance({}, f"{KEY}?")
    assert desk.row().poll_at == START + 99


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
    desk: Desk, look: float | None, hint: str, done: str
) -> None:
    desk.keep(a_snapshot(poll_at=None if look is None else START + look))
    assert desk.advance(validates(), KEY + hint) == done


@pytest.mark.parametrize("hint", ["", "?"])
def test_a_row_that_waits_for_a_person_is_left_alone(desk: Desk, hint: str) -> None:
    row = desk.keep(a_snapshot(attention=True))
    handlers = validates()
    assert desk.advance(handlers, KEY + hint) == "waits for a person"
    assert (handlers["validate"].acts, desk.row()) == (0, row)


def test_a_row_whose_lease_is_held_is_left_to_its_holder(desk: Desk) -> None:
    desk.keep(a_snapshot())
    desk.storage.lease(SNAPSHOT)
    handlers = validates()
    assert desk.advance(handlers) == "held elsewhere"
    assert handlers["validate"].acts == 0


@pytest.mark.parametrize(("hint", "again"), [("", 1), ("?", 0)])
def test_a_planned_look_at_a_held_row_is_not_lost_and_a_hint_is_not_multiplied(
    desk: Desk, hint: str, again: int
) -> None:
    desk.keep(a_snapshot())
    desk.storage.lease(SNAPSHOT)
    assert desk.advance(validates(), KEY + hint) == "held elsewhere"
    assert [(at - START, message) for at, _, message in desk.storage.messages] == [(INTENT_GRACE, KEY)] * again


def test_an_unknown_row_takes_no_lease(desk: Desk) -> None:
    assert desk.advance(validates()) == "unknown"
    assert not desk.storage.leases


@pytest.mark.parametrize("error", [None, ServiceBusy("x"), ValueError("x"), LeaseHeld("x")], ids=repr)
def test_the_lease_is_given_back_however_a_step_ends(desk: Desk, error: Exception | None) -> None:
    desk.keep(a_snapshot())
    desk.advance(raises(error) if error else validates())
    assert not desk.storage.leases


def _moved_before_the_lease(desk: Desk, **changes: Any) -> dict[str, Hand]:
    """Another worker moves the row after it was read and before its lease is free."""
    hold = desk.storage.lease

    def late(name: str) -> Any:
        desk.ledger.change(KEY, lambda row: row.but(**changes))
        return hold(name)

    desk.storage.lease = late  # type: ignore[method-assign]
    return validates()


def test_what_another_worker_planned_meanwhile_is_not_due_any_more(desk: Desk) -> None:
    desk.keep(a_snapshot())
    handlers = _moved_before_the_lease(desk, poll_at=START + 60)
    assert desk.advance(handlers) == "not due"
    assert (handlers["validate"].acts, desk.storage.leases, desk.looks()) == (0, {}, [])


def test_a_row_that_came_to_need_a_person_meanwhile_is_left_alone(desk: Desk) -> None:
    desk.keep(a_snapshot())
    handlers = _moved_before_the_lease(desk, attention=True)
    assert desk.advance(handlers, f"{KEY}?") == "waits for a person"
    assert handlers["validate"].acts == 0


def test_a_step_whose_lease_was_lost_while_it_acted_records_nothing(desk: Desk) -> None:
    desk.keep(a_snapshot())

    def does(row: Any) -> StepResult:
        desk.clock.now += 3600
        desk.storage.lease(SNAPSHOT)  # somebody else has it now
        return StepResult(S.VALIDATED)

    assert desk.advance({"validate": Hand(does)}) == "somebody else was first"
    assert (desk.row().state, desk.looks()) == (S.VALIDATING, [])
    assert desk.told == [(KEY, "RECEIVED", "VALIDATING", "")]
    assert desk.storage.leases


@pytest.mark.parametrize("poll_in", [0, 60, None])
def test_only_the_write_that_won_sends_a_message(desk: Desk, poll_in: float | None) -> None:
    desk.keep(a_snapshot())

    def overtaken(row: Any) -> StepResult:
        kept = desk.ledger.read(KEY)
        entry = HistoryEntry(state=S.REJECTED, at=START, reason="by another worker")
        desk.ledger.write(kept, kept.row.but(state=S.REJECTED, history=(*kept.row.history, entry)))
        return StepResult(S.VALIDATED, poll_in=poll_in, then=(Announcement("dataset/aa"),))

    assert desk.advance({"validate": Hand(overtaken)}) == "somebody else was first"
    assert (desk.row().state, desk.looks(), desk.told) == (S.REJECTED, [], [(KEY, "RECEIVED", "VALIDATING", "")])


def test_other_rows_are_hinted_at_once_the_outcome_is_written(desk: Desk) -> None:
    desk.keep(a_snapshot())
    desk.advance(validates(poll_in=None, then=(Announcement("dataset/aa"), Announcement("dataset/bb"))))
    assert desk.looks() == [(0, "dataset/aa?"), (0, "dataset/bb?")]


def test_a_history_stays_short_and_keeps_the_newest(desk: Desk) -> None:
    old = tuple(HistoryEntry(state="RECEIVED", at=float(i)) for i in range(HISTORY_KEPT))
    desk.ledger.create(a_snapshot())
    desk.ledger.change(KEY, lambda row: row.but(history=old))
    desk.advance(validates())
    assert len(desk.row().history) == HISTORY_KEPT
    assert desk.row().reason == "fine"


# --- wishes recorded while a step acts -------------------------------------------------------------------------


def _sleeping(desk: Desk, wish: str, **changes: Any) -> str:
    """A dataset goes to sleep, during which `changes` are recorded."""
    key = str(desk.keep(a_dataset(requested=a_request("sleep"))).key)

    def does(row: Any) -> StepResult:
        desk.ledger.change(key, lambda r: r.but(**changes))
        return StepResult(D.ASLEEP, "done", {"requested": None, "scoring_uri": ""}, poll_in=None)

    assert desk.advance({"sleep": Hand(does)}, f"{key}?") == "LIVE -> ASLEEP"
    return key


def test_a_wish_recorded_while_a_step_acts_is_kept_and_looked_at_next(desk: Desk) -> None:
    wish = a_request("retry", snapshot=SNAPSHOT, at=START + 1)
    key = _sleeping(desk, "retry", requested=wish, poll_at=START + 1)
    row = desk.row(key)
    assert (row.state, row.requested, row.scoring_uri) == (D.ASLEEP, wish, "")
    assert row.poll_at == START
    assert desk.looks() == [(0, key)]


def test_a_note_recorded_while_a_step_acts_is_kept_beside_its_outcome(desk: Desk) -> None:
    key = _sleeping(desk, "", last_asked_at=START + 7)
    row = desk.row(key)
    assert (row.state, row.requested, row.last_asked_at, row.poll_at) == (D.ASLEEP, None, START + 7, None)
    assert desk.looks() == []


def test_a_wish_that_the_step_fulfilled_is_over(desk: Desk) -> None:
    assert desk.row(_sleeping(desk, "")).requested is None
