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
from tests.ledger_world import FAULT_SECONDS, KEY, FakeHandler, LedgerWorld, raises, validates


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld()


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
def test_a_failing_step_leaves_its_state_and_a_fault_on_record(world: LedgerWorld, error: Exception, kind: str) -> None:
    world.keep(a_snapshot())
    assert world.advance(raises(error)) == "RECEIVED -> VALIDATING"
    row = world.row()
    assert row.state == S.VALIDATING
    assert row.fault is not None
    assert (row.fault.type, row.fault.message, row.fault.step) == (kind, str(error), "validate")
    assert (row.fault.count, row.fault.since, row.attention) == (1, START, False)
    assert world.looks() == [(FAULT_SECONDS, KEY)]


def test_faults_in_a_row_wait_longer_each_time_and_then_for_a_person(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    delays = []
    for _ in range(FAULTS_BEFORE_ATTENTION):
        world.advance(raises(ServiceBusy("HTTP 503")))
        look = world.row().poll_at
        delays.append(None if look is None else look - world.clock())
        world.clock.now = look or world.clock.now
    assert delays == [30, 60, 120, 240, None]
    row = world.row()
    assert (row.attention, row.fault.count, row.fault.since) == (True, FAULTS_BEFORE_ATTENTION, START)
    world.storage.messages.clear()
    assert world.advance(validates(), f"{KEY}?") == "waits for a person"
    assert next(world.ledger.list("snapshot")).attention


def test_the_services_own_patience_counts_more_than_ours(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    world.advance(raises(ServiceBusy("HTTP 429", 7)))
    assert world.looks() == [(7, KEY)]


def test_a_step_that_works_again_clears_its_fault(world: LedgerWorld) -> None:
    world.keep(a_snapshot(S.VALIDATING, fault=a_fault(count=4), waiting="for something"))
    world.advance(validates())
    assert (world.row().fault, world.row().waiting) == (None, "")


def test_a_fault_of_another_step_is_not_counted_on(world: LedgerWorld) -> None:
    world.keep(a_snapshot(S.VALIDATING, fault=a_fault(step="submit", count=4)))
    world.advance(raises(ServiceBusy("x")))
    assert (world.row().fault.count, world.row().attention) == (1, False)


def test_what_no_repeat_will_help_ends_with_its_reason_and_without_an_old_fault(world: LedgerWorld) -> None:
    world.keep(a_snapshot(S.VALIDATING, fault=a_fault(step="validate", count=3)))
    ends = StepResult(S.REJECTED, "bad rows", poll_in=None)
    assert world.advance(raises(PermanentError("no"), ends=ends)) == "VALIDATING -> REJECTED"
    row = world.row()
    assert (row.reason, row.fault, row.poll_at) == ("bad rows", None, None)


def test_only_permanent_errors_end_a_row(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    for error in (ServiceBusy("x"), ValueError("x")):
        world.advance(raises(error, ends=StepResult(S.REJECTED)), f"{KEY}?")
        assert world.row().state == S.VALIDATING


def test_waiting_for_something_that_was_started_is_no_fault_however_long_it_takes(world: LedgerWorld) -> None:
    world.keep(a_snapshot(S.VALIDATING, fault=a_fault(step="validate")))
    for _ in range(2 * FAULTS_BEFORE_ATTENTION):
        world.storage.messages.clear()
        world.advance(raises(NotReady("cluster a is Creating", 60)), f"{KEY}?")
        assert world.looks() == [(60, KEY)]
    row = world.row()
    assert (row.state, row.waiting, row.fault, row.attention) == (S.VALIDATING, "cluster a is Creating", None, False)


def test_a_long_message_is_cut(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    world.advance(raises(ValueError("x" * 9000)))
    assert len(world.row().fault.message) == 500


@pytest.mark.parametrize("wrong", [S.TRAINED, S.REGISTERED, S.RECEIVED, S.CLEANED])
def test_a_step_cannot_take_a_way_that_is_not_in_the_table(world: LedgerWorld, wrong: S) -> None:
    world.keep(a_snapshot())
    handlers = {"validate": FakeHandler(lambda row: StepResult(wrong, changes={"digest": "d"}))}
    world.advance(handlers)
    row = world.row()
    assert (row.state, row.digest) == (S.VALIDATING, "")
    assert row.fault.type == IllegalTransition.__name__
    assert f"VALIDATING -> {wrong}" in row.fault.message


def test_held_is_nobodys_fault(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    assert world.advance(raises(LeaseHeld("the lease was lost"))) == "somebody else was first"
    assert world.row().fault is None


def test_what_keeps_the_row_from_being_written_is_raised_for_the_platform_to_deliver_again(world: LedgerWorld) -> None:
    world.keep(a_snapshot())

    def broken(*_: Any) -> str:
        raise ServiceBusy("storage is busy")

    world.storage.replace = broken  # type: ignore[method-assign, assignment]
    handlers = validates()
    with pytest.raises(ServiceBusy):
        world.advance(handlers)
    assert (handlers["validate"].acts, world.storage.leases, world.notified) == (0, {}, [])
