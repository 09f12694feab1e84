"""The ledger: rows in blob storage, and `advance`, the one envelope in which every step runs.

A row is one JSON blob, written on condition of its ETag; its state and `next_look_at` are also blob metadata, so that
a listing answers "what is due" without reading each row. `advance` is called by the queue function, any number of
times for one row, by any number of workers: read the row; decide by the table; write the intent; act; record the
outcome the same way; and only the worker whose write won sends the message for the next look.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from shared import naming
from shared.errors import (
    IllegalTransition,
    LeaseHeld,
    LedgerConflict,
    NotFound,
    NotReady,
    PermanentError,
    TemporaryError,
)
from shared.ledger import fence, states
from shared.ledger.rows import HISTORY_KEPT, Dataset, Fault, HistoryEntry, Snapshot

if TYPE_CHECKING:
    from shared.azure.storage import Lease, Storage

log = logging.getLogger(__name__)

CONTAINER = "ledger"
_SNAPSHOT, _DATASET = msgspec.json.Decoder(Snapshot), msgspec.json.Decoder(Dataset)
# A fault this often in a row waits for a person.
FAULTS_BEFORE_ATTENTION = 5
# After an intent was written, somebody looks again this much later (s): longer than a lease, so that a crashed worker's
# lease has run out by then.
INTENT_GRACE = 22
# Messages may arrive this much (s) before the time they were meant for: clocks differ.
EARLY = 2.0

type AnyRow = Snapshot | Dataset
type Announce = Callable[[str, str, str, str], None]


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with the ETag it was read or written under."""

    row: Any
    etag: str


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A row as a listing shows it."""

    key: str
    state: str
    poll_at: float | None
    attention: bool


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step's act brought: the state to be in, why, other fields to change, and what to look at next.

    `look_in`: seconds until the next look at this row (0 now, None never). `then`: keys of other rows that may move.
    """

    state: Any
    reason: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    poll_in: float | None = 0
    then: tuple[str, ...] = ()


class StepHandler(Protocol):
    """What a step does: `ready` says whether there is anything to do, `act` does it. Both may be repeated.

    `failed` turns an error that no repeat will help into an outcome; None leaves it a fault for a person.
    """

    def ready(self, row: Any) -> bool: ...
    def act(self, row: Any, lease: Lease) -> StepResult: ...
    def failed(self, row: Any, error: PermanentError) -> StepResult | None: ...


class Ledger:
    """Rows and messages over a Storage. `clock` gives seconds since 1970, UTC."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self.storage, self.clock = storage, clock

    def read(self, key: str) -> StoredRow:
        """The row under a key. Raises NotFound."""
        data, etag = self.storage.read(CONTAINER, _blob(key))
        return StoredRow(_decode(key, data), etag)

    def create(self, row: AnyRow) -> StoredRow:
        """Writes a new row and enqueues its first look. Raises LedgerConflict when there is one already."""
        row = row.but(history=(HistoryEntry(state=row.state, at=self.clock(), reason=row.reason),))
        etag = self.storage.create(CONTAINER, _blob(row.key), msgspec.json.encode(row), _metadata(row))
        if row.poll_at is not None:
            self.come_back(row.key, row.poll_at)
        return StoredRow(row, etag)

    def dataset(self, name: str) -> StoredRow:
        """The dataset's row, created EMPTY when it is missing. Its seed is derived from the name."""
        try:
            return self.read(f"dataset/{name}")
        except NotFound:
            row = Dataset(name=name, seed=int(naming.short_hash("seed", name), 16))
            try:
                return self.create(row)
            except LedgerConflict:
                return self.read(row.key)

    def write(self, kept: StoredRow, row: AnyRow) -> StoredRow:
        """Replaces the row on condition that it is still the one that was read. Raises LedgerConflict."""
        etag = self.storage.replace(CONTAINER, _blob(row.key), msgspec.json.encode(row), kept.etag, _metadata(row))
        return StoredRow(row, etag)

    def change(self, key: str, edit: Callable[[Any], Any]) -> StoredRow:
        """Reads, edits and writes until no other write came between; `edit` returning the same row writes nothing."""
        while True:
            kept = self.read(key)
            row = edit(kept.row)
            if row == kept.row:
                return kept
            try:
                return self.write(kept, row)
            except LedgerConflict:
                continue

    def list(self, kind: str, dataset: str = "") -> Iterator[ListedRow]:
        """Rows of a kind (`snapshot`, `dataset`), in the order of ids, optionally of one dataset only."""
        prefix = f"{kind}s/{dataset}/" if dataset else f"{kind}s/"
        for blob in self.storage.list(CONTAINER, prefix):
            look = blob.metadata.get("next_look_at", "")
            yield ListedRow(
                key=f"{kind}/{blob.name.rsplit('/', 1)[-1].removesuffix('.json')}",
                state=blob.metadata.get("state", ""),
                poll_at=float(look) if look else None,
                attention=blob.metadata.get("attention") == "1",
            )

    def hint(self, key: str) -> None:
        """Something may have happened to this row: have a look now, whatever was planned."""
        self.storage.send(f"{key}?")

    def come_back(self, key: str, at: float) -> None:
        """Have a look when it is time; a row whose look was moved meanwhile ignores the message."""
        self.storage.send(key, at - self.clock())


def advance(
    ledger: Ledger,
    message: str,
    handlers: Mapping[str, Mapping[str, StepHandler]],
    fault_seconds: float,
    tell: Announce,
) -> str:
    """Moves the row that a message names by one step, and says in a word or two what was done.

    Harmless to repeat, at any time and at the same time. Raises only what keeps the row from being read or
    written at all (the platform then delivers the message again). `tell` hears of state changes: key, before, after,
    reason.
    """
    key = message.removesuffix("?")
    table = states.SNAPSHOT if key.startswith("snapshot/") else states.DATASET
    hinted = message.endswith("?")
    try:
        if why := _not_now(ledger.read(key).row, hinted, ledger.clock()):
            return why
        lease = ledger.storage.lease(key.split("/", 1)[1])
    except NotFound:
        return "unknown"
    except LeaseHeld:
        if not hinted:  # the one message that was planned: keep an eye on the holder, who may have died
            ledger.come_back(key, ledger.clock() + INTENT_GRACE)
        return "held elsewhere"
    try:
        kept = ledger.read(key)  # once more: another worker may have moved it before the lease was ours
        if why := _not_now(kept.row, hinted, ledger.clock()):
            return why
        with fence.under(lease):
            return _one_step(ledger, kept, table, handlers[table.name], lease, fault_seconds, tell)
    except (LeaseHeld, LedgerConflict):
        return "somebody else was first"
    finally:
        lease.release()


def _not_now(row: AnyRow, hinted: bool, now: float) -> str:
    """Why nothing is to be done now, or nothing."""
    if row.attention:
        return "waits for a person"
    if not hinted and (row.poll_at is None or row.poll_at > now + EARLY):
        return "not due"
    return ""


def _one_step(
    ledger: Ledger,
    kept: StoredRow,
    table: states.LifeCycle,
    handlers: Mapping[str, StepHandler],
    lease: Lease,
    fault_seconds: float,
    tell: Announce,
) -> str:
    chosen = next(
        (s for s in table.steps_from(kept.row.state) if s.name in handlers and _runs(s, handlers[s.name], kept.row)),
        None,
    )
    if chosen is None:
        _rest(ledger, kept)
        return "nothing to do"
    key, started, before = kept.row.key, ledger.clock(), kept.row.state
    if chosen.intent is not None and before != chosen.intent:
        kept = _record(ledger, kept, StepResult(chosen.intent, poll_in=INTENT_GRACE), acted=False)
        ledger.come_back(key, ledger.clock() + INTENT_GRACE)  # should this worker die; else the row has moved by then
        tell(key, before, chosen.intent, "")
    acting = kept.row.state
    outcome = _acted(handlers[chosen.name], chosen.name, kept.row, lease, ledger.clock(), fault_seconds)
    if not table.allows(kept.row.state, outcome.state):
        defect = IllegalTransition(f"{key}: {kept.row.state} -> {outcome.state} is in no row of the table")
        outcome = _faulted(kept.row, chosen.name, defect, ledger.clock(), fault_seconds)
    lease.check()
    kept = _record(ledger, kept, outcome)
    if kept.row.poll_at is not None:
        ledger.come_back(key, kept.row.poll_at)
    for other in outcome.then:
        ledger.hint(other)
    if kept.row.state != acting or outcome.reason:
        tell(key, acting, kept.row.state, kept.row.reason)
    log.log(
        logging.INFO if kept.row.state != before or kept.row.fault else logging.DEBUG,
        "%s %s: %s -> %s in %.2f s%s",
        key, chosen.name, before, kept.row.state, ledger.clock() - started,
        f" ({kept.row.fault.type}: {kept.row.fault.message})" if kept.row.fault else "",
    )  # fmt: skip
    return f"{before} -> {kept.row.state}"


def _runs(step: states.Step, hand: StepHandler, row: AnyRow) -> bool:
    """An interrupted intent always goes on; otherwise the hand says whether there is something to do."""
    return row.state == step.intent or hand.ready(row)


def _acted(hand: StepHandler, step: str, row: AnyRow, lease: Lease, now: float, fault_seconds: float) -> StepResult:
    """The act's outcome; errors become an end state or a fault with growing delay."""
    try:
        return _sound(hand.act(row, lease))
    except LeaseHeld:
        raise
    except NotReady as wait:
        return StepResult(row.state, "", {"fault": None, "waiting": str(wait)}, wait.retry_after or fault_seconds)
    except Exception as error:
        if isinstance(error, PermanentError) and (ended := hand.failed(row, error)):
            return _sound(ended)
        if not isinstance(error, TemporaryError | PermanentError):
            log.exception("%s failed unexpectedly in %s", row.key, step)
        return _faulted(row, step, error, now, fault_seconds)


def _sound(outcome: StepResult) -> StepResult:
    """What went wrong or was waited for before is over."""
    return dataclasses.replace(outcome, changes={"fault": None, "waiting": "", **outcome.changes})


def _faulted(row: AnyRow, step: str, error: Exception, now: float, fault_seconds: float) -> StepResult:
    """The same state with the fault on record, looked at again after a delay that doubles."""
    past = row.fault if row.fault and row.fault.step == step else None
    fault = Fault(
        type=type(error).__name__,
        message=str(error)[:500],
        step=step,
        count=past.count + 1 if past else 1,
        since=past.since if past else now,
    )
    asked = error.retry_after if isinstance(error, TemporaryError) else None
    attention = fault.count >= FAULTS_BEFORE_ATTENTION
    delay = None if attention else asked or fault_seconds * 2 ** (fault.count - 1)
    return StepResult(row.state, "", {"fault": fault, "attention": attention}, delay)


def _record(ledger: Ledger, kept: StoredRow, outcome: StepResult, acted: bool = True) -> StoredRow:
    """Writes an outcome. A request that was recorded meanwhile is kept; a state changed meanwhile is a conflict.

    Before the act (an intent) another request is a conflict as well: it may take back what the step was to do.
    """
    while True:
        try:
            return ledger.write(kept, _changed(kept.row, outcome, ledger.clock()))
        except LedgerConflict:
            fresh = ledger.read(kept.row.key)
            if fresh.row.history != kept.row.history or fresh.etag == kept.etag:
                raise
            if getattr(fresh.row, "requested", None) != getattr(kept.row, "requested", None):
                if not acted:
                    raise
                outcome = _beside_a_wish(outcome)
            kept = fresh


def _beside_a_wish(outcome: StepResult) -> StepResult:
    """The outcome of a step during which another wish was recorded: that wish stays, and the row is looked at now."""
    changes = {name: value for name, value in outcome.changes.items() if name != "requested"}
    return dataclasses.replace(outcome, changes=changes, poll_in=0)


def _changed(row: AnyRow, outcome: StepResult, now: float) -> AnyRow:
    changes = dict(outcome.changes)
    if outcome.state != row.state or outcome.reason:
        entry = HistoryEntry(state=outcome.state, at=now, reason=outcome.reason)
        changes["history"] = (*row.history, entry)[-HISTORY_KEPT:]
    look = None if outcome.poll_in is None else now + outcome.poll_in
    done: AnyRow = row.but(**{**changes, "state": outcome.state, "poll_at": look})
    return done


def _rest(ledger: Ledger, kept: StoredRow) -> None:
    """Nothing to do: no further look is planned until something happens, or until the row itself knows a time."""
    if kept.row.poll_at is not None and kept.row.poll_at <= ledger.clock():
        kept = ledger.write(kept, kept.row.but(poll_at=kept.row.comes_due))
        if kept.row.poll_at is not None:
            ledger.come_back(kept.row.key, kept.row.poll_at)


def _blob(key: str) -> str:
    """`snapshot/<id>` -> `snapshots/<dataset>/<id>.json`, `dataset/<name>` -> `datasets/<name>.json`."""
    kind, _, name = key.partition("/")
    if kind == "dataset" and naming.DATASET.fullmatch(name):
        return f"datasets/{name}.json"
    if kind == "snapshot" and (dataset := naming.dataset_of(name)):
        return f"snapshots/{dataset}/{name}.json"
    raise NotFound(f"{key[:100]!r} is not the key of a row")


def _decode(key: str, data: bytes) -> AnyRow:
    if key.startswith("snapshot/"):
        return _SNAPSHOT.decode(data)
    return _DATASET.decode(data)


def _metadata(row: AnyRow) -> dict[str, str]:
    found = {"state": row.state.value}
    if row.poll_at is not None:
        found["next_look_at"] = repr(row.poll_at)
    if row.attention:
        found["attention"] = "1"
    return found
