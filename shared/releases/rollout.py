"""What every step of a rollout shares: a candidate that goes on, or fails and is taken back.

The handlers `Watch`, `Gate` (both in `deploy`) and `Shift` (in `traffic`) say how a candidate goes on. When one of them
raises ReleaseFailure, the failure is put on record first. Then the rollout is undone: traffic goes back to what is
live, the log is kept, and what this rollout made is removed, and nothing else. Only then is the dataset what it was
before. So a repeat goes on where the last one was cut off, and no failed deployment is left behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.errors import AzureFailed
from shared.ledger.engine import FAULTS_BEFORE_ATTENTION, StepResult
from shared.ledger.release import ReleaseOutcome
from shared.ledger.states import DatasetState, ReleaseState
from shared.releases import endpoints, logs, outcomes
from shared.releases.endpoints import Progress, ReleaseFailure, ServingGone

if TYPE_CHECKING:
    from shared.errors import PermanentError
    from shared.ledger.fence import HeldLease
    from shared.ledger.release import Release
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

D = DatasetState


class RolloutStep:
    """Base of the handlers that take a candidate further. A handler says how in `_go_on`."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Always: a rollout under way goes on."""
        return True

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Takes the candidate further, or undoes the rollout of one that failed."""
        candidate = row.candidate
        assert candidate is not None, "a rollout has a candidate"
        if candidate.failed:
            return self._undo(row, candidate)
        try:
            _check_faults(row)
            _check_roll_back_request(row)
            return self._go_on(row, candidate, lease)
        except ReleaseFailure as failure:
            return _record_failure(row, candidate, failure)
        except AzureFailed as error:
            return _record_failure(row, candidate, ReleaseFailure(str(error)))

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """What Azure refuses is a ReleaseFailure already; anything else is for a person."""

    def _go_on(self, row: Dataset, candidate: Release, lease: HeldLease) -> StepResult:
        """The next thing to do for a candidate. Raises ReleaseFailure."""
        raise NotImplementedError

    def _poll(self, row: Dataset, progress: Progress) -> StepResult:
        """Nothing to do but to look again later."""
        return StepResult(row.state, "", progress.changes, self.services.settings.look_seconds)

    def _undo(self, row: Dataset, candidate: Release) -> StepResult:
        """One thing at a time: traffic back, the log kept, the candidate removed; then the dataset as it was before.

        Raises AzureFailed when Azure will not do one of them: the rest of the rollout stays until a person looks.
        """
        was_up = row.before_rollout == D.LIVE
        try:
            if was_up and (waiting := self._return_traffic(row, candidate)):
                return waiting
        except ServingGone as gone:
            return self._undo_without_live(row, candidate, gone)
        if candidate.returned_by:  # it was kept since it was live: this rollout has not made it
            kept = candidate.but(failed="", failed_as=None, returned_by="")
            return StepResult(row.before_rollout, candidate.failed, {"candidate": None, "previous": kept})
        if candidate.log is None:
            saved = logs.save(self.services, row, candidate)
            logged = candidate.but(log=saved.blob, failed=logs.with_end(candidate, candidate.failed, saved))
            return StepResult(row.state, "", {"candidate": logged})
        progress = endpoints.ensure_removed(self.services, row, candidate, whole_endpoint=not was_up)
        if not progress.done:
            return self._poll(row, progress)
        if was_up:
            return self._close(row, candidate, row.before_rollout)
        return self._close(row, candidate, row.before_rollout, traffic={}, scoring_uri="")

    def _return_traffic(self, row: Dataset, candidate: Release) -> StepResult | None:
        """None once what is live has the traffic back. A candidate without any is removed even if Azure will not write
        the split: it costs money. Raises ServingGone, AzureFailed."""
        try:
            progress = endpoints.ensure_traffic(self.services, row)
        except AzureFailed:
            endpoint = self.services.workspace.endpoints.get(row.endpoint)
            if endpoint is not None and not endpoint.traffic.get(candidate.deployment):
                return None
            raise
        return None if progress.done else self._poll(row, progress)

    def _undo_without_live(self, row: Dataset, candidate: Release, gone: ServingGone) -> StepResult:
        """Nothing can have the traffic back: all that is left is removed, and what was live is asleep."""
        progress = endpoints.ensure_removed(self.services, row, candidate, whole_endpoint=True)
        if not progress.done:
            return self._poll(row, progress)
        return self._close(row, candidate, D.ASLEEP, f"; {gone}", traffic={}, scoring_uri="", previous=None)

    def _close(self, row: Dataset, candidate: Release, state: D, note: str = "", **changes: Any) -> StepResult:
        """The dataset without the candidate, whose outcome is kept with its reason."""
        outcome = ReleaseOutcome(
            state=candidate.failed_as or ReleaseState.DEPLOY_FAILED,
            at=self.services.clock(),
            reason=logs.with_log(candidate.failed, candidate.log),
            attempt=candidate.attempt,
            gate=candidate.gate,
            stages=candidate.stages,
        )
        changes |= {
            "candidate": None,
            "outcomes": outcomes.settled(self.services, row, {**row.outcomes, candidate.snapshot: outcome}),
            "requested": None if _is_taken_back(row) else row.requested,
        }
        then = (outcomes.tell(candidate.snapshot, outcome),)
        return StepResult(state, f"{candidate.snapshot}: {outcome.state}: {outcome.reason}{note}", changes, then=then)


def without_live(row: Dataset) -> dict[str, Any]:
    """What changes in a row whose live release has no endpoint any more: the rollout goes on as after a sleep."""
    return {"before_rollout": D.ASLEEP, "previous": None, "traffic": {}, "scoring_uri": ""}


def _record_failure(row: Dataset, candidate: Release, failure: ReleaseFailure) -> StepResult:
    """The failure on record, and the traffic that is to be had from now on: what is live, or nothing."""
    failed = candidate.but(
        failed=str(failure),
        failed_as=failure.state or _state_of_failed(row, candidate),
        gate=failure.gate or candidate.gate,
        stages=failure.stages or candidate.stages,
    )
    traffic = {row.live.deployment: 100} if row.live and row.before_rollout == D.LIVE else {}
    return StepResult(row.state, "", {"candidate": failed, "traffic": traffic})


def _check_faults(row: Dataset) -> None:
    """Raises ReleaseFailure right before the fault that would leave the rollout to a person: it costs money."""
    fault = row.fault
    if fault and fault.count >= FAULTS_BEFORE_ATTENTION - 1:
        raise ReleaseFailure(f"{fault.step} failed {fault.count} times: {fault}")


def _check_roll_back_request(row: Dataset) -> None:
    """Raises ReleaseFailure when a person asked to roll back: during a rollout that means what was there before."""
    if _is_taken_back(row):
        assert row.requested is not None
        raise ReleaseFailure(f"taken back by {row.requested.by}", ReleaseState.ROLLED_BACK)


def _is_taken_back(row: Dataset) -> bool:
    """Whether a request to roll back is about this rollout. One that returns to an older release is itself the rolling
    back that was asked for."""
    returns = row.candidate is not None and bool(row.candidate.returned_by)
    return row.requested is not None and row.requested.what == "roll_back" and not returns


def _state_of_failed(row: Dataset, candidate: Release) -> ReleaseState:
    """What the snapshot of a failed candidate becomes: one that had traffic beside what is live was rolled back."""
    had_traffic = any(stage.since for stage in candidate.stages)
    return ReleaseState.ROLLED_BACK if had_traffic and row.before_rollout == D.LIVE else ReleaseState.DEPLOY_FAILED
