"""The steps of a release up to its traffic: deploy (put a candidate on record), watch (make its deployment), gate.

Called by the queue function, again and again; each call makes the next thing that is missing, under derived names, so
a repeat finds what the first one made. How a failed candidate is taken back is in `rollout`, how a good one gets its
traffic in `traffic`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.errors import EndpointNameTaken, NotFound, PermanentError
from shared.ledger.engine import StepResult
from shared.ledger.release import Judgement, Release, ReleaseOutcome
from shared.ledger.rows import Check, Dataset, Request, Snapshot
from shared.ledger.states import DatasetState, ReleaseState, SnapshotState
from shared.ledger.waiting import pause
from shared.releases import endpoints, gate, probe
from shared.releases.endpoints import ReleaseFailure, ServingGone
from shared.releases.rollout import RolloutStep, without_live

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services

D = DatasetState


@dataclass(frozen=True, slots=True)
class Deploy:
    """EMPTY, LIVE, ASLEEP -> DEPLOYING: the newest registered snapshot that was not released yet becomes the candidate.

    A request to retry names another one.
    """

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether a snapshot waits for its release."""
        return _retried(row) is not None or bool(row.next_release)

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Puts the candidate on record; nothing is made in Azure yet."""
        retried = _retried(row)
        name = retried.snapshot if retried else row.next_release
        snapshot = self._registered(name)
        if snapshot is None or snapshot.model is None:
            return self._without_model(row, name)
        if row.state != D.LIVE and (why := self.services.endpoint_slots.take(row)):
            waiting = {"waiting": f"release of {name}: {why}"}
            waited = self.services.clock() - snapshot.since
            return StepResult(row.state, "", waiting, pause(waited, self.services.settings.look_seconds))
        before = row.outcomes.get(name) or snapshot.outcome
        attempt = before.attempt + 1 if before else 1
        candidate = Release(
            snapshot=name,
            model=snapshot.model,
            deployment=naming.deployment(name, attempt),
            attempt=attempt,
        )
        changes: dict[str, Any] = {
            "candidate": candidate,
            "before_rollout": row.state,
            "endpoint": row.endpoint or naming.endpoint(self.services.installation, row.name),
            "outcomes": {other: ended for other, ended in row.outcomes.items() if other != name},
        }
        if retried:
            changes["requested"] = None
        return StepResult(D.DEPLOYING, f"release of {name}", changes)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """Nothing was made: it is left to a person."""

    def _registered(self, name: str) -> Snapshot | None:
        try:
            row: Snapshot = self.services.ledger.read(f"snapshot/{name}").row
        except NotFound:
            return None
        return row if row.state == SnapshotState.REGISTERED else None

    def _without_model(self, row: Dataset, name: str) -> StepResult:
        """A snapshot whose row is gone, or has no model, cannot be released: it must not stand in the way of the next
        one, nor of any other step."""
        reason = f"{name} has no registered model any more"
        if _retried(row):
            return StepResult(row.state, reason, {"requested": None})
        outcome = ReleaseOutcome(state=ReleaseState.DEPLOY_FAILED, at=self.services.clock(), reason=reason)
        return StepResult(row.state, reason, {"outcomes": {**row.outcomes, name: outcome}})


def _retried(row: Dataset) -> Request | None:
    """The request to release a snapshot again, if there is one."""
    return row.requested if row.requested is not None and row.requested.what == "retry" else None


@dataclass(frozen=True)
class Watch(RolloutStep):
    """DEPLOYING -> EVALUATING, once it is known what the container speaks.

    Back when the deployment fails or takes longer than `DEPLOY_LIMIT_MINUTES`.
    """

    services: Services

    def _go_on(self, row: Dataset, candidate: Release, lease: HeldLease) -> StepResult:
        try:
            progress = endpoints.ensure_deployed(self.services, row, candidate)
        except EndpointNameTaken as error:
            return StepResult(row.state, "", endpoints.next_endpoint_name(self.services, row, error))
        except ServingGone as gone:  # the candidate is to be released all the same, as after a sleep
            return StepResult(row.state, f"{gone}: there is nothing to compare with", without_live(row))
        if not progress.done:
            limit = self.services.settings.deploy_limit_minutes
            if self.services.clock() > row.since + limit * 60:
                raise ReleaseFailure(f"deployment {candidate.deployment} was not ready within {limit} minutes")
            return self._poll(row, progress)
        uri = progress.endpoint.scoring_uri if progress.endpoint else ""
        found = probe.probed(self.services, row, uri, candidate)
        if not found.api:
            waiting = f"deployment {candidate.deployment} is up; what it speaks is not known yet"
            return StepResult(
                row.state, "", {"candidate": found, "waiting": waiting}, self.services.settings.look_seconds
            )
        reason = f"deployment {candidate.deployment} is up, and speaks {probe.spoken(found)}"
        return StepResult(D.EVALUATING, reason, {"candidate": found, "scoring_uri": uri})


@dataclass(frozen=True)
class Gate(RolloutStep):
    """EVALUATING -> SHIFTING when the candidate answers well enough; else back, and its snapshot is WITHHELD."""

    services: Services

    def _go_on(self, row: Dataset, candidate: Release, lease: HeldLease) -> StepResult:
        found = gate.run(self.services, row, candidate, lease)
        if isinstance(found, gate.GateUnfinished):
            return StepResult(row.state, poll_in=found.poll_in)
        judgement = found if found.passed else self._overridden(candidate.snapshot, found)
        return StepResult(D.SHIFTING, gate.summary(judgement), {"candidate": candidate.but(gate=judgement)})

    def _overridden(self, snapshot: str, found: Judgement) -> Judgement:
        """The judgement with the name of who releases the snapshot all the same. Raises ReleaseFailure if nobody
        does."""
        row: Snapshot = self.services.ledger.read(f"snapshot/{snapshot}").row
        if Check.GATE not in row.overrides:
            raise ReleaseFailure(gate.summary(found), ReleaseState.WITHHELD, found)
        overridden: Judgement = found.but(overridden_by=row.overridden_by or "somebody")
        return overridden
