"""What validation gets to see of a snapshot: its files in blob storage, the policy, how rows are cut, where they go.

Made anew by each worker that validates the snapshot or one of its files, from the rows on record: the same for all of
them, as long as the dataset's cuts stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.chatdata.splits import Cuts, Shares
from shared.snapshots.blob_staging import BlobStaging
from shared.validation import Source
from shared.validation.freezing import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.azure.storage import Storage
    from shared.ledger.rows import Dataset, Snapshot, SnapshotFile
    from shared.runtime import Services
    from shared.validation import Policy, Staging
    from shared.validation.stage import SplitPlan


@dataclass(frozen=True, slots=True)
class ValidationInputs:
    """The files of one snapshot, and how they are validated. `part_bytes`: a larger file may be checked in parts."""

    snapshot: str
    sources: Sequence[Source]
    policy: Policy
    plan: SplitPlan
    staging: Staging
    part_bytes: int


def inputs_of(services: Services, row: Snapshot, policy: Policy) -> ValidationInputs:
    """The inputs of a snapshot's validation, under the cuts that its dataset has now."""
    dataset: Dataset = services.ledger.dataset(row.dataset).row
    storage = services.storage
    sources = [_source(storage, file) for file in row.files]
    plan = plan_of(sources, dataset.seed, Cuts(dataset.cut_test, dataset.cut_validation), Shares())
    part_bytes = int(services.settings.validation_part_mb * 1e6)
    return ValidationInputs(row.id, sources, policy, plan, BlobStaging(storage, row.id), part_bytes)


def is_distributed(services: Services, row: Snapshot) -> bool:
    """Whether the snapshot is checked part by part, by several workers: a file each, or a range of a large file."""
    settings = services.settings
    size = sum(_source(services.storage, file).text_size for file in row.files)
    is_cut = len(row.files) > 1 or size > settings.validation_part_mb * 1e6
    return is_cut and size >= settings.validation_spread_from_mb * 1e6


def _source(storage: Storage, file: SnapshotFile) -> Source:
    return Source(
        path=file.path,
        open=lambda: storage.open("snapshots", file.path, file.etag),
        size=file.size,
        split=file.split,  # type: ignore[arg-type]
    )
