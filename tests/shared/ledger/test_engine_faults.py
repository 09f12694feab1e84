"""Steps that go wrong: faults with growing delay, waiting, ends, and what is raised."""

from __future__ import annotations

import logging
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


def test_faults_in_a_row_wait_longer_each_time_and_then_for_a_person(
    world: LedgerWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.keep(a_snapshot())
    caplog.set_level(logging.INFO)
    delays = []
    for _ in range(FAULTS_BEFORE_ATTENTION):
        world.advance(raises(ServiceBusy("HTTP 503")))
        look = world.row().poll_at
        delays.append(None if look is None else look - world.clock())
        world.clock.now = look or world.clock.now
    assert delays == [30, 60, 120, 240, None]
    row = world.row()
    assert (row.attention, row.fault.count, row.fault.since) == (True, FAULTS_BEFORE_ATTENTION, START)
    assert caplog.text.count("needs_attention") == 1  # an alert looks for it
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
    assert (handlers["validate"].acts, world.storage.leases, world.told()) == (0, {}, [])


# --- workers that are lost ---------------------------------------------------------------------------------------


class Killed(BaseException):
    """The worker ends here."""


def _killed(world: LedgerWorld, handlers: dict[str, FakeHandler]) -> None:
    """One try that ends its worker, and the poll that was planned for that case."""
    with pytest.raises(Killed):
        world.advance(handlers)
    world.storage.leases.clear()
    world.clock.now = world.row().poll_at


def test_an_intent_that_is_entered_again_is_a_fault_at_once(world: LedgerWorld) -> None:
    world.keep(a_snapshot())

    def dies(row: Any) -> StepResult:
        raise Killed

    handlers = {"validate": FakeHandler(dies)}
    for lost in range(3):
        assert (world.row().fault.count if world.row().fault else 0) == max(0, lost - 1)
        _killed(world, handlers)
    fault = world.row().fault
    assert (fault.type, fault.step, fault.count) == ("WorkerLost", "validate", 2)
    assert world.advance(validates()) == "VALIDATING -> VALIDATED"
    assert (world.row().fault, world.row().acting) == (None, False)


@pytest.mark.parametrize("ends", [True, False])
def test_a_step_that_ends_its_worker_five_times_ends_with_a_reason_or_waits_for_a_person(
    world: LedgerWorld, ends: bool
) -> None:
    world.keep(a_snapshot())

    def dies(row: Any) -> StepResult:
        raise Killed

    result = StepResult(S.REJECTED, "its check ended the worker", poll_in=None) if ends else None
    handlers = {"validate": FakeHandler(dies, ends=result)}
    for _ in range(FAULTS_BEFORE_ATTENTION):
        _killed(world, handlers)
    assert handlers["validate"].acts == FAULTS_BEFORE_ATTENTION
    world.advance(handlers)
    assert handlers["validate"].acts == FAULTS_BEFORE_ATTENTION
    row = world.row()
    assert (row.state, row.attention) == ((S.REJECTED, False) if ends else (S.VALIDATING, True))
    assert ends or "ended its worker 5 times" in row.fault.message


def test_a_step_that_polls_in_its_intent_is_no_lost_worker(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    for _ in range(2 * FAULTS_BEFORE_ATTENTION):
        world.advance({"validate": FakeHandler(lambda row: StepResult(S.VALIDATING, poll_in=60))}, f"{KEY}?")
        assert (world.row().fault, world.row().acting) == (None, False)


def test_a_fault_that_was_recorded_is_no_lost_worker_besides(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    for count in (1, 2):
        world.advance(raises(ServiceBusy("HTTP 503")))
        assert (world.row().fault.type, world.row().fault.count) == ("ServiceBusy", count)
        world.clock.now = world.row().poll_at


# --- what fails outside the act ----------------------------------------------------------------------------------


HALF = "half an emoji: \ud83d"


@pytest.mark.parametrize("changes", [{"note": HALF}, {"hyperparameters": {"a": HALF}}, {"counts": {"a": 1.5}}], ids=str)
def test_a_row_that_cannot_be_stored_ends_with_a_reason(world: LedgerWorld, changes: dict[str, Any]) -> None:
    world.keep(a_snapshot())
    handlers = {"validate": FakeHandler(lambda row: StepResult(S.VALIDATED, "fine", changes))}
    handlers["validate"].ends = StepResult(S.REJECTED, "it cannot be stored", poll_in=None)
    assert world.advance(handlers) == "RECEIVED -> REJECTED"
    assert world.row().reason == "it cannot be stored"


def test_a_row_that_cannot_be_stored_is_a_fault_where_nothing_ends(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    world.advance({"validate": FakeHandler(lambda row: StepResult(S.VALIDATED, HALF))})
    row = world.row()
    assert (row.state, row.fault.type, row.fault.count) == (S.VALIDATING, "RowUnwritable", 1)
    assert KEY in row.fault.message


def test_an_error_with_half_a_character_is_put_on_record(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    world.advance(raises(ValueError(HALF)))
    assert world.row().fault.message == "half an emoji: ?"


def test_what_fails_before_the_act_is_a_fault_too(world: LedgerWorld) -> None:
    world.keep(a_snapshot())

    class Broken(FakeHandler):
        def ready(self, row: Any) -> bool:
            raise KeyError("a defect")

    handlers: dict[str, FakeHandler] = {"validate": Broken(lambda row: StepResult(S.VALIDATED))}
    assert world.advance(handlers) == "RECEIVED -> RECEIVED"
    assert (world.row().fault.type, world.row().fault.step) == ("KeyError", "validate")


def test_what_fails_while_an_end_is_looked_for_is_a_fault_too(world: LedgerWorld) -> None:
    world.keep(a_snapshot())

    class Broken(FakeHandler):
        def failed(self, row: Any, error: PermanentError) -> StepResult | None:
            raise ServiceBusy("HTTP 503")

    def does(row: Any) -> StepResult:
        raise PermanentError("no")

    world.advance({"validate": Broken(does)})
    assert (world.row().state, world.row().fault.type) == (S.VALIDATING, "ServiceBusy")


# --- pauses and damage -------------------------------------------------------------------------------------------


def test_hints_do_not_burn_faults(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    handlers = raises(ServiceBusy("HTTP 503"))
    world.advance(handlers)
    for _ in range(10):
        assert world.advance(handlers, f"{KEY}?") == "pauses after a fault"
    assert (handlers["validate"].acts, world.row().fault.count) == (1, 1)
    world.clock.now = world.row().poll_at
    assert world.advance(validates(), f"{KEY}?") == "VALIDATING -> VALIDATED"


def test_a_row_that_is_damaged_is_left_alone_and_named(world: LedgerWorld, caplog: pytest.LogCaptureFixture) -> None:
    world.keep(a_snapshot())
    place, stored = world.stored()
    stored.data = stored.data[:-20]
    for message in (KEY, f"{KEY}?"):
        assert world.advance(validates(), message) == "damaged"
    assert f"{place[0]}/{place[1]} cannot be read" in caplog.text
    assert world.storage.blobs[place].data == stored.data


def test_a_worker_that_comes_late_leaves_the_faults_of_another_one_alone(world: LedgerWorld) -> None:
    """It stalled so long that the row waits for a person by now: what it found is not written over that."""
    world.keep(a_snapshot())

    def late(row: Any) -> StepResult:
        world.ledger.change(KEY, lambda fresh: fresh.but(fault=a_fault(count=5), attention=True))
        return StepResult(S.REJECTED, "bad rows")

    assert world.advance({"validate": FakeHandler(late)}) == "somebody else was first"
    assert (world.row().state, world.row().attention, world.row().fault.count) == (S.VALIDATING, True, 5)
