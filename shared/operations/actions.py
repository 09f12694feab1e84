"""What people and clients may ask for: retry, override, cancel, wake, sleep, roll back, resume. Called by the HTTP
actions and by the service that answers calls.

Each reads the row, has `decisions` decide, and carries that out: what is to be done is recorded on the row, on
condition of its ETag, and then done by the row's next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.errors import BadRequest, LedgerConflict, NotFound
from shared.ledger.deletions import DatasetDeletion
from shared.ledger.pause import DatasetPause
from shared.ledger.rows import Check, Dataset, Origin, Request, Snapshot
from shared.ledger.states import ReleaseState, SnapshotState
from shared.operations import decisions
from shared.operations.decisions import ActionDecision, Declined, Settled, Write

if TYPE_CHECKING:
    from shared.runtime import Services


# A snapshot that is checked again from the beginning: no slot, no job (whatever an earlier version left there), and
# nothing is known to be in its way.
_FROM_THE_BEGINNING: dict[str, Any] = {
    "job": "",
    "job_status": "",
    "studio_url": "",
    "blocked": (),
    "duplicate_of": "",
    "estimate": None,
}


# What waits for a pause to end; so many of them, the newest, are told at once.
_AFTER_CHECK = (SnapshotState.VALIDATED, SnapshotState.SUBMITTING)
_TOLD_AT_ONCE = 20


class BadOverride(BadRequest):
    """Somebody asked to excuse something that has no such name."""


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """What became of what was asked for: `done` says whether it was taken (or there was nothing to do)."""

    done: bool
    text: str


def ask(services: Services, dataset: str, what: str, by: str, origin: Origin = Origin.PERSON) -> ActionAnswer:
    """Records the request that a dataset sleeps, wakes or rolls back. Raises NotFound for an unknown dataset."""
    request = Request(what=what, by=by, at=services.clock(), origin=origin)
    return _carry_out(services, f"dataset/{dataset}", lambda row: decisions.on_request(row, request))


def resume(services: Services, dataset: str, by: str) -> ActionAnswer:
    """Goes on with a dataset that waits for a person. Raises NotFound for an unknown dataset."""
    return _resume(services, f"dataset/{dataset}", by)


def delete(services: Services, dataset: str, by: str, with_files: bool = False) -> ActionAnswer:
    """Has a dataset deleted with everything that is its own; `with_files`: what was dropped as well.

    One that is being deleted, or was, is so already. Raises NotFound for an unknown dataset.
    """
    deletion = DatasetDeletion(dataset=dataset, by=by, at=services.clock(), with_files=with_files)
    try:
        _require_dataset(services, dataset)
    except NotFound:
        ended = services.ledger.deletions.of(dataset) if naming.DATASET.fullmatch(dataset) else None
        if ended is None:
            raise
        if with_files and not ended.with_files:
            text = f"{dataset} was deleted by {ended.by} without what was dropped: that is in `snapshots` in storage"
            return ActionAnswer(False, text)
        return ActionAnswer(True, f"{dataset} was deleted by {ended.by}")
    return _carry_out(services, f"dataset/{dataset}", partial(decisions.on_delete, deletion=deletion))


def pause(services: Services, dataset: str, by: str, reason: str = "") -> ActionAnswer:
    """Has a dataset begin nothing that costs money: its snapshots are checked and wait; what serves goes on.

    A rollout under way is finished. Raises NotFound for an unknown dataset.
    """
    wanted = DatasetPause(by=by, at=services.clock(), reason=reason)
    _require_dataset(services, dataset)
    key, now = f"dataset/{dataset}", services.clock()
    return _carry_out(services, key, partial(decisions.on_pause, pause=wanted, by=by, now=now))


def unpause(services: Services, dataset: str, by: str) -> ActionAnswer:
    """Has a paused dataset go on; the snapshots that wait look at once. Raises NotFound for an unknown dataset."""
    key, now = f"dataset/{dataset}", services.clock()
    answer = _carry_out(services, key, partial(decisions.on_pause, pause=None, by=by, now=now))
    waiting = [kept for kept in services.ledger.cards.list(dataset) if kept.card and kept.card.state in _AFTER_CHECK]
    for kept in waiting[-_TOLD_AT_ONCE:]:
        services.ledger.hint(kept.key)
    return answer


def _require_dataset(services: Services, dataset: str) -> None:
    """Raises NotFound where there is neither the row of a dataset nor a snapshot of it. Makes the row if need be."""
    try:
        services.ledger.read(f"dataset/{dataset}")
    except NotFound:
        if not naming.DATASET.fullmatch(dataset) or not any(services.ledger.list("snapshot", dataset)):
            raise
        services.ledger.dataset(dataset)  # its first snapshot is not read yet


def retry(services: Services, snapshot: str, by: str) -> ActionAnswer:
    """Goes on with a snapshot that failed: training or registration again, the release again, or past its faults.

    Raises NotFound for an unknown snapshot.
    """
    row: Snapshot = services.ledger.read(f"snapshot/{snapshot}").row
    if row.attention:
        return _resume(services, row.key, by)
    if row.state == SnapshotState.REGISTERED:
        return _retry_release(services, row, by)
    if row.state == SnapshotState.TRAINING_FAILED:
        return _retrain(services, row, by)
    if row.state == SnapshotState.CANCELED and row.job_status != "Completed":
        return _move(services, row, "retry_canceled", by, **_FROM_THE_BEGINNING, attempt=row.attempt + 1)
    is_trained = row.state in (SnapshotState.REGISTER_FAILED, SnapshotState.CANCELED)
    step = "retry_registration" if is_trained else "retry"
    return _move(services, row, step, by, attempt=row.attempt + 1)


def cancel(services: Services, snapshot: str, by: str, reason: str = "") -> ActionAnswer:
    """Ends a snapshot that does not serve yet: its job is canceled, a release under way is taken back.

    What serves already is declined, and so is what has ended. Raises NotFound for an unknown snapshot.
    """
    row: Snapshot = services.ledger.read(f"snapshot/{snapshot}").row
    if row.state == SnapshotState.REGISTERED:
        dataset: Dataset = services.ledger.dataset(row.dataset).row
        match decisions.on_cancel_of_release(dataset, row):
            case Settled(text):
                return ActionAnswer(True, text)
            case Declined(text):
                return ActionAnswer(False, text)
    request = Request(what="cancel", by=by, at=services.clock(), reason=reason, origin=Origin.PERSON)
    return _carry_out(services, row.key, partial(decisions.on_cancel, request=request))


def override(services: Services, snapshot: str, by: str, what: Iterable[str] = ()) -> ActionAnswer:
    """Excuses checks for one snapshot, on record, and takes it after all. Names (of `Check`) default to what blocks it.

    One that was refused is checked again from the beginning; one whose training failed before it began is trained under
    a new attempt; one that waits goes on; one that the gate withheld is released whatever the gate says. What cannot be
    excused is refused again. Raises NotFound for an unknown snapshot, BadOverride for other names.
    """
    row: Snapshot = services.ledger.read(f"snapshot/{snapshot}").row
    if unknown := sorted(set(what) - set(Check)):
        raise BadOverride(f"{', '.join(unknown)[:80]}: nothing of that name can be overridden; {', '.join(Check)} can")
    checks = {*what} or {*row.blocked}
    if row.state == SnapshotState.REGISTERED:
        return _override_gate(services, row, by, {*what})
    if row.state == SnapshotState.VALIDATED and row.blocked:
        excuse = partial(decisions.on_excuse, checks=checks, by=by, now=services.clock())
        return _carry_out(services, row.key, excuse, meant=row)
    changes = decisions.excused_from(row, checks, by)
    why = f": excused from {', '.join(sorted(checks))}" if checks else ""
    if row.state == SnapshotState.TRAINING_FAILED and row.blocked:
        return _retrain(services, row, by, why, **changes)
    return _move(services, row, "override", by, why, **_FROM_THE_BEGINNING, **changes)


def _retrain(services: Services, row: Snapshot, by: str, why: str = "", **changes: Any) -> ActionAnswer:
    """A new attempt at the training, if nobody else is at the same content."""
    if holder := services.claims.take_again(row):
        return ActionAnswer(False, f"{holder} is training the same content now")
    return _move(services, row, "retry", by, why, attempt=row.attempt + 1, blocked=(), **changes)


def _override_gate(services: Services, row: Snapshot, by: str, what: set[str]) -> ActionAnswer:
    """Releases a withheld snapshot once more; its candidate is asked again, and passes whatever it answers.

    First the override, then the request: cut off between the two, asking again does the rest.
    """
    if late := sorted(what - {Check.GATE}):
        text = f"{row.id} is registered: of what comes later only {Check.GATE} is checked, not {late[0]}"
        return ActionAnswer(False, text)
    dataset: Dataset = services.ledger.dataset(row.dataset).row
    ended = dataset.outcome_of(row)
    if ended is None or ended.state != ReleaseState.WITHHELD:
        return ActionAnswer(False, f"{row.id} was not withheld: there is nothing to override")
    _carry_out(services, row.key, partial(decisions.on_excuse_of_gate, by=by, now=services.clock()))
    return _retry_release(services, row, by)


def _retry_release(services: Services, row: Snapshot, by: str) -> ActionAnswer:
    key = f"dataset/{row.dataset}"
    if services.ledger.read(key).row.attention:
        return _resume(services, key, by)
    request = Request(what="retry", by=by, at=services.clock(), snapshot=row.id, origin=Origin.PERSON)
    return _carry_out(services, key, lambda found: decisions.on_retry_of_release(found, request, row))


def _resume(services: Services, key: str, by: str) -> ActionAnswer:
    return _carry_out(services, key, partial(decisions.on_resume, by=by, now=services.clock()))


def _move(services: Services, row: Snapshot, step: str, by: str, why: str = "", **changes: Any) -> ActionAnswer:
    move = partial(decisions.on_move, step=step, by=by, now=services.clock(), why=why, **changes)
    return _carry_out(services, row.key, move, meant=row)


def _carry_out(
    services: Services, key: str, decide: Callable[[Any], ActionDecision], meant: Snapshot | None = None
) -> ActionAnswer:
    """Has the row decided about, writes what is to be written, and has the row looked at.

    What comes between is decided about anew. With `meant` only that row is: one that has moved on since, perhaps to the
    end of another attempt, is left alone.
    """
    while True:
        stored = services.ledger.read(key)
        if meant is not None and stored.row.history != meant.history:
            return ActionAnswer(False, f"{meant.id} moved on meanwhile and is {stored.row.state}: ask again")
        match decide(stored.row):
            case Write(row, text):
                try:
                    services.ledger.write(stored, row)
                except LedgerConflict:
                    continue
                services.ledger.hint(key)
                return ActionAnswer(True, text)
            case Settled(text):
                return ActionAnswer(True, text)
            case Declined(text):
                return ActionAnswer(False, text)
