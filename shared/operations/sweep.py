"""What is overdue: the safety net under every event and message. Called by the sweep timer.

It only sends hints and records arrivals that no event told us about, so running it at any time, twice or on several
instances is harmless. A listing that fails raises, and nothing is concluded from it.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from shared.errors import ServiceBusy
from shared.ledger.states import DatasetState, SnapshotState
from shared.operations import orphans
from shared.snapshots import intake

if TYPE_CHECKING:
    from shared.ledger.rows import Dataset
    from shared.ledger.store import ListedRow
    from shared.runtime import Services

log = logging.getLogger(__name__)

_RESTING = (DatasetState.EMPTY, DatasetState.LIVE, DatasetState.ASLEEP)


def sweep(services: Services) -> list[str]:
    """Enqueues every row that is overdue and every dataset with a release waiting; returns their keys.

    Places for jobs that nothing stands for any more are given back, and endpoints without a row are looked for.
    """
    now = services.clock()
    snapshots, datasets = list(services.ledger.list("snapshot")), list(services.ledger.list("dataset"))
    due = [r.key for r in (*snapshots, *datasets) if r.poll_at is not None and r.poll_at <= now]
    due = [key for key in due if key not in {r.key for r in (*snapshots, *datasets) if r.attention}]
    due += [key for key in _releases_waiting(services, snapshots, datasets) if key not in due]
    for key in due:
        services.ledger.hint(key)
    services.budget.audit(partial(_job_status, services))
    _orphans(services)
    return due + [f"snapshot/{found}" for found in _lost_uploads(services, snapshots)]


def _job_status(services: Services, name: str) -> str | None:
    job = services.workspace.jobs.get(name)
    return job.status if job else None


def _orphans(services: Services) -> None:
    """What costs money without a row. Azure ML may be busy; the next sweep asks again."""
    try:
        orphans.collect(services)
    except ServiceBusy as error:
        log.warning("orphans were not looked for: %s", error)


def _releases_waiting(services: Services, snapshots: list[ListedRow], datasets: list[ListedRow]) -> list[str]:
    """Datasets that rest although a snapshot with a model has not had its turn: a hint was lost, or a crash came
    between a snapshot's registration and the note of it in its dataset's row, which is made here then."""
    newest: dict[str, str] = {}
    for listed in snapshots:
        if listed.state == SnapshotState.REGISTERED:
            snapshot = listed.key.removeprefix("snapshot/")
            dataset = f"dataset/{snapshot.rsplit('-', 2)[0]}"
            newest[dataset] = max(snapshot, newest.get(dataset, ""))
    waiting = []
    for listed in datasets:
        if listed.key in newest:
            row: Dataset = services.ledger.change(listed.key, partial(_registered, snapshot=newest[listed.key])).row
            if row.next_release and row.state in _RESTING and not row.attention:
                waiting.append(row.key)
    return waiting


def _registered(row: Dataset, snapshot: str) -> Dataset:
    changed: Dataset = row.with_registered(snapshot)
    return changed


def _lost_uploads(services: Services, snapshots: list[ListedRow]) -> list[str]:
    """Records the uploads that are in the container but in no row: their event was lost."""
    known = {r.key.removeprefix("snapshot/") for r in snapshots}
    found = []
    for blob in intake.missed_uploads(services, known):
        snapshot = intake.receive_listed(services, blob)
        if snapshot:
            log.warning("%s: no event told us about %s", snapshot, blob.name)
            found.append(snapshot)
    return found
