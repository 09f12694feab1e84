"""The register step: the trained output becomes a model version, exactly once per attempt.

Name and version are derived and looked up before they are created, so a repeat finds the first; versions are never
deleted, since a deleted version's name cannot be used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shared import naming
from shared.errors import AzureRefused
from shared.ledger.engine import Announcement, StepResult
from shared.ledger.release import ModelRef
from shared.ledger.states import SnapshotState
from shared.training import attempt

if TYPE_CHECKING:
    from shared.errors import PermanentError
    from shared.ledger.fence import HeldLease
    from shared.ledger.rows import Dataset, Snapshot
    from shared.runtime import Services


@dataclass(frozen=True, slots=True)
class Register:
    """TRAINED -> REGISTERING -> REGISTERED, REGISTER_FAILED or CANCELED."""

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Always: what is trained is registered."""
        return True

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Finds the model version of this attempt or registers it, then tells the dataset."""
        if row.cancel_request:
            return attempt.canceled(self.services, row)
        assert row.base_model is not None, "a trained snapshot has its model pinned"
        workspace = self.services.workspace
        name = naming.model(row.base_model.name, row.dataset)
        version = naming.model_version(row.id, row.attempt)
        tags = {
            **naming.tags(self.services.installation, row.dataset, row.id, row.attempt),
            "droptune.job": row.job,
            "droptune.base_model": row.base_model.id,
            "droptune.content": row.digest,
        }
        found = workspace.models.get(name, version)
        if found is None:
            workspace.models.register(name, version, row.job, tags)
            found = workspace.models.get(name, version)
        if found is None or found.tags.get(naming.TAG_SNAPSHOT) != row.id:
            raise AzureRefused(f"model {name}:{version} exists but was not made from this snapshot")
        self.services.ledger.dataset(row.dataset)
        return StepResult(
            SnapshotState.REGISTERED,
            f"model {name}:{version}",
            {"model": ModelRef(name=name, version=version)},
            poll_in=None,
            then=(Announcement(f"dataset/{row.dataset}", partial(_registered, snapshot=row.id)),),
        )

    def failed(self, row: Snapshot, error: PermanentError) -> StepResult:
        """The training is kept: a retry registers it under a new version."""
        return StepResult(SnapshotState.REGISTER_FAILED, str(error), poll_in=self.services.settings.keep_days * 86_400)


def _registered(row: Dataset, snapshot: str) -> Dataset:
    """The dataset's row that knows of the snapshot's model."""
    changed: Dataset = row.with_registered(snapshot)
    return changed
