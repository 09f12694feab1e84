"""The supersede step: a validated snapshot gives way to a newer one of its dataset.

Called by the queue function. A repeat finds nothing left to give back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import naming
from shared.ledger.engine import StepResult
from shared.ledger.rows import Check, Snapshot
from shared.ledger.states import SnapshotState

if TYPE_CHECKING:
    from shared.errors import PermanentError
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services

# States of a newer snapshot that make an older, waiting one pointless.
_NEWER_WINS = (
    SnapshotState.VALIDATED,
    SnapshotState.SUBMITTING,
    SnapshotState.TRAINING,
    SnapshotState.TRAINED,
    SnapshotState.REGISTERING,
    SnapshotState.REGISTERED,
)


@dataclass(frozen=True, slots=True)
class Supersede:
    """VALIDATED -> SUPERSEDED, when a newer snapshot of the dataset got as far, whatever the older one waits for."""

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Whether there is such a snapshot, and nobody wants the older one all the same."""
        return Check.SUPERSEDED not in row.overrides and bool(self._newer(row))

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Gives back the claim on the content and the place for the job, and ends here."""
        newer = self._newer(row)
        if not newer:  # its training has failed meanwhile
            return StepResult(row.state)
        self.services.claims.release(row)
        self.services.budget.release(naming.job(self.services.installation, row.id, row.attempt), begun=False)
        keep = self.services.settings.keep_days * 86_400
        return StepResult(SnapshotState.SUPERSEDED, f"{newer} is newer", {"blocked": (Check.SUPERSEDED,)}, poll_in=keep)

    def failed(self, row: Snapshot, error: PermanentError) -> None:
        """No error ends the snapshot: the fault waits for a person."""

    def _newer(self, row: Snapshot) -> str:
        for listed in self.services.ledger.list("snapshot", row.dataset):
            if listed.state in _NEWER_WINS and listed.key > row.key:
                return listed.key.removeprefix("snapshot/")
        return ""
