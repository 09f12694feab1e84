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
from shared.validation.chunks import cut_into_chunks, whole_files
from shared.validation.freezing import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.ledger.rows import Dataset, Snapshot
    from shared.runtime import Services
    from shared.validation import Policy, Staging
    from shared.validation.sources import Chunk
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

    def parts(self) -> list[Chunk]:
        """The parts that several workers check, in reading order: always the same for the same files.

        Where bad rows are left out, the quarantine tells their numbers, which only a look at the whole file knows: then
        each file is one part.
        """
        if self.policy.max_bad_percent:
            return whole_files(self.sources)
        return list(cut_into_chunks(self.sources, self.part_bytes))


def inputs_of(services: Services, row: Snapshot, policy: Policy) -> ValidationInputs:
    """The inputs of a snapshot's validation, under the cuts that its dataset has now."""
    dataset: Dataset = services.ledger.dataset(row.dataset).row
    storage = services.storage
    sources = [
        Source(
            path=file.path,
            open=lambda file=file: storage.open("snapshots", file.path, file.etag),  # type: ignore[misc]
            size=file.size,
            split=file.split,  # type: ignore[arg-type]
        )
        for file in row.files
    ]
    plan = plan_of(sources, dataset.seed, Cuts(dataset.cut_test, dataset.cut_validation), Shares())
    part_bytes = int(services.settings.validation_part_mb * 1e6)
    return ValidationInputs(row.id, sources, policy, plan, BlobStaging(storage, row.id), part_bytes)
