"""What happens at 10 % of the traffic, at 50 and at 100; how one goes back, and what becomes of the release before.

    shift       moves traffic to a candidate by the shares in `ROLLOUT_STAGES`, as long as it is not worse than live
    roll_back   starts the way back to what was live before, when a person asks for it
    retire      removes the deployment that was kept to go back to, once its time is over

A stage of `shift` goes like this: its split is put on record and then written to the endpoint; once the endpoint has
it, the stage bakes; at each poll the calls to both releases are compared (`health`). Bad: the candidate is taken back
(`rollout`). Good for `ROLLOUT_BAKE_MINUTES`: the next stage, after the last one LIVE. Too little known: the stage waits
`ROLLOUT_WAIT_MINUTES` longer, then goes on as `unjudged`. Each poll writes the split anew if the endpoint has another
one, so whatever else wrote to it, and wherever a worker was cut off, the next poll puts it right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import PermanentError
from shared.ledger.engine import Announcement, StepResult
from shared.ledger.release import WENT_BACK, CallComparison, Release, ReleaseOutcome, Stage
from shared.ledger.rows import Dataset
from shared.ledger.states import DatasetState, ReleaseState
from shared.releases import endpoints, health, logs, outcomes
from shared.releases.deploy import Deploy
from shared.releases.endpoints import ReleaseFailure, ServingGone
from shared.releases.rollout import RolloutStep, without_live

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services

D = DatasetState


@dataclass(frozen=True)
class Shift(RolloutStep):
    """SHIFTING -> LIVE, by stages while something is live to compare with; or back, and ROLLED_BACK."""

    services: Services

    def _go_on(self, row: Dataset, candidate: Release, lease: HeldLease) -> StepResult:
        compared = row.live is not None and row.before_rollout == D.LIVE and not candidate.returned_by
        if not candidate.stages:
            return self._enter(row, candidate, self.services.settings.rollout_stages[0] if compared else 100)
        try:
            progress = endpoints.ensure_traffic(self.services, row)
        except ServingGone as gone:
            if row.live is None or gone.deployments != {row.live.deployment}:
                raise
            alone = row.but(**without_live(row))
            entered = self._enter(alone, candidate, 100)
            return StepResult(row.state, f"{gone}: 100 % of the traffic", {**without_live(row), **entered.changes})
        if not progress.done:
            return self._poll(row, progress)
        if not compared:
            return self._go_live(row, candidate)
        if not candidate.stages[-1].since:
            begun = _with_stage(candidate, since=self.services.clock())
            return StepResult(row.state, "", {**progress.changes, "candidate": begun})
        return self._judge(row, candidate)

    def _enter(self, row: Dataset, candidate: Release, percent: int) -> StepResult:
        """Puts the split of the next stage on record; the next call writes it."""
        traffic = {candidate.deployment: percent}
        if row.live and percent < 100:
            traffic[row.live.deployment] = 100 - percent
        entered = candidate.but(stages=(*candidate.stages, Stage(percent=percent)))
        return StepResult(row.state, f"{percent} % of the traffic", {"candidate": entered, "traffic": traffic})

    def _judge(self, row: Dataset, candidate: Release) -> StepResult:
        """What becomes of a stage that has its traffic: it goes on, it is over, or the candidate is taken back."""
        given, stage = self.services.settings, candidate.stages[-1]
        measured = self._compare(row, candidate)
        found = health.judge(measured, health.HealthLimits.of(given))
        if found.verdict == "bad":
            breach = _with_stage(candidate, verdict="breach", why=found.why, measured=measured)
            reason = f"rolled back at {stage.percent} % of the traffic: {found.why}"
            raise ReleaseFailure(reason, stages=breach.stages)
        good = found.verdict == "good"
        ends = stage.since + 60 * (given.rollout_bake_minutes + (0 if good else given.rollout_wait_minutes))
        if (left := ends - self.services.clock()) > 0:
            waiting = f"stage of {stage.percent} %: {found.why}"
            return StepResult(row.state, "", {"waiting": waiting}, min(left, given.look_seconds))
        verdict = "healthy" if good else "unjudged"
        passed = _with_stage(candidate, verdict=verdict, why=found.why, measured=measured)
        following = next((share for share in given.rollout_stages if share > stage.percent), None)
        return self._go_live(row, passed) if following is None else self._enter(row, passed, following)

    def _compare(self, row: Dataset, candidate: Release) -> tuple[CallComparison, ...]:
        """The calls to both releases by both sources: the candidate's since its stage began, live's since the first
        stage began.

        At the last stage nobody calls live any more; what it did in the stages before is what there is to compare with.
        """
        assert row.live is not None
        ours, live = candidate.deployment, row.live.deployment
        stage_began, rollout_began = candidate.stages[-1].since, candidate.stages[0].since
        counted = CallComparison(
            source="counts",
            candidate=self.services.counts.since(row.name, ours, stage_began),
            live=self.services.counts.since(row.name, live, rollout_began),
        )
        metrics = self.services.metrics.compared(
            row.endpoint, (ours, stage_began), (live, rollout_began), self.services.clock()
        )
        return counted, metrics

    def _go_live(self, row: Dataset, candidate: Release) -> StepResult:
        """The candidate is what is live; what was live before is kept for a while, unless one went back from it."""
        now, by, old = self.services.clock(), candidate.returned_by, row.live
        ended = {name: outcome for name, outcome in row.outcomes.items() if name != candidate.snapshot}
        then: tuple[Announcement, ...] = ()
        if old:
            ended[old.snapshot] = _replaced(old, candidate, now)
            then = (outcomes.tell(old.snapshot, ended[old.snapshot]),)
        changes: dict[str, Any] = {
            "live": candidate.but(returned_by=""),
            # A release that slept has no deployment any more: only one that was up can be gone back to.
            "previous": old if old and row.before_rollout == D.LIVE else None,
            "kept_until": now + (0.0 if by else self.services.settings.rollback_keep_hours * 3600),
            "candidate": None,
            "outcomes": outcomes.settled(self.services, row, ended),
        }
        if by and row.requested and row.requested.what == "roll_back":
            changes["requested"] = None  # it came while the way back was under way, and meant this
        unjudged = ", unjudged" if candidate.unjudged and not by else ""
        return StepResult(D.LIVE, f"{candidate.snapshot} serves{unjudged}", changes, then=then)


@dataclass(frozen=True, slots=True)
class RollBack:
    """LIVE -> SHIFTING towards what was live before, on request, while its deployment is kept."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether somebody asked for it."""
        return row.requested is not None and row.requested.what == "roll_back"

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Makes the release before the candidate, if its deployment is still up; `shift` writes the traffic."""
        assert row.requested is not None
        by, back = row.requested.by, row.previous
        if back is None or not row.can_go_back(self.services.clock()):
            return StepResult(D.LIVE, f"{by} asked to roll back: there is nothing to go back to", {"requested": None})
        found = self.services.workspace.deployments.get(row.endpoint, back.deployment)
        if found is None or found.state != "Succeeded":
            why = f"deployment {back.deployment} is {found.state if found else 'gone'}"
            return StepResult(D.LIVE, f"{by} asked to roll back: {why}", {"requested": None})
        changes = {
            "candidate": back.but(returned_by=by, stages=(), failed="", failed_as=None, log=None),
            "previous": None,
            "before_rollout": D.LIVE,
            "requested": None,
        }
        return StepResult(D.SHIFTING, f"{by} goes back to {back.snapshot}", changes)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """A person asked for it, and it is left to a person."""


@dataclass(frozen=True, slots=True)
class Retire:
    """LIVE -> LIVE: the deployment of the release before is removed once its time is over or its place is needed."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether a deployment is kept for longer than it has to be; a new release takes its place at once."""
        if row.previous is None or not row.previous.deployment:
            return False
        return self.services.clock() >= row.kept_until or Deploy(self.services).ready(row)

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Removes it; the release stays on record. The log of one that was rolled back is kept."""
        previous = row.previous
        assert previous is not None
        outcome = row.outcomes.get(previous.snapshot)
        if previous.log is None and outcome and outcome.state == ReleaseState.ROLLED_BACK:
            logged = previous.but(log=logs.save(self.services, row, previous).blob)
            return StepResult(row.state, "", {"previous": logged})
        progress = endpoints.ensure_removed(self.services, row, previous, whole_endpoint=False)
        if not progress.done:
            return StepResult(row.state, "", progress.changes, self.services.settings.look_seconds)
        return StepResult(row.state, "", {**progress.changes, "previous": previous.but(deployment="")})

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """A deployment that stays costs money: it is left to a person."""


def _with_stage(release: Release, **changes: object) -> Release:
    """The release with its present stage changed."""
    changed: Release = release.but(stages=(*release.stages[:-1], release.stages[-1].but(**changes)))
    return changed


def _replaced(old: Release, candidate: Release, now: float) -> ReleaseOutcome:
    """How the release ended that the candidate takes the place of."""
    by = candidate.returned_by
    return ReleaseOutcome(
        state=ReleaseState.ROLLED_BACK if by else ReleaseState.RETIRED,
        at=now,
        reason=f"{by}{WENT_BACK}{candidate.snapshot}" if by else "",
        attempt=old.attempt,
        gate=old.gate,
        stages=old.stages,
    )
