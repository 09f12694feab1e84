"""The steps that move traffic: shift to a candidate stage by stage, roll back to what was live before, and retire that.

The split that is wanted is put on record first and then written as a whole, at each look anew until the endpoint has
it. So whatever else wrote to the endpoint, and wherever a worker was cut off, the next look puts it right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import PermanentError
from shared.ledger.engine import StepResult
from shared.ledger.rows import CallComparison, Dataset, Release, Stage
from shared.ledger.rows import ReleaseOutcome as Ended
from shared.ledger.states import DatasetState, ReleaseState
from shared.releases import endpoints, health
from shared.releases.deploy import Deploy, Rollout

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services

D = DatasetState


@dataclass(frozen=True)
class Shift(Rollout):
    """SHIFTING -> LIVE, by stages while something is live to compare with; or back and ROLLED_BACK."""

    services: Services

    def _go_on(self, row: Dataset, candidate: Release, lease: HeldLease) -> StepResult:
        if not candidate.stages:
            straight = row.resting != D.LIVE or bool(candidate.returned_by)
            return self._enter(row, candidate, 100 if straight else self.services.settings.rollout_stages[0])
        endpoint = endpoints.ensure_traffic(self.services, row)
        if endpoint is None:
            return self._later(row)
        if row.live is None or row.resting != D.LIVE or candidate.returned_by:
            return self._live(row, candidate)
        if not candidate.stages[-1].since:
            begun = _with_last(candidate, since=self.services.clock())
            return StepResult(row.state, "", {"candidate": begun})
        return self._judge(row, candidate, row.live)

    def _enter(self, row: Dataset, candidate: Release, percent: int) -> StepResult:
        """The next stage's split on record; the next look writes it."""
        rest = {row.live.deployment: 100 - percent} if row.live and percent < 100 else {}
        entered = candidate.but(stages=(*candidate.stages, Stage(percent=percent)))
        traffic = {candidate.deployment: percent, **rest}
        return StepResult(row.state, f"{percent} % of the traffic", {"candidate": entered, "traffic": traffic})

    def _judge(self, row: Dataset, candidate: Release, live: Release) -> StepResult:
        """What becomes of a stage that has its traffic: it goes on, is over, or the candidate is taken back."""
        given, stage = self.services.settings, candidate.stages[-1]
        measured = self._measured(row, candidate, live)
        found = health.judged(measured, _limits(self.services))
        if found.verdict == "bad":
            breach = _with_last(candidate, verdict="breach", why=found.why, measured=measured)
            reason = f"rolled back at {stage.percent} % of the traffic: {found.why}"
            raise endpoints.ReleaseFailure(reason, stages=breach.stages)
        over = stage.since + given.rollout_bake_minutes * 60
        if found.verdict != "good":
            over += given.rollout_wait_minutes * 60
        if (left := over - self.services.clock()) > 0:
            waiting = f"stage of {stage.percent} %: {found.why}"
            return StepResult(row.state, "", {"waiting": waiting}, min(left, given.look_seconds))
        verdict = "healthy" if found.verdict == "good" else "unjudged"
        passed = _with_last(candidate, verdict=verdict, why=found.why, measured=measured)
        following = next((share for share in given.rollout_stages if share > stage.percent), None)
        return self._live(row, passed) if following is None else self._enter(row, passed, following)

    def _measured(self, row: Dataset, candidate: Release, live: Release) -> tuple[CallComparison, ...]:
        """Both sides by both sources: the candidate since the stage began, live since the shift began.

        At the last stage nobody asks live any more; what it did in the stages before is what there is to compare with.
        """
        since, began, now = candidate.stages[-1].since, candidate.stages[0].since, self.services.clock()
        counted = CallComparison(
            source="counts",
            candidate=self.services.counts.since(row.name, candidate.deployment, since),
            live=self.services.counts.since(row.name, live.deployment, began),
        )
        asked = ((candidate.deployment, since), (live.deployment, began))
        return counted, self.services.metrics.compared(row.endpoint, *asked, now)

    def _live(self, row: Dataset, candidate: Release) -> StepResult:
        """The candidate is what is live; what was live stays for a while, unless it was taken back."""
        now, outcomes = self.services.clock(), dict(row.outcomes)
        outcomes.pop(candidate.snapshot, None)
        by, old = candidate.returned_by, row.live
        if old:
            outcomes[old.snapshot] = Ended(
                part=ReleaseState.ROLLED_BACK if by else ReleaseState.RETIRED,
                at=now,
                reason=f"{by} went back to {candidate.snapshot}" if by else "",
                attempt=old.attempt,
                gate=old.gate,
                stages=old.stages,
            )
        keep = 0.0 if by else self.services.settings.rollback_keep_hours * 3600
        changes = {
            "live": candidate.but(returned_by=""),
            # A release that slept has no deployment any more: only one that was up can be gone back to.
            "previous": old if old and row.resting == D.LIVE else None,
            "kept_until": now + keep,
            "candidate": None,
            "outcomes": outcomes,
        }
        if by and row.requested and row.requested.what == "roll_back":
            changes["requested"] = None  # a wish that came while it was done: it meant this
        unjudged = ", unjudged" if candidate.unjudged and not by else ""
        return StepResult(D.LIVE, f"{candidate.snapshot} serves{unjudged}", changes)


@dataclass(frozen=True, slots=True)
class RollBack:
    """LIVE -> SHIFTING towards what was live before, on request, while its deployment is kept."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether somebody asked for it."""
        return row.requested is not None and row.requested.what == "roll_back"

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Puts the return on record, if what is to be returned to is still up; the traffic is written by the shift."""
        assert row.requested is not None
        by, back = row.requested.by, row.previous
        if back is None or not row.can_go_back(self.services.clock()):
            return StepResult(D.LIVE, f"{by} asked to roll back: there is nothing to go back to", {"requested": None})
        found = self.services.workspace.deployment(row.endpoint, back.deployment)
        if found is None or found.state != "Succeeded":
            why = f"deployment {back.deployment} is {found.state if found else 'gone'}"
            return StepResult(D.LIVE, f"{by} asked to roll back: {why}", {"requested": None})
        changes = {
            "candidate": back.but(returned_by=by, stages=(), failed="", failed_as=None, log=None),
            "previous": None,
            "resting": D.LIVE,
            "requested": None,
        }
        return StepResult(D.SHIFTING, f"{by} goes back to {back.snapshot}", changes)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """A person asked and a person has a look."""


@dataclass(frozen=True, slots=True)
class Retire:
    """LIVE -> LIVE: the deployment of the release before is removed once its time is over or its place is needed."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether there is still one, and it is not kept to go back to; a new release takes its place at once."""
        if row.previous is None or not row.previous.deployment:
            return False
        return self.services.clock() >= row.kept_until or Deploy(self.services).ready(row)

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Removes it; the release stays on record. The log of one that was taken back is kept."""
        previous = row.previous
        assert previous is not None
        ended = row.outcomes.get(previous.snapshot)
        if previous.log is None and ended and ended.part == ReleaseState.ROLLED_BACK:
            logged = previous.but(log=endpoints.save_log(self.services, row, previous))
            return StepResult(row.state, "", {"previous": logged})
        if not endpoints.ensure_removed(self.services, row, previous, whole_endpoint=False):
            return StepResult(row.state, poll_in=self.services.settings.look_seconds)
        return StepResult(row.state, "", {"previous": previous.but(deployment="")})

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """It costs money: a person has a look."""


def _with_last(release: Release, **changes: object) -> Release:
    """The release with its present stage changed."""
    changed: Release = release.but(stages=(*release.stages[:-1], release.stages[-1].but(**changes)))
    return changed


def _limits(services: Services) -> health.HealthLimits:
    given = services.settings
    return health.HealthLimits(
        min_requests=given.rollout_min_requests,
        max_error_points=given.rollout_max_error_points,
        max_latency_ratio=given.rollout_max_latency_ratio,
    )
