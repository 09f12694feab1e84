"""The step that deletes a dataset with everything that is its own, and the look for what stalled workers left of it.

Called by the queue function and by the sweep. What costs money is gone first: endpoints, then jobs, whose snapshots are
canceled; of those that failed long ago each is asked about once, and they are the first that are erased. Then each
snapshot's files, answers and row; then what is told of the dataset elsewhere; its own row is last.
Every act looks at what there is by then, so one that was cut off goes on, and one that is repeated finds less to do.

What stays: model versions in Azure ML, what was spent, and what was dropped, unless it is to go as well. The record of
the deletion stays too: no upload from before brings the dataset back, a new one begins anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.errors import Damaged, NotFound, PipelineError
from shared.ledger.cards import is_open
from shared.ledger.engine import StepResult
from shared.ledger.pending import PendingWrite
from shared.ledger.rows import Dataset, Origin, Request, Snapshot
from shared.ledger.states import ENDED, DatasetState, SnapshotState
from shared.ledger.store import CONTAINER
from shared.operations import costs, decisions, publish, rebuild
from shared.releases import endpoints
from shared.snapshots import erasing, lost_uploads, refusals
from shared.training import attempt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.errors import PermanentError
    from shared.ledger.deletions import DatasetDeletion
    from shared.ledger.fence import HeldLease
    from shared.ledger.listed import ListedDataset, ListedRow
    from shared.runtime import Services

log = logging.getLogger(__name__)

DROPPED = "snapshots"
# So many snapshots are erased, and so many are asked to end, in one act.
_AT_ONCE = 25
_MODEL = SnapshotState.REGISTERED
# No job of a snapshot in one of these runs; that of one that failed may have been given up.
_WITHOUT_JOB = ENDED - {SnapshotState.TRAINING_FAILED}
# No worker that began before a deletion ended is alive so long (s) after it.
_SETTLED_AFTER = 3600.0


@dataclass(frozen=True, slots=True)
class Erase:
    """DELETING -> DELETING, and in the end the row is gone."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Always: somebody asked for it."""
        return True

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Ends what costs money and waits for that; then erases some of what is left. Raises AzureFailed."""
        deletion = deletion_of(row)
        self._note(deletion)
        removal = endpoints.ensure_all_removed(self.services, row)
        pending = dict(removal.changes["pending"])
        waiting = list(removal.changes["waiting"])
        waiting += self._end_snapshots(deletion)
        changes: dict[str, Any] = {"pending": pending, "waiting": "; ".join(waiting[:3])}
        if removal.done:
            changes |= {"live": None, "previous": None, "traffic": {}, "scoring_uri": ""}
        if waiting:
            return StepResult(row.state, "", changes, self.services.settings.look_seconds)
        if row.live or row.previous or row.traffic:
            return StepResult(row.state, "", changes)  # nothing runs any more, and it is on record until when
        if row.outbox or row.machine_time:
            _keep_account(self.services, row)
            return StepResult(row.state, "", changes)
        if left := erasing.snapshots_of(self.services, deletion):
            return self._erase_some(self._paid_first(deletion, left), lease, changes)
        forget(self.services, deletion)
        return StepResult(row.state, f"deleted by {deletion.by}", changes, gone=partial(_end, self.services, deletion))

    def _paid_first(self, deletion: DatasetDeletion, left: set[str]) -> list[str]:
        """The snapshots that are left, first those that may have a job that runs: it costs money."""
        settled = {row.name for row in _rows(self.services, deletion) if row.state in _WITHOUT_JOB and not row.damage}
        return sorted(left, key=lambda snapshot: (snapshot in settled, snapshot))

    def _erase_some(self, left: list[str], lease: HeldLease, changes: dict[str, Any]) -> StepResult:
        """The next few snapshots. One that has a job that runs is kept until that has ended.

        So each is asked about once, and what is gone never again. Raises AzureFailed for a job that does not end.
        """
        pending, running = changes["pending"], list[str]()
        for snapshot in left[:_AT_ONCE]:
            lease.check()
            if jobs := self._jobs_left(snapshot):
                running += [self._end_job(job, pending) for job in jobs]
            else:
                _erase(self.services, snapshot)
        waiting = "; ".join(running) or f"{len(left)} snapshots are being deleted"
        pause = self.services.settings.look_seconds if running else 0
        return StepResult(DatasetState.DELETING, "", {**changes, "pending": pending, "waiting": waiting}, pause)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """What Azure does not remove costs money: it is left to a person."""

    def _note(self, deletion: DatasetDeletion) -> None:
        """Puts the deletion on record for whoever takes in uploads, before anything is deleted."""
        if self.services.ledger.deletions.of(deletion.dataset) != deletion:
            self.services.ledger.deletions.put(deletion)

    def _end_snapshots(self, deletion: DatasetDeletion) -> Iterator[str]:
        """Has the open snapshots canceled; says of which that is waited for."""
        request = Request(what="cancel", by=deletion.by, at=self.services.clock(), origin=Origin.PERSON)
        opened = [key for key in _keys(self.services, deletion) if self._is_open(key)]
        for key in opened[:_AT_ONCE]:
            row = self.services.ledger.change(key, partial(_with_cancel, request=request)).row
            if not row.attention:
                self.services.ledger.hint(key)
            why = f": {row.fault.message}" if row.attention and row.fault else ""
            yield f"{row.id} is {row.state}{why}"

    def _is_open(self, key: str) -> bool:
        try:
            return is_open(self.services.ledger.read(key).row)
        except (NotFound, Damaged):
            return False

    def _end_job(self, job: str, pending: dict[str, PendingWrite]) -> str:
        pending |= attempt.cancel_job(self.services, pending, job, self.services.settings.silence_minutes * 60)
        return f"job {job} is being canceled"

    def _jobs_left(self, snapshot: str) -> list[str]:
        """The jobs that run of a snapshot although no row waits for them: they were given up, or it cannot be read."""
        try:
            given_up = self.services.ledger.read(f"snapshot/{snapshot}").row.state == SnapshotState.TRAINING_FAILED
        except Damaged:
            given_up = True
        except NotFound:
            return []
        return rebuild.paid_jobs(self.services, snapshot) if given_up else []


def _erase(services: Services, snapshot: str) -> None:
    """Erases a snapshot, once what people are yet to be told of it is kept elsewhere."""
    publish.take(services, f"snapshot/{snapshot}")
    erasing.erase(services, snapshot)


def _keep_account(services: Services, row: Dataset) -> None:
    """Takes out of the row what outlives it: what was spent, and what people are yet to be told."""
    publish.take(services, row.key)
    costs.record(services, row.name)


def deletion_of(row: Dataset) -> DatasetDeletion:
    """The deletion that is carried out."""
    assert row.deletion is not None, "what is being deleted says who asked for it"
    return row.deletion


def forget(services: Services, deletion: DatasetDeletion) -> None:
    """Deletes what is told of a dataset outside of its own blobs, and what was dropped if that is to go."""
    _forget_snapshots(services, deletion)
    for name in refusals.of_dataset(services, deletion.dataset, deletion.at):
        publish.take(services, f"refused/{name.removeprefix(refusals.FOLDER).removesuffix('.json')}")
        services.storage.delete(CONTAINER, name)
    if deletion.with_files:
        gone = [blob.name for blob in dropped(services, deletion.dataset) if deletion.fate(blob.uploaded_at) != "kept"]
        services.storage.delete_many(DROPPED, gone)


def _forget_snapshots(services: Services, deletion: DatasetDeletion) -> None:
    services.ledger.index.forget(partial(_is_gone, deletion))
    services.claims.drop(partial(_is_gone, deletion))


def dropped(services: Services, dataset: str) -> Iterator[Any]:
    """The blobs in `snapshots` that are a dataset's: the folder of its name, and the files named like it."""
    for prefix in (f"{dataset}/", f"{dataset}."):
        yield from services.storage.list(DROPPED, prefix)


def look_after(services: Services, datasets: Iterable[ListedDataset]) -> list[str]:
    """What the sweep does about deletions: one whose row went while its end was not recorded is over, and what is left
    of one by workers that were stalled is erased an hour later. Gives the keys of datasets that are deleted once more.
    """
    rows, again = {found.name: found for found in datasets}, []
    for name, deletion in services.ledger.deletions.all().items():
        row = rows.get(name)
        if deletion.settled or (row and row.state == DatasetState.DELETING):
            continue
        if deletion.ended_at is None and row is None:
            _end_if_gone(services, deletion)
        elif deletion.ended_at is None or services.clock() > deletion.ended_at + _SETTLED_AFTER:
            try:
                again += _settle(services, deletion, row)
            except PipelineError as error:
                log.warning("what is left of %s is looked for again: %s", name, error)
    return again


def _settle(services: Services, deletion: DatasetDeletion, row: ListedDataset | None) -> list[str]:
    """Erases what is left of a dataset that was deleted. Nothing of what has the name since is touched."""
    snapshots = list(services.ledger.list("snapshot", deletion.dataset))
    if row is not None and all(_is_gone(deletion, found.name) for found in snapshots):
        services.ledger.change(row.key, partial(decisions.deleted, deletion=deletion, now=services.clock()))
        services.ledger.hint(row.key)
        return [row.key]
    for snapshot in sorted(erasing.snapshots_of(services, deletion)):
        _erase(services, snapshot)
    forget(services, deletion)
    if row is None:
        try:
            services.storage.delete("locks", deletion.dataset)
        except PipelineError as error:
            log.info("the lock of %s stays: %s", deletion.dataset, error)
    services.storage.delete(CONTAINER, lost_uploads.BLOB)
    services.ledger.deletions.put(deletion.but(settled=True))
    return []


def _end_if_gone(services: Services, deletion: DatasetDeletion) -> None:
    """The same, unless the row came into being since the datasets were listed."""
    try:
        services.ledger.read(f"dataset/{deletion.dataset}")
    except NotFound:
        _end(services, deletion)
    except Damaged as error:
        log.error("%s", error)


def _end(services: Services, deletion: DatasetDeletion) -> None:
    """Puts on record that it is over: what is uploaded from now on begins anew.

    What came meanwhile may have lost its row: the next look for lost uploads asks about all.
    """
    services.ledger.deletions.put(deletion.but(ended_at=services.clock()))
    services.storage.delete(CONTAINER, lost_uploads.BLOB)
    log.info("%s was deleted by %s", deletion.dataset, deletion.by)


def _is_gone(deletion: DatasetDeletion, snapshot: str) -> bool:
    mine = naming.dataset_of(snapshot) == deletion.dataset
    return mine and deletion.fate(naming.uploaded_at(snapshot)) != "kept"


def _keys(services: Services, deletion: DatasetDeletion) -> list[str]:
    """The rows of its snapshots that may be open. One that has its model is, while something is asked of it."""
    carded = {kept.key for kept in services.ledger.cards.list(deletion.dataset)}
    rows = _rows(services, deletion)
    return [row.key for row in rows if row.state not in ENDED or (row.state == _MODEL and row.key in carded)]


def _rows(services: Services, deletion: DatasetDeletion) -> list[ListedRow]:
    return [row for row in services.ledger.list("snapshot", deletion.dataset) if _is_gone(deletion, row.name)]


def _with_cancel(row: Snapshot, request: Request) -> Snapshot:
    match decisions.on_cancel(row, request):
        case decisions.Write(changed):
            wanted: Snapshot = changed
            return wanted
    return row
