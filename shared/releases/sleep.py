"""The steps that stop and start the costs of a dataset's endpoint: confirm_sleep, sleep and wake.

Only a request on record starts any of them. Sleep removes the endpoint and keeps the model; wake makes the same release
again, or removes what it made and says why it could not. A repeat goes on from what is there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import AzureFailed, EndpointNameTaken, PermanentError
from shared.ledger.engine import FAULTS_BEFORE_ATTENTION, StepResult
from shared.ledger.release import Release
from shared.ledger.rows import Dataset, Origin, Request
from shared.ledger.states import DatasetState
from shared.releases import endpoints, idle, logs
from shared.releases.endpoints import Progress, ReleaseFailure

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services

log = logging.getLogger(__name__)

D = DatasetState
# The longest pause between wakes that fail (s).
_LONGEST_PAUSE = 86_400.0
# What a row says once a wake went well, or its endpoint was put to sleep.
_NO_FAILED_WAKES = {"wake_failures": 0, "wake_not_before": 0.0}


@dataclass(frozen=True, slots=True)
class ConfirmSleep:
    """LIVE -> LIVE: a request to sleep that no person made is judged once more, under the lease.

    That is a step of its own because `sleep` begins by writing SLEEPING, from when on no call is answered.
    """

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether there is such a request that was not confirmed since the dataset was last asked."""
        return _sleep_request(row) is not None and not _is_confirmed(row)

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Confirms the request, or drops it because it does not hold any more."""
        request = row.requested
        assert request is not None
        if why := self._objection(row, request):
            log.info("%s is not put to sleep after all: %s", row.name, why)
            return StepResult(row.state, "", {"requested": None}, poll_in=None)
        return StepResult(row.state, "", {"requested": request.but(confirmed_at=self.services.clock())})

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """An endpoint that nobody asks costs money: it is left to a person."""

    def _objection(self, row: Dataset, request: Request) -> str:
        """What speaks against the request by now, or nothing."""
        if request.origin == Origin.SWEEP:  # it found that the endpoint is gone
            return "its endpoint is there" if self.services.workspace.endpoints.get(row.endpoint) else ""
        found = idle.judge(self.services, row)
        return "" if found.verdict == "idle" else found.why


@dataclass(frozen=True, slots=True)
class Sleep:
    """LIVE -> SLEEPING -> ASLEEP: the endpoint is removed, when a person asks for it or a confirmed request does."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether somebody asked for it, and the request is a person's or confirmed."""
        return _sleep_request(row) is not None and _is_confirmed(row)

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Removes the endpoint and polls until it is gone."""
        assert row.live is not None
        try:
            progress = endpoints.ensure_removed(self.services, row, row.live, whole_endpoint=True)
        except AzureFailed as error:
            return self._stay_up(row, row.live, error)
        if not progress.done:
            return StepResult(row.state, "", progress.changes, self.services.settings.look_seconds)
        by = row.requested.by if row.requested else "nobody any more"
        changes: dict[str, Any] = {
            "traffic": {},
            "scoring_uri": "",
            "requested": None,
            "previous": None,
            **_NO_FAILED_WAKES,
        }
        return StepResult(D.ASLEEP, f"asked for by {by}", changes)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """An endpoint that stays costs money: it is left to a person."""

    def _stay_up(self, row: Dataset, live: Release, error: AzureFailed) -> StepResult:
        """An endpoint that Azure will not remove and that still serves goes on serving. Raises the error if it does
        not serve."""
        endpoint = self.services.workspace.endpoints.get(row.endpoint)
        found = self.services.workspace.deployments.get(row.endpoint, live.deployment)
        if endpoint is None or not endpoint.traffic.get(live.deployment) or found is None or found.state != "Succeeded":
            raise error
        return StepResult(D.LIVE, f"could not be put to sleep: {error}", {"requested": None})


@dataclass(frozen=True, slots=True)
class Wake:
    """ASLEEP -> WAKING -> LIVE, on request; or ASLEEP again with the reason, and everything removed that it made."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether somebody asked for it."""
        return row.requested is not None and row.requested.what == "wake"

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Makes endpoint and deployment of the live release again, and gives it all the traffic."""
        live = row.live
        assert live is not None, "what sleeps was live"
        if live.failed:
            return self._give_up(row, live)
        try:
            self._check_limits(row)
            return self._go_on(row, live)
        except EndpointNameTaken as error:
            return StepResult(row.state, "", endpoints.next_endpoint_name(self.services, row, error))
        except (ReleaseFailure, AzureFailed) as failure:
            saved = logs.save(self.services, row, live)
            reason = logs.with_log(f"{failure}{logs.quoted(saved)}", saved.blob)
            return StepResult(row.state, "", {"live": live.but(failed=reason)})

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """What Azure refuses is a ReleaseFailure already; anything else is for a person."""

    def _go_on(self, row: Dataset, live: Release) -> StepResult:
        """The next thing that is missing. Raises ReleaseFailure, EndpointNameTaken."""
        progress = endpoints.ensure_deployed(self.services, row, live)
        if not progress.done:
            return self._poll(row, progress)
        split = {live.deployment: 100}
        progress = endpoints.ensure_traffic(self.services, row.but(traffic=split))
        if not progress.done:
            return self._poll(row, progress)
        assert progress.endpoint is not None
        changes = {
            "traffic": split,
            "scoring_uri": progress.endpoint.scoring_uri,
            "requested": None,
            **_NO_FAILED_WAKES,
        }
        return StepResult(D.LIVE, "awake", changes)

    def _poll(self, row: Dataset, progress: Progress) -> StepResult:
        return StepResult(row.state, "", progress.changes, self.services.settings.look_seconds)

    def _check_limits(self, row: Dataset) -> None:
        """Raises ReleaseFailure before the wake costs more: when there are too many endpoints already, after the limit,
        or before a person would be needed."""
        if not row.pending and (why := self.services.endpoint_slots.take(row)):
            raise ReleaseFailure(why)
        limit = self.services.settings.deploy_limit_minutes
        if self.services.clock() > row.since + limit * 60:
            raise ReleaseFailure(f"not awake within {limit} minutes")
        if row.fault and row.fault.count >= FAULTS_BEFORE_ATTENTION - 1:
            raise ReleaseFailure(f"failed {row.fault.count} times: {row.fault}")

    def _give_up(self, row: Dataset, live: Release) -> StepResult:
        """Everything removed, and a pause that doubles before a call wakes it again."""
        progress = endpoints.ensure_removed(self.services, row, live, whole_endpoint=True)
        if not progress.done:
            return self._poll(row, progress)
        pause = min(self.services.settings.wake_backoff_minutes * 60 * 2**row.wake_failures, _LONGEST_PAUSE)
        changes = {
            "live": live.but(failed=""),
            "requested": None,
            "scoring_uri": "",
            "wake_failures": row.wake_failures + 1,
            "wake_not_before": self.services.clock() + pause,
        }
        reason = f"could not wake: {live.failed}; no question wakes it for {pause / 60:g} min"
        return StepResult(D.ASLEEP, reason, changes)


def _sleep_request(row: Dataset) -> Request | None:
    return row.requested if row.requested is not None and row.requested.what == "sleep" else None


def _is_confirmed(row: Dataset) -> bool:
    """Whether a request may be carried out: a person's at once, others once they were confirmed after the last call."""
    request = row.requested
    return request is not None and (request.origin == Origin.PERSON or request.confirmed_at > row.last_asked_at)
