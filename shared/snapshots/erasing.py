"""Everything that is kept of a snapshot is deleted: files made of it, reports, answers, logs, its claim, card and row.

Called when its dataset is deleted. The row goes last but for its card, so a repeat finds what a run that was cut off
left. What was dropped, and the model in Azure ML, are no part of it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from shared import naming
from shared.errors import Damaged, LedgerConflict, NotFound, PipelineError
from shared.ledger.cards import is_open
from shared.ledger.engine import StepResult
from shared.ledger.listed import blob_name
from shared.ledger.states import SnapshotState
from shared.ledger.store import CONTAINER

if TYPE_CHECKING:
    from shared.ledger.deletions import DatasetDeletion
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

# Containers in which a snapshot has a folder of its own.
FOLDERS = ("frozen", "work", "quarantine", "evaluations")
REPORTS = "reports"
# Where copies are kept of rows that were damaged.
_ASIDE = "_set_aside/"


def snapshots_of(services: Services, deletion: DatasetDeletion) -> set[str]:
    """The snapshots of a deleted dataset of which anything is left, by the names of blobs: rows may be lost."""
    name, storage = deletion.dataset, services.storage
    found = {
        blob.name.rsplit("/", 1)[-1].removesuffix(".json") for blob in storage.list(CONTAINER, f"snapshots/{name}/")
    }
    found |= {kept.snapshot for kept in services.ledger.cards.list(name)}
    for container in (*FOLDERS, REPORTS):
        found |= {snapshot_of(blob.name) for blob in storage.list(container, f"{name}-")}
    return {one for one in found if naming.dataset_of(one) == name and deletion.fate(naming.uploaded_at(one)) != "kept"}


def erase(services: Services, snapshot: str) -> bool:
    """Deletes everything that is kept of a snapshot. False, and nothing is deleted, while it is open."""
    storage, key, stored = services.storage, f"snapshot/{snapshot}", None
    with contextlib.suppress(NotFound, Damaged):
        stored = services.ledger.read(key)
        if is_open(stored.row):
            return False
        services.claims.release(stored.row)
    for container in FOLDERS:
        storage.delete_all(container, snapshot)
    storage.delete_many(REPORTS, [blob.name for blob in storage.list(REPORTS, f"{snapshot}.")])
    aside = f"{_ASIDE}{blob_name(key)}"
    storage.delete_many(CONTAINER, [blob.name for blob in storage.list(CONTAINER, aside)])
    with contextlib.suppress(PipelineError):  # somebody has it: an empty blob, which costs nothing
        storage.delete("locks", snapshot)
    try:
        storage.delete(CONTAINER, blob_name(key), stored.etag if stored else "")
    except LedgerConflict:  # somebody opened it again
        return False
    services.ledger.cards.forget(snapshot)
    return True


def end_if_deleted(services: Services, row: Snapshot) -> StepResult | None:
    """The end of a snapshot whose dataset was deleted before its row was written; None for all others.

    Whoever took in its upload was stalled meanwhile. The look after the deletion erases it.
    """
    if services.ledger.deletions.fate(row.dataset, row.uploaded_at) == "kept":
        return None
    return StepResult(SnapshotState.CANCELED, "its dataset was deleted", {"requested": None, "blocked": ()}, None)


def snapshot_of(blob: str) -> str:
    """The snapshot that a blob belongs to by its name, or nothing: `<snapshot>/...`, or `<snapshot>.<what>`."""
    first = blob.partition("/")[0]
    return next((name for name in (first, first.partition(".")[0]) if naming.dataset_of(name)), "")
