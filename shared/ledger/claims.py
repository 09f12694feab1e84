"""Who trains a content: one small blob a content, so that two snapshots of the same rows are not trained twice.

A claim is taken when a snapshot is admitted and given back when its training fails. A holder that was cut off may have
ended without giving it back: then it is taken over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from shared.errors import LedgerConflict, NotFound
from shared.ledger.rows import Check
from shared.ledger.states import SnapshotState

if TYPE_CHECKING:
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

# States whose snapshots train nothing, unless somebody asks for it: their claims may be taken over.
_WITHOUT_CLAIM = frozenset(
    {
        SnapshotState.REJECTED,
        SnapshotState.DUPLICATE,
        SnapshotState.SUPERSEDED,
        SnapshotState.TRAINING_FAILED,
        SnapshotState.CLEANING,
        SnapshotState.CLEANED,
    }
)


def release_claim(services: Services, row: Snapshot) -> None:
    """Lets others train this content: the training of this snapshot failed. Only its own claim is removed."""
    if not row.claim:
        return
    with contextlib.suppress(NotFound, LedgerConflict):  # it is gone, or somebody else's by now
        data, etag = services.storage.read("ledger", row.claim)
        if json.loads(data)["snapshot"] == row.id:
            services.storage.delete("ledger", row.claim, etag)


def claim(services: Services, row: Snapshot) -> str:
    """Claims the snapshot's content (again, before it is trained); the id of whoever has it otherwise.

    A duplicate that a person wants trained all the same needs no claim.
    """
    return claimed(services, row.claim, row.id) if row.claim and Check.DUPLICATE not in row.overrides else ""


def claimed(services: Services, name: str, snapshot: str) -> str:
    """Takes the claim, and returns the id of its holder if that is another snapshot which trains or has trained.

    A holder that was cut off may have ended without giving its claim back: then it is taken over. One's own is written
    again, so that whoever was about to take it over finds another ETag.
    """
    mine = json.dumps({"snapshot": snapshot}).encode()
    while True:
        try:
            services.storage.create("ledger", name, mine)
            return ""
        except LedgerConflict:
            pass
        try:
            found, etag = services.storage.read("ledger", name)
            holder: str = json.loads(found)["snapshot"]
            if holder != snapshot and _trains(services, holder):
                return holder
            services.storage.replace("ledger", name, mine, etag)
            return ""
        except (NotFound, LedgerConflict):
            continue  # given back or taken meanwhile: look again


def _trains(services: Services, holder: str) -> bool:
    """Whether a snapshot is on its way to a trained model, or has one."""
    try:
        return services.ledger.read(f"snapshot/{holder}").row.state not in _WITHOUT_CLAIM
    except NotFound:
        return False


def claim_name(row: Snapshot, changes: dict[str, Any]) -> str:
    """Same dataset, rows, model, component and hyperparameters: the same training."""
    what = [
        row.dataset,
        changes["digest"],
        changes["base_model"].id,
        changes["component"],
        changes["hyperparameters"],
    ]
    return f"claims/{hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()}.json"
