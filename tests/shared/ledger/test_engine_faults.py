"""Steps that go wrong: faults with growing delay, waiting, ends, and what is raised."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import (
    IllegalTransition,
    LeaseHeld,
    LedgerConflict,
    NotFound,
    NotReady,
    PermanentError,
    ServiceBusy,
    TemporaryError,
)
from shared.ledger.engine import FAULTS_BEFORE_ATTENTION, StepResult
from shared.ledger.states import SnapshotState as S
from tests.builders import a_fault, a_snapshot
from tests.fakes import START
from tests.ledger_desk import FAULT_SECONDS, KEY, Desk, Hand, raises, validates


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServiceBusy("HTTP 503"), "ServiceBusy"),
        (TemporaryError("later"), "TemporaryError"),
        (PermanentError("no"), "PermanentError"),
        (KeyError("a defect"), "KeyError"),
        (NotFound("gone"), "NotFound"),
        (LedgerConflict("x"), "LedgerConflict"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failing_step_leaves_its_state_and_a_fault_on_record(desk: Desk, error: Exception, kind: str) -> None:
    desk.keep(a_snapshot())
    assert desk.advance(raises(error)) == "RECEIVED -> VALIDATING"
    row = desk.row()
    assert row.state == S.VALIDATING
    assert row.fault is not None
    assert (row.fault.type, row.fault.message, row.fault.step) == (kind, str(error), "validate")
    assert (row.fault.count, row.fault.since, row.attention) == (1, START, False)
    assert desk.looks() == [(FAULT_SECONDS, KEY)]


def test_faults_in_a_row_wait_longer_each_time_and_then_for_a_person(desk: Desk) -> None:
    desk.keep(a_snapshot())
    delays = []
    for _ in range(FAULTS_BEFORE_ATTENTION):
        desk.advance(raises(ServiceBusy("HTTP 503")))
        look = desk.row().poll_at
        delays.append(None if look is None else look - desk.clock())
        desk.clock.now = look or desk.clock.now
    assert delays == [30, 60, 120, 240, None]
    row = desk.row()
    assert (row.attention, row.fault.count, row.fault.since) == (True, FAULTS_BEFORE_ATTENTION, START)
    desk.storage.messages.clear()
    assert desk.advance(validates(), f"{KEY}?") == "waits for a person"
    assert next(desk.ledger.list("snapshot")).attention


def test_the_services_own_patience_counts_more_than_ours(desk: Desk) -> None:
    desk.keep(a_snapshot())
    desk.advance(raises(ServiceBusy("HTTP 429", 7)))
    assert desk.looks() == [(7, KEY)]


def test_a_step_that_works_again_clears_its_fault(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATING, fault=a_fault(count=4), waiting="for something"))
    desk.advance(validates())
    assert (desk.row().fault, desk.row().waiting) == (None, "")


def test_a_fault_of_another_step_is_not_counted_on(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATING, fault=a_fault(step="submit", count=4)))
    desk.advance(raises(ServiceBusy("x")))
    assert (desk.row().fault.count, desk.row().attention) == (1, False)


def test_what_no_repeat_will_help_ends_with_its_reason_and_without_an_old_fault(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATING, fault=a_fault(step="validate", count=3)))
    ends = StepResult(S.REJECTED, "bad rows", poll_in=None)
    assert desk.advance(raises(PermanentError("no"), ends=ends)) == "VALIDATING -> REJECTED"
    row = desk.row()
    assert (row.reason, row.fault, row.poll_at) == ("bad rows", None, None)


def test_only_permanent_errors_end_a_row(desk: Desk) -> None:
    desk.keep(a_snapshot())
    for error in (ServiceBusy("x"), ValueError("x")):
        desk.advance(raises(error, ends=StepResult(S.REJECTED)), f"{KEY}?")
        assert desk.row().state == S.VALIDATING


def test_waiting_for_something_that_was_started_is_no_fault_however_long_it_takes(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATING, fault=a_fault(step="validate")))
    for _ in range(2 * FAULTS_BEFORE_ATTENTION):
        desk.storage.messages.clear()
        desk.advance(raises(NotReady("cluster a is Creating", 60)), f"{KEY}?")
        assert desk.looks() == [(60, KEY)]
    row = desk.row()
    assert (row.state, row.waiting, row.fault, row.attention) == (S.VALIDATING, "cluster a is Creating", None, False)


def test_a_long_message_is_cut(desk: Desk) -> None:
    desk.keep(a_snapshot())
    desk.advance(raises(ValueError("x" * 9000)))
    assert len(desk.row().fault.message) == 500


@pytest.mark.parametrize("wrong", [S.TRAINED, S.REGISTERED, S.RECEIVED, S.CLEANED])
def test_a_step_cannot_take_a_way_that_is_not_in_the_table(desk: Desk, wrong: S) -> None:
    desk.keep(a_snapshot())
    handlers = {"validate": Hand(lambda row: StepResult(wrong, changes={"digest": "d"}))}
    desk.advance(handlers)
    row = desk.row()
    assert (row.state, row.digest) == (S.VALIDATING, "")
    assert row.fault.type == IllegalTransition.__name__
    assert f"VALIDATING -> {wrong}" in row.fault.message


def test_held_is_nobodys_fault(desk: Desk) -> None:
    desk.keep(a_snapshot())
    assert desk.advance(raises(LeaseHeld("the lease was lost"))) == "somebody else was first"
    assert desk.row().fault is None


def test_what_keeps_the_row_from_being_written_is_raised_for_the_platform_to_deliver_again(desk: Desk) -> None:
    desk.keep(a_snapshot())

    def broken(*_: Any) -> str:
        raise ServiceBusy("storage is busy")

    desk.storage.replace = broken  # type: ignore[method-assign, assignment]
    handlers = validates()
    with pytest.raises(ServiceBusy):
        desk.advance(handlers)
    assert (handlers["validate"].acts, desk.storage.leases, desk.told) == (0, {}, [])
