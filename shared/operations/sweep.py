"""What is overdue: the safety net under every event and message. Called by the sweep timer.

It only sends hints, records arrivals that no event told us about, and puts right what a crash left half done; running
it at any time, twice or on several instances is harmless. A listing that fails raises, and nothing is concluded from
it. Each part is for itself: what goes wrong in one is told in the log, and the others go on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shared.errors import PipelineError
from shared.ledger.states import DatasetState, SnapshotState
from shared.operations import damage, orphans
from shared.operations.rounds import run_part
from shared.snapshots import intake

if TYPE_CHECKING:
    from shared.ledger.rows import Dataset
    from shared.ledger.store import ListedRow
    from shared.runtime import Services

log = logging.getLogger(__name__)

_RESTING = (DatasetState.EMPTY, DatasetState.LIVE, DatasetState.ASLEEP)


@dataclass(frozen=True, slots=True)
class Listing:
    """Every row as it was listed at the beginning of a sweep."""

    snapshots: list[ListedRow]
    datasets: list[ListedRow]

    @property
    def rows(self) -> list[ListedRow]:
        """Those of both kinds."""
        return [*self.snapshots, *self.datasets]


def sweep(services: Services) -> list[str]:
    """Everything that may have been forgotten; returns the keys of the rows that move on by it.

    Rows that are overdue and datasets with a release waiting get a hint; slots of jobs that are no more are given back;
    what costs money without a row is looked for; uploads that no event told of are recorded; what is damaged in the
    ledger is named. Containers that were deleted are made anew first.
    """
    run_part("containers", services.storage.prepare)
    listing = Listing(list(services.ledger.list("snapshot")), list(services.ledger.list("dataset")))
    moved = run_part("hints", partial(_send_hints, services, listing))
    run_part("slots for jobs", partial(services.budget.audit, partial(_job_status, services)))
    run_part("orphans", partial(orphans.collect, services))
    moved += run_part("lost uploads", partial(_record_lost_uploads, services, listing.snapshots))
    run_part("damage", partial(_record_damage, services, listing))
    return moved


def _send_hints(services: Services, listing: Listing) -> list[str]:
    """Has every row polled that is overdue, and every dataset in which a release waits."""
    now = services.clock()
    due = [r.key for r in listing.rows if not r.attention and r.poll_at is not None and r.poll_at <= now]
    due += [key for key in _releases_waiting(services, listing) if key not in due]
    for key in due:
        services.ledger.hint(key)
    return due


def _releases_waiting(services: Services, listing: Listing) -> Iterator[str]:
    """Datasets that rest although a snapshot with a model has not had its turn: a hint was lost, or a crash came
    between a snapshot's registration and the note of it in its dataset's row, which is made here then."""
    newest: dict[str, str] = {}
    for listed in listing.snapshots:
        if listed.state == SnapshotState.REGISTERED:
            snapshot = listed.key.removeprefix("snapshot/")
            dataset = f"dataset/{snapshot.rsplit('-', 2)[0]}"
            newest[dataset] = max(snapshot, newest.get(dataset, ""))
    for listed in listing.datasets:
        try:
            edit = partial(_put_right, newest=newest.get(listed.key, ""))
            row: Dataset = services.ledger.change(listed.key, edit).row
        except PipelineError as error:
            log.warning("%s is left to the next sweep: %s", listed.key, error)
            continue
        if row.next_release and row.state in _RESTING and not row.attention:
            yield row.key


def _put_right(row: Dataset, newest: str) -> Dataset:
    """The row with the newest model on record, and without a request that its state has answered long ago."""
    changed: Dataset = row.with_registered(newest).settled()
    return changed


def _job_status(services: Services, name: str) -> str | None:
    job = services.workspace.jobs.get(name)
    return job.status if job else None


def _record_lost_uploads(services: Services, snapshots: list[ListedRow]) -> Iterator[str]:
    """Records the uploads that are in the container but in no row: their event was lost."""
    known = {r.key.removeprefix("snapshot/") for r in snapshots}
    for blob in intake.missed_uploads(services, known):
        snapshot = intake.receive_listed(services, blob)
        if snapshot:
            log.warning("%s: no event told us about %s", snapshot, blob.name)
            yield f"snapshot/{snapshot}"


def _record_damage(services: Services, listing: Listing) -> None:
    """Names what is damaged, as far as it can be seen at little cost: rows that ended are read by the nightly round."""
    now = services.clock()
    known = {one.blob for one in damage.on_record(services)}
    due = [
        row
        for row in listing.snapshots
        if row.damage or (row.poll_at is not None and row.poll_at <= now) or damage.blob_of(row.key) in known
    ]
    damage.record(services, damage.found_in(services, [*due, *listing.datasets]))
