"""Datasets that were deleted, or are being deleted: one small blob a name, `ledger/deleted/<dataset>.json`.

It says which uploads were the dataset's, so that none of them brings it back: not an event that comes late, not the
look for uploads of which no event came. It stays for ever. Written by the step that deletes a dataset, read by whoever
takes in an upload; a repeat writes the same. All of it is in the blob's metadata too, so that one listing gives them
all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from shared.ledger.record import Struct, from_metadata, to_metadata
from shared.ledger.storage import BlobStore, read_record

CONTAINER, FOLDER = "ledger", "deleted/"

# What becomes of an upload: it was the dataset's and is gone with it; it came while the dataset was being deleted; or
# it belongs to whatever has the name now.
type UploadFate = Literal["deleted", "refused", "kept"]


class DatasetDeletion(Struct, frozen=True, kw_only=True):
    """Who asked to delete a dataset, and when; `with_files`: what was dropped goes as well.

    `ended_at`: when all of it was gone; None: not yet. `settled`: it was looked at once more, long after that. Times
    are seconds since 1970, UTC.
    """

    dataset: str
    by: str
    at: float
    with_files: bool = False
    ended_at: float | None = None
    settled: bool = False

    def fate(self, uploaded_at: float) -> UploadFate:
        """What becomes of what was uploaded then: a whole second, as blobs have it.

        What was uploaded in the second of the request may have come before or after it.
        """
        if uploaded_at < math.floor(self.at):
            return "deleted"
        if self.ended_at is None or uploaded_at <= self.at or uploaded_at + 1 <= self.ended_at:
            return "refused"
        return "kept"


_NONE = DatasetDeletion(dataset="", by="", at=0.0, ended_at=0.0)
_DELETION = msgspec.json.Decoder(DatasetDeletion)


class Deletions:
    """The deletions of one installation."""

    def __init__(self, storage: BlobStore) -> None:
        self._storage = storage

    def of(self, dataset: str) -> DatasetDeletion | None:
        """The last deletion of a dataset; None where there was none. Raises Damaged."""
        found, _ = read_record(self._storage, CONTAINER, _name(dataset), _DELETION, _NONE)
        return found if found.dataset else None

    def fate(self, dataset: str, uploaded_at: float) -> UploadFate:
        """What becomes of an upload of a dataset of this name."""
        found = self.of(dataset)
        return found.fate(uploaded_at) if found else "kept"

    def was_deleted_since(self, dataset: str, at: float) -> bool:
        """Whether a dataset is being deleted, or its deletion ended at that time (UTC seconds) or later."""
        found = self.of(dataset)
        return found is not None and (found.ended_at is None or at <= found.ended_at)

    def put(self, deletion: DatasetDeletion) -> None:
        """Writes it over the one that may be there."""
        shown = {"deletion": to_metadata(deletion)}
        self._storage.put(CONTAINER, _name(deletion.dataset), msgspec.json.encode(deletion), shown)

    def all(self) -> Mapping[str, DatasetDeletion]:
        """Every deletion by its dataset, from one listing; what somebody damaged is left out."""
        listed = self._storage.list(CONTAINER, FOLDER)
        found = (from_metadata(blob.metadata.get("deletion", ""), _DELETION) for blob in listed)
        return {deletion.dataset: deletion for deletion in found if deletion}


def _name(dataset: str) -> str:
    return f"{FOLDER}{dataset}.json"
