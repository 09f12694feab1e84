"""The cancel step: a snapshot that somebody does not want any more ends before it has a model.

Called by the queue function. Its job is asked to end, and has ended, before the snapshot has: what costs money is never
left behind. A job that completed in the same moment is kept on record, so that a retry registers it and trains nothing
again. A repeat finds the job as it is by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.ledger.engine import StepResult
from shared.ledger.states import JOB_ENDED
from shared.training import attempt

if TYPE_CHECKING:
    from shared.errors import PermanentError
    from shared.ledger.fence import HeldLease
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services


@dataclass(frozen=True, slots=True)
class Cancel:
    """RECEIVED, VALIDATED, TRAINING, TRAINED -> CANCELING -> CANCELED, on request."""

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Whether somebody asked for it."""
        return row.cancel_request is not None

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Ends the job, if there is one, and polls until it has ended. Raises AzureFailed if it does not."""
        job = self.services.workspace.jobs.get(row.job) if row.job else None
        if job is None:
            none = {"job": "", "job_status": "", "studio_url": ""}
            return attempt.canceled(self.services, row, none, begun=False)
        if job.status in JOB_ENDED:
            note = "; its job had completed: retry takes the model all the same" if job.status == "Completed" else ""
            return attempt.canceled(self.services, row, {"job_status": job.status}, note)
        limit = self.services.settings.silence_minutes * 60
        pending = attempt.cancel_job(self.services, row.pending, row.job, limit)
        changes: dict[str, Any] = {
            "job_status": job.status,
            "pending": pending,
            "waiting": f"job {row.job} is being canceled",
        }
        return StepResult(row.state, "", changes, poll_in=self.services.settings.look_seconds)

    def failed(self, row: Snapshot, error: PermanentError) -> None:
        """A job that does not end costs money: it is left to a person."""
