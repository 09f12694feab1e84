"""The finish step: a job that runs until it has completed, failed, or given no sign of life for too long.

Called by the queue function, again and again while the job runs. How a job ended is asked of the workspace, whatever an
event says: an event only makes us ask sooner. A repeat finds the same status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.azure import log_text
from shared.ledger.engine import StepResult
from shared.ledger.states import SnapshotState
from shared.training import attempt, estimate, progress, spent

if TYPE_CHECKING:
    from shared.errors import PermanentError
    from shared.ledger.fence import HeldLease
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

S = SnapshotState
_FAILED = ("Failed", "Canceled")
# `job_status` of a job that the workspace does not have; Azure has no such word.
MISSING = "Missing"
_SILENT = (MISSING, "NotResponding")
# What changes in a row whose job gives a sign of life.
_RESPONDS: Mapping[str, Any] = {"silent_since": None, "cancel_asked_at": None, "pending": {}}


@dataclass(frozen=True, slots=True)
class Finish:
    """TRAINING -> TRAINED or TRAINING_FAILED, as the workspace says."""

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Always: each call asks the workspace."""
        return True

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Asks the workspace for the job's status."""
        job = self.services.workspace.jobs.get(row.job)
        status = job.status if job else MISSING
        if job is not None:
            progress.note(self.services, row, job)
        if status == "Completed":
            self.services.budget.release(row.job)
            estimate.measure(self.services, row)
            spent.record(self.services, row)
            return StepResult(S.TRAINED, f"job {row.job} completed", {"job_status": status, **_RESPONDS})
        if status in _FAILED:
            return self._fail(row, status)
        if status in _SILENT:
            return self._wait_for_sign(row, status)
        if self.services.clock() - row.since >= self._limit(row)[0]:
            return self._end(row, {"job_status": status, "silent_since": None}, self._too_long(row))
        return self._poll({"job_status": status, **_RESPONDS})

    def failed(self, row: Snapshot, error: PermanentError) -> None:
        """Azure ML refuses to answer: that is no reason to give the job up."""

    def _poll(self, changes: dict[str, Any]) -> StepResult:
        return StepResult(S.TRAINING, "", changes, poll_in=self.services.settings.look_seconds)

    def _fail(self, row: Snapshot, status: str) -> StepResult:
        """The job failed or was canceled: by us, or with the words of the step that failed."""
        if row.cancel_asked_at is not None and status == "Canceled":
            minutes = self.services.settings.silence_minutes
            silent = f"job {row.job} did not respond for {minutes} minutes"
            reason = f"{self._too_long(row) if row.silent_since is None else silent} and was canceled"
        else:
            reason = f"job {row.job} {status.lower()}{_failure(self.services, row)}"
        return attempt.fail(self.services, row, reason, {"job_status": status})

    def _wait_for_sign(self, row: Snapshot, status: str) -> StepResult:
        """A job without a sign of life is given up, but neither at the first poll nor never.

        One that is missing has failed when it is missing at a second poll. One that does not respond for
        `SILENCE_MINUTES` is canceled, and has failed when it ends or when as long again has passed since.
        """
        now, limit = self.services.clock(), self.services.settings.silence_minutes * 60
        since = row.silent_since if row.silent_since is not None and row.job_status == status else now
        changes: dict[str, Any] = {"job_status": status, "silent_since": since}
        if status == MISSING:
            if now - since < self.services.settings.look_seconds:
                return self._poll(changes)
            reason = f"job {row.job} is not in the workspace any more"
            return attempt.fail(self.services, row, reason, changes)
        if now - since < limit:
            return self._poll(changes)
        return self._end(row, changes, f"job {row.job} did not respond for {(now - since) // 60:.0f} minutes")

    def _limit(self, row: Snapshot) -> tuple[float, str]:
        """How many seconds the job may run, and the setting that says so: by time, or by what the time costs."""
        given = self.services.settings
        limit, why = given.training_limit_hours, f"TRAINING_LIMIT_HOURS ({given.training_limit_hours:g} h)"
        price = estimate.price_per_hour(self.services, row.estimate.size) if row.estimate else None
        if price and given.max_run_cost and given.max_run_cost / price < limit:
            limit = given.max_run_cost / price
            why = f"MAX_RUN_COST allows ({given.max_run_cost:g} at {price:g} an hour: {limit:.1f} h)"
        return limit * 3600, why

    def _too_long(self, row: Snapshot) -> str:
        return f"job {row.job} ran longer than {self._limit(row)[1]}"

    def _end(self, row: Snapshot, changes: dict[str, Any], why: str) -> StepResult:
        """Cancels the job, again and again: Azure may accept that and not do it. The job is given up, for the reason
        given, when `SILENCE_MINUTES` have passed since it was asked for first."""
        now, limit = self.services.clock(), self.services.settings.silence_minutes * 60
        asked = now if row.cancel_asked_at is None else row.cancel_asked_at
        if now - asked >= limit:
            return attempt.fail(self.services, row, f"{why}, though it was canceled", changes)
        pending = attempt.cancel_job(self.services, row.pending, row.job, limit, raises=False)
        return self._poll({**changes, "cancel_asked_at": asked, "pending": pending})


def _failure(services: Services, row: Snapshot) -> str:
    """The failed step, its error and the end of its log; a longer piece of the log is kept beside the report."""
    found = services.workspace.jobs.failure(row.job)
    text = f": step {found.step} failed" if found.step else ""
    text += f": {log_text.end(log_text.without_secrets(found.error))}" if found.error else ""
    if log := log_text.without_secrets(found.log):
        name = naming.training_log(row.id, row.attempt)
        services.storage.put("reports", name, log.encode("utf-8", "replace"))
        text += f"; its log ends: {log_text.end(log)}; more of it is in reports/{name}"
    return text
