"""The clean step: what was made of a snapshot that ended long ago is deleted, and its row is kept.

Called by the queue function. Repeating it deletes what a run that was cut off left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.ledger.engine import StepResult
from shared.ledger.states import SnapshotState

if TYPE_CHECKING:
    from shared.errors import PermanentError
    from shared.ledger.fence import HeldLease
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services


@dataclass(frozen=True, slots=True)
class Clean:
    """End states -> CLEANING -> CLEANED, after the keep time.

    From CLEANING on nobody can retry or override: there may be nothing left to go on with.
    """

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Whether the keep time is over."""
        return self.services.clock() >= row.since + self.services.settings.keep_days * 86_400

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Deletes training files, working files and the quarantine; the report and the person's own upload stay."""
        for container in ("frozen", "work", "quarantine"):
            self.services.storage.delete_all(container, row.id)
        return StepResult(SnapshotState.CLEANED, "kept long enough", poll_in=None)

    def failed(self, row: Snapshot, error: PermanentError) -> None:
        """No error ends the snapshot: the fault waits for a person."""
