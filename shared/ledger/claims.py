"""Who trains a content: one small blob a content, so that two snapshots of the same rows are not trained twice.

A claim is taken when a snapshot is admitted and given back when its training fails. A holder that was cut off may have
ended without giving it back: then it is taken over. Taking one's own claim again changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from shared.errors import Damaged, LedgerConflict, NotFound
from shared.ledger.rows import Check, Snapshot
from shared.ledger.states import TRAINS_NOTHING, SnapshotState
from shared.ledger.storage import BlobStore
from shared.ledger.store import CONTAINER, Ledger

FOLDER = "claims/"
# What a listing shows of a claim: the snapshot that has it. Older versions did not write it.
HOLDER = "snapshot"
# So many claims of an older version are brought up to date in one night.
_READ_AT_ONCE = 500


class Claims:
    """The claims of one installation, `ledger/claims/<hash>.json`."""

    def __init__(self, storage: BlobStore, ledger: Ledger) -> None:
        self._storage, self._ledger = storage, ledger

    def take(self, name: str, snapshot: str) -> str:
        """Takes the claim, and returns the id of its holder if that is another snapshot which trains or has trained.

        One's own is written again, so that whoever was about to take it over finds another ETag.
        """
        mine, shown = _content(snapshot), {HOLDER: snapshot}
        while True:
            try:
                self._storage.create(CONTAINER, name, mine, shown)
                return ""
            except LedgerConflict:
                pass
            try:
                holder, etag = self._read(name)
                if holder != snapshot and self._trains(holder):
                    return holder
                self._storage.replace(CONTAINER, name, mine, etag, shown)
                return ""
            except (NotFound, LedgerConflict):
                continue  # given back or taken meanwhile: look again

    def take_again(self, row: Snapshot) -> str:
        """Claims the snapshot's content before it is trained; the id of whoever has it otherwise.

        A duplicate that a person wants trained all the same needs no claim.
        """
        return self.take(row.claim, row.id) if row.claim and Check.DUPLICATE not in row.overrides else ""

    def release(self, row: Snapshot) -> None:
        """Lets others train this content: the training of this snapshot failed. Only its own claim is removed."""
        if not row.claim:
            return
        with contextlib.suppress(NotFound, LedgerConflict, Damaged):  # it is gone, or somebody else's by now
            holder, etag = self._read(row.claim)
            if holder == row.id:
                self._storage.delete(CONTAINER, row.claim, etag)

    def forget(self, before: float, states: Mapping[str, str]) -> list[str]:
        """Deletes the claims from before a time whose holders train nothing; gives the names of these holders.

        `states`: the state of each snapshot there is. A claim that is taken again meanwhile stays. A repeat deletes
        what is left.
        """
        gone, read = [], 0
        for blob in self._storage.list(CONTAINER, FOLDER):
            if blob.uploaded_at >= before:
                continue
            holder = blob.metadata.get(HOLDER, "")
            if not holder and read < _READ_AT_ONCE:
                read += 1
                self._show_holder(blob.name)
            if holder and states.get(holder, SnapshotState.CLEANED) in TRAINS_NOTHING:
                with contextlib.suppress(LedgerConflict):
                    self._storage.delete(CONTAINER, blob.name, blob.etag)
                    gone.append(holder)
        return gone

    def _show_holder(self, name: str) -> None:
        """Has listings show whose claim it is."""
        with contextlib.suppress(NotFound, LedgerConflict, Damaged):
            holder, etag = self._read(name)
            self._storage.replace(CONTAINER, name, _content(holder), etag, {HOLDER: holder})

    def drop(self, is_gone: Callable[[str], bool]) -> None:
        """Deletes the claims of snapshots that are gone, by their ids: whoever was cut off had not noted its own."""
        for blob in list(self._storage.list(CONTAINER, FOLDER)):
            if (holder := blob.metadata.get(HOLDER, "")) and is_gone(holder):
                with contextlib.suppress(LedgerConflict):  # it is somebody else's by now
                    self._storage.delete(CONTAINER, blob.name, blob.etag)

    def _trains(self, holder: str) -> bool:
        """Whether a snapshot is on its way to a trained model, or has one."""
        try:
            return self._ledger.read(f"snapshot/{holder}").row.state not in TRAINS_NOTHING
        except NotFound:
            return False
        except Damaged:
            return True

    def _read(self, name: str) -> tuple[str, str]:
        """The holder of a claim, and the blob's ETag. Raises NotFound, Damaged."""
        data, etag = self._storage.read(CONTAINER, name)
        try:
            return str(json.loads(data)["snapshot"]), etag
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise Damaged.named(f"{CONTAINER}/{name}", error) from error


def _content(snapshot: str) -> bytes:
    return json.dumps({"snapshot": snapshot}).encode()


def claim_name(row: Snapshot, changes: dict[str, Any]) -> str:
    """Same dataset, rows, model, component and hyperparameters: the same training."""
    what = [
        row.dataset,
        changes["digest"],
        changes["base_model"].id,
        changes["component"],
        changes["hyperparameters"],
    ]
    return f"{FOLDER}{hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()}.json"
