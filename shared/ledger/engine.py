"""The engine: the one envelope in which every step runs. Called by the queue function, through `operations.steps`.

One advance is one step of one row: choose it by the table; record its intent; act; check what came of it; record the
outcome; announce it. Any number of workers may advance one row at any time: a lease keeps them apart, every write is
on condition of the row's ETag, and only the worker whose write won sends the message for the next poll.
"""

from __future__ import annotations

import dataclasses
import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.errors import (
    Damaged,
    IllegalTransition,
    LeaseHeld,
    LedgerConflict,
    NotFound,
    NotReady,
    PermanentError,
    PipelineError,
    RowUnwritable,
    TemporaryError,
    WorkerLost,
)
from shared.ledger import fence, states
from shared.ledger.fence import HeldLease
from shared.ledger.record import cut
from shared.ledger.rows import Fault
from shared.ledger.store import AnyRow, Ledger, StoredRow, encode

log = logging.getLogger(__name__)

# A fault this often in a row waits for a person.
FAULTS_BEFORE_ATTENTION = 5
# After an intent was written, the row is polled this much later (s): longer than a lease, so that a crashed worker's
# lease has run out by then.
INTENT_GRACE = 22
# Messages may arrive this much (s) before the time they were meant for: clocks differ.
EARLY = 2.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """Another row that may move now. `edit` changes it first; it may be applied any number of times.

    Without `poll` it is changed and nothing else.
    """

    key: str
    edit: Callable[[Any], Any] | None = None
    poll: bool = True


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step's act brought: the state to be in, why, other fields to change, and which rows may move now.

    `poll_in`: seconds until the row is polled again (0 now, None never). With `gone` the row is deleted instead of
    written, and then that is called.
    """

    state: Any
    reason: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    poll_in: float | None = 0
    then: tuple[Announcement, ...] = ()
    gone: Callable[[], object] | None = None


class StepHandler(Protocol):
    """What a step does: `ready` says whether there is anything to do, `act` does it. Both may be repeated.

    `ready` is pure: it looks at the row, the settings and the clock, asks no service and writes nothing.
    `failed` turns an error that no repeat will help into an outcome; None leaves it a fault for a person.
    """

    def ready(self, row: Any) -> bool: ...
    def act(self, row: Any, lease: HeldLease) -> StepResult: ...
    def failed(self, row: Any, error: PermanentError) -> StepResult | None: ...


@dataclass(frozen=True, slots=True)
class Engine:
    """The ledger with the handlers of its steps, by table and step.

    `fault_seconds`: the pause after a first fault.
    """

    ledger: Ledger
    handlers: Mapping[str, Mapping[str, StepHandler]]
    fault_seconds: float

    def advance(self, message: str) -> str:
        """Moves the row that a message names by one step, and says in a word or two what was done.

        Harmless to repeat, at any time and at the same time. Raises only what keeps the row from being read or
        written at all; the platform then delivers the message again.
        """
        key, hinted = message.removesuffix("?"), message.endswith("?")
        try:
            if why := self._not_now(self.ledger.read(key).row, hinted):
                return why
            lease = self.ledger.storage.lease(key.split("/", 1)[1])
        except NotFound:
            return "unknown"
        except Damaged as error:  # no message will mend it; the sweep tells of it as well
            log.error("%s is left alone: %s", key, error)
            return "damaged"
        except LeaseHeld:
            if not hinted:  # the one message that was planned: keep an eye on the holder, who may have died
                self.ledger.schedule(key, self.ledger.clock() + INTENT_GRACE)
            return "held elsewhere"
        try:
            stored = self.ledger.read(key)  # once more: another worker may have moved it before the lease was ours
            if why := self._not_now(stored.row, hinted):
                return why
            with fence.under(lease):
                return self._one_step(stored, lease)
        except (LeaseHeld, LedgerConflict):
            return "somebody else was first"
        except NotFound:  # it was deleted while the step ran
            return "gone"
        finally:
            lease.release()

    def _not_now(self, row: AnyRow, hinted: bool) -> str:
        """Why nothing is to be done now, or nothing. A hint finds a row before its time, but not in a fault's pause."""
        if row.attention:
            return "waits for a person"
        early = row.poll_at is None or row.poll_at > self.ledger.clock() + EARLY
        if early and hinted and row.fault and row.poll_at is not None:
            return "pauses after a fault"
        return "not due" if early and not hinted else ""

    def _one_step(self, stored: StoredRow, lease: HeldLease) -> str:
        """The story of one step, of a row whose lease is held."""
        before, started = stored.row.state, self.ledger.clock()
        step, error = self._choose(stored.row)
        if step is None:
            self._rest(stored)
            return "nothing to do"
        if error is not None:
            result = self._fault(stored.row, step, error)
        else:
            stored = self._record_intent(stored, step)
            result = self._check(stored.row, step, self._act(stored.row, step, lease))
        lease.check()
        if result.gone is not None:
            return self._remove(stored, result, result.gone)
        recorded = self._record(stored, result).row
        self._announce(recorded, result)
        self._log(step, before, recorded, self.ledger.clock() - started)
        return f"{before} -> {recorded.state}"

    def _remove(self, stored: StoredRow, result: StepResult, gone: Callable[[], object]) -> str:
        """The row's end. Where it is cut off, the sweep does the rest."""
        self.ledger.remove(stored)
        gone()
        log.info("%s is gone: %s", stored.row.key, result.reason)
        return f"{stored.row.state} -> gone"

    def _choose(self, row: AnyRow) -> tuple[states.Step | None, Exception | None]:
        """The first step of the table that has something to do, or what went wrong when it was asked. None: there is
        none. An interrupted intent always goes on."""
        for step in _table(row).steps_from(row.state):
            if step.name not in self.handlers[_table(row).name]:
                continue
            try:
                if row.state == step.intent or self._handler(row, step).ready(row):
                    return step, None
            except Exception as error:  # noqa: BLE001 - whatever it was is a fault on record
                log.error("%s: whether %s has something to do is not known\n%s", row.key, step.name, _trace())
                return step, error
        return None, None

    def _handler(self, row: AnyRow, step: states.Step) -> StepHandler:
        return self.handlers[_table(row).name][step.name]

    def _rest(self, stored: StoredRow) -> None:
        """Nothing to do: no further poll is planned until something happens, or until the row itself knows a time."""
        row = stored.row
        if row.poll_at is not None and row.poll_at <= self.ledger.clock():
            rested = self.ledger.write(stored, row.settled().but(poll_at=row.comes_due)).row
            if rested.poll_at is not None:
                self.ledger.schedule(rested.key, rested.poll_at)

    def _record_intent(self, stored: StoredRow, step: states.Step) -> StoredRow:
        """The row in its intent, if the step has one, while it acts; polled soon should this worker die.

        An intent that is entered again because nothing came of it is a fault, at once: what was to be done may be what
        ended the worker.
        """
        row = stored.row
        if step.intent is None:
            return stored
        changes: dict[str, Any] = {"acting": True}
        if row.state == step.intent and row.acting:
            text = f"{step.name} was begun and nothing came of it: its worker was lost, or could not record it"
            changes["fault"] = self._fault(row, step, WorkerLost(text)).changes["fault"]
        stored = self._record(stored, StepResult(step.intent, "", changes, INTENT_GRACE), acted=False)
        self.ledger.schedule(row.key, self.ledger.clock() + INTENT_GRACE)
        return stored

    def _act(self, row: AnyRow, step: states.Step, lease: HeldLease) -> StepResult:
        """What the step brought; errors become an end state or a fault with growing delay. Raises LeaseHeld."""
        handler = self._handler(row, step)
        try:
            try:
                _check_workers(row, step)
                return _sound(handler.act(row, lease))
            except PermanentError as error:
                if ended := handler.failed(row, error):
                    return _sound(ended)
                raise
        except LeaseHeld:
            raise
        except NotReady as wait:
            pause = wait.retry_after or self.fault_seconds
            return StepResult(row.state, "", {"fault": None, "waiting": str(wait)}, pause)
        except Exception as error:  # noqa: BLE001 - whatever it was is a fault on record
            if not isinstance(error, TemporaryError | PermanentError):
                log.error("%s failed unexpectedly in %s\n%s", row.key, step.name, _trace())
            return self._fault(row, step, error)

    def _check(self, row: AnyRow, step: states.Step, result: StepResult) -> StepResult:
        """The result, if the table allows it and it can be stored; else that is a fault, and the row stays as it is."""
        if not _table(row).allows(row.state, result.state):
            text = f"{row.key}: {row.state} -> {result.state} is in no row of the table"
            return self._fault(row, step, IllegalTransition(text))
        try:
            encode(_changed(row, result, self.ledger.clock()))
            return result
        except RowUnwritable as error:
            ended = self._handler(row, step).failed(row, error)
            return _sound(ended) if ended else self._fault(row, step, error)

    def _fault(self, row: AnyRow, step: states.Step, error: Exception) -> StepResult:
        """The same state with the fault on record, polled again after a delay that doubles."""
        past = row.fault if row.fault and row.fault.step == step.name else None
        fault = Fault(
            type=type(error).__name__,
            message=_whole(cut(str(error), 500)),
            step=step.name,
            count=past.count + 1 if past else 1,
            since=past.since if past else self.ledger.clock(),
        )
        attention = fault.count >= FAULTS_BEFORE_ATTENTION
        asked = error.retry_after if isinstance(error, TemporaryError) else None
        delay = None if attention else asked or self.fault_seconds * 2 ** (fault.count - 1)
        return StepResult(row.state, "", {"fault": fault, "attention": attention}, delay)

    def _record(self, stored: StoredRow, result: StepResult, acted: bool = True) -> StoredRow:
        """Writes a result. A request that was recorded meanwhile is kept; a state changed meanwhile is a conflict.

        Before the act (an intent) another request is a conflict as well: it may take back what the step was to do.
        """
        while True:
            try:
                return self.ledger.write(stored, _changed(stored.row, result, self.ledger.clock()))
            except LedgerConflict:
                fresh = self.ledger.read(stored.row.key)
                theirs = fresh.row.history != stored.row.history or fresh.row.fault != stored.row.fault
                if theirs or fresh.etag == stored.etag:  # another worker was at it, or nobody was
                    raise
                if getattr(fresh.row, "requested", None) != getattr(stored.row, "requested", None):
                    if not acted:
                        raise
                    result = _beside_a_request(result)
                stored = fresh

    def _announce(self, row: AnyRow, result: StepResult) -> None:
        """Schedules the next poll and tells other rows. Where it is cut off, the sweep does it."""
        if row.poll_at is not None:
            self.ledger.schedule(row.key, row.poll_at)
        for other in result.then:
            try:
                if other.edit is not None:
                    self.ledger.change(other.key, other.edit)
                if other.poll:
                    self.ledger.hint(other.key)
            except PipelineError as error:
                log.warning("%s is not told of %s, which the sweep does: %s", other.key, row.key, error)

    def _log(self, step: states.Step, before: str, row: AnyRow, seconds: float) -> None:
        fault = f" ({row.fault})" if row.fault else ""
        fault += " needs_attention" if row.attention else ""  # an alert looks for the word
        level = logging.INFO if row.state != before or row.fault else logging.DEBUG
        log.log(level, "%s %s: %s -> %s in %.2f s%s", row.key, step.name, before, row.state, seconds, fault)


def _trace() -> str:
    return _whole(traceback.format_exc())


def _whole(text: str) -> str:
    """Text without halves of characters, which neither a row nor a log can hold."""
    return text.encode("utf-8", "replace").decode()


def _table(row: AnyRow) -> states.LifeCycle:
    return states.SNAPSHOT if row.key.startswith("snapshot/") else states.DATASET


def _check_workers(row: AnyRow, step: states.Step) -> None:
    """Raises WorkerLost when the step ended its worker too often to be tried once more."""
    fault = row.fault
    if fault and fault.type == WorkerLost.__name__ and fault.count >= FAULTS_BEFORE_ATTENTION:
        raise WorkerLost(
            f"{step.name} ended its worker {fault.count} times: it needs too much memory, or too much time"
        )


def _sound(result: StepResult) -> StepResult:
    """What went wrong or was waited for before is over."""
    return dataclasses.replace(result, changes={"fault": None, "waiting": "", **result.changes})


def _beside_a_request(result: StepResult) -> StepResult:
    """The result of a step during which a request was recorded: that stays, and the row is polled now."""
    changes = {name: value for name, value in result.changes.items() if name != "requested"}
    return dataclasses.replace(result, changes=changes, poll_in=0)


def _changed(row: AnyRow, result: StepResult, now: float) -> AnyRow:
    changes = dict(result.changes)
    if result.state != row.state or result.reason:
        changes["history"] = row.longer_history(result.state, result.reason, now)
    if result.state != row.state:
        changes["pending"] = {}  # what Azure was asked for in one state says nothing about the next
    poll_at = None if result.poll_in is None else now + result.poll_in
    changed: AnyRow = row.but(**{"acting": False, **changes, "state": result.state, "poll_at": poll_at})
    settled: AnyRow = changed.settled()
    return settled
