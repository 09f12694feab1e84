"""The steps of a release up to its gate: deploy, watch, gate. How it gets traffic is in `shifting`.

Each look makes the next thing that is missing. A rollout that fails first removes what it made, and nothing else, and
only then gives the dataset back; so no failed deployment is left behind, however often it was cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.errors import EndpointNameTaken, PermanentError
from shared.ledger.engine import FAULTS_BEFORE_ATTENTION, StepResult
from shared.ledger.rows import Check, Dataset, Judgement, Release, Snapshot
from shared.ledger.rows import ReleaseOutcome as Ended
from shared.ledger.states import DatasetState, ReleaseState, SnapshotState
from shared.releases import endpoints, gate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.ledger.fence import HeldLease
    from shared.ledger.store import ListedRow
    from shared.runtime import Services

D = DatasetState


@dataclass(frozen=True, slots=True)
class Deploy:
    """EMPTY, LIVE, ASLEEP -> DEPLOYING: the newest registered snapshot that had no turn yet becomes the candidate."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether a snapshot waits for its release."""
        return self._next(row) is not None

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Puts the candidate on record; nothing is made yet."""
        snapshot = self._next(row)
        if snapshot is None or snapshot.model is None:
            return StepResult(row.state, poll_in=None)
        past = row.outcomes.get(snapshot.id)
        attempt = past.attempt + 1 if past else 1
        candidate = Release(
            snapshot=snapshot.id,
            model=snapshot.model,
            deployment=naming.deployment(snapshot.id, attempt),
            attempt=attempt,
        )
        changes: dict[str, Any] = {
            "candidate": candidate,
            "resting": row.state,
            "endpoint": row.endpoint or naming.endpoint(self.services.installation, row.name),
            "outcomes": {k: v for k, v in row.outcomes.items() if k != snapshot.id},
        }
        if row.requested and row.requested.what == "retry":
            changes["requested"] = None
        return StepResult(D.DEPLOYING, f"release of {snapshot.id}", changes)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """Nothing was made: a person has a look."""

    def _next(self, row: Dataset) -> Snapshot | None:
        wish = row.requested
        if wish and wish.what == "retry":
            return self._registered(wish.snapshot)
        newest = waiting(self.services.ledger.list("snapshot", row.name), row)
        return self._registered(newest) if newest else None

    def _registered(self, snapshot: str) -> Snapshot | None:
        row: Snapshot = self.services.ledger.read(f"snapshot/{snapshot}").row
        return row if row.state == SnapshotState.REGISTERED else None


def waiting(listed: Iterable[ListedRow], row: Dataset) -> str:
    """The newest registered snapshot of a dataset, if it is newer than what is live and had no turn yet."""
    registered = (r.key.removeprefix("snapshot/") for r in listed if r.state == SnapshotState.REGISTERED)
    newest = max(registered, default="")
    live = row.live.snapshot if row.live else ""
    return "" if newest in row.outcomes or newest <= live else newest


class Rollout:
    """What watch, gate and shift have in common: a candidate, and what to do when it fails."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Always: a rollout under way goes on."""
        return True

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Goes on with the rollout, or with removing a candidate that failed."""
        candidate = row.candidate
        assert candidate is not None, "a rollout has a candidate"
        if not candidate.failed:
            try:
                _not_for_ever(row)
                _not_against_a_wish(row)
                return self._go_on(row, candidate, lease)
            except endpoints.ReleaseFailure as failure:
                failed = candidate.but(
                    failed=str(failure),
                    failed_as=failure.part or _part(row, candidate),
                    gate=failure.gate or candidate.gate,
                    stages=failure.stages or candidate.stages,
                )
                traffic = {row.live.deployment: 100} if row.live and row.resting == D.LIVE else {}
                return StepResult(row.state, "", {"candidate": failed, "traffic": traffic})
        return self._give_back(row, candidate)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """What Azure refuses is an endpoints.Failure already; anything else is for a person."""

    def _go_on(self, row: Dataset, candidate: Release, lease: HeldLease) -> StepResult:
        raise NotImplementedError

    def _give_back(self, row: Dataset, candidate: Release) -> StepResult:
        """Traffic back where it was, the log saved, the candidate gone; then the dataset as it was before."""
        awake = row.resting == D.LIVE
        try:
            if awake and endpoints.ensure_traffic(self.services, row) is None:
                return self._later(row)
        except endpoints.ReleaseFailure as failure:
            return self._ended(row, candidate, D.ASLEEP, f"; {failure}", traffic={}, scoring_uri="", previous=None)
        if candidate.returned_by:  # this rollout has not made it
            kept = candidate.but(failed="", failed_as=None, returned_by="")
            return StepResult(row.resting, f"{candidate.failed}", {"candidate": None, "previous": kept})
        if candidate.log is None:
            logged = candidate.but(log=endpoints.save_log(self.services, row, candidate))
            return StepResult(row.state, "", {"candidate": logged})
        if not endpoints.ensure_removed(self.services, row, candidate, whole_endpoint=not awake):
            return self._later(row)
        return self._ended(row, candidate, row.resting)

    def _ended(self, row: Dataset, candidate: Release, state: D, also: str = "", **changes: Any) -> StepResult:
        """The dataset without the candidate, whose end is kept with its reason."""
        ended = Ended(
            part=candidate.failed_as or ReleaseState.DEPLOY_FAILED,
            at=self.services.clock(),
            reason=endpoints.with_log(candidate.failed, candidate.log),
            attempt=candidate.attempt,
            gate=candidate.gate,
            stages=candidate.stages,
        )
        wish = None if _taken_back(row) else row.requested
        changes |= {"candidate": None, "outcomes": {**row.outcomes, candidate.snapshot: ended}, "requested": wish}
        return StepResult(state, f"{candidate.snapshot}: {ended.part}: {ended.reason}{also}", changes)

    def _later(self, row: Dataset) -> StepResult:
        return StepResult(row.state, poll_in=self.services.settings.look_seconds)


@dataclass(frozen=True)
class Watch(Rollout):
    """DEPLOYING -> EVALUATING, or back when the deployment fails or takes too long."""

    services: Services

    def _go_on(self, row: Dataset, candidate: Release, lease: HeldLease) -> StepResult:
        limit = self.services.settings.deploy_limit_minutes
        try:
            raised = endpoints.ensure_deployed(self.services, row, candidate)
        except EndpointNameTaken as error:
            return StepResult(row.state, "", endpoints.next_name(self.services, row, error))
        if raised.operation:
            started = candidate.but(operation=raised.operation)
            return StepResult(row.state, "", {"candidate": started}, self.services.settings.look_seconds)
        if not raised.up:
            if self.services.clock() > row.since + limit * 60:
                raise endpoints.ReleaseFailure(
                    f"deployment {candidate.deployment} was not ready within {limit} minutes"
                )
            return self._later(row)
        endpoint = self.services.workspace.endpoint(row.endpoint)
        uri = endpoint.scoring_uri if endpoint else ""
        return StepResult(D.EVALUATING, f"deployment {candidate.deployment} is up", {"scoring_uri": uri})


@dataclass(frozen=True)
class Gate(Rollout):
    """EVALUATING -> SHIFTING, or back and WITHHELD."""

    services: Services

    def _go_on(self, row: Dataset, candidate: Release, lease: HeldLease) -> StepResult:
        found = gate.evaluate(self.services, row, candidate, lease)
        if isinstance(found, gate.Unfinished):
            return StepResult(row.state, poll_in=found.poll_in)
        if not found.passed:
            found = self._overridden(candidate.snapshot, found)
        return StepResult(D.SHIFTING, gate.told(found), {"candidate": candidate.but(gate=found)})

    def _overridden(self, snapshot: str, found: Judgement) -> Judgement:
        """The judgement with the name of who releases the snapshot all the same; without one, that is its failure."""
        row: Snapshot = self.services.ledger.read(f"snapshot/{snapshot}").row
        if Check.GATE not in row.overrides:
            raise endpoints.ReleaseFailure(gate.told(found), ReleaseState.WITHHELD, found)
        overridden: Judgement = found.but(overridden_by=row.overridden_by or "somebody")
        return overridden


def _not_for_ever(row: Dataset) -> None:
    """A candidate that keeps failing is given back before a person is needed: it costs money meanwhile."""
    if row.fault and row.fault.count >= FAULTS_BEFORE_ATTENTION - 1:
        raise endpoints.ReleaseFailure(
            f"{row.fault.step} failed {row.fault.count} times: {row.fault.type}: {row.fault.message}"
        )


def _not_against_a_wish(row: Dataset) -> None:
    """A person who asks to roll back during a rollout wants what was there before."""
    if _taken_back(row):
        assert row.requested is not None
        raise endpoints.ReleaseFailure(f"taken back by {row.requested.by}", ReleaseState.ROLLED_BACK)


def _taken_back(row: Dataset) -> bool:
    """Whether somebody asked to roll back during this rollout; one that goes back itself is meant by that already."""
    returns = row.candidate is not None and row.candidate.returned_by
    return row.requested is not None and row.requested.what == "roll_back" and not returns


def _part(row: Dataset, candidate: Release) -> ReleaseState:
    """What a failed candidate's snapshot becomes: one that had traffic beside what is live was rolled back."""
    return ReleaseState.ROLLED_BACK if candidate.stages and row.resting == D.LIVE else ReleaseState.DEPLOY_FAILED
