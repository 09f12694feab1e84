"""The steps that stop and start the costs of a dataset's endpoint: sleep and wake.

Only a wish on record starts either. Sleep removes the endpoint and keeps the model; wake makes the same release again,
or removes what it made and says why it could not.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import EndpointNameTaken, PermanentError
from shared.ledger.engine import FAULTS_BEFORE_ATTENTION, StepResult
from shared.ledger.release import Release
from shared.ledger.rows import Dataset
from shared.ledger.states import DatasetState
from shared.releases import endpoints, idle

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services

log = logging.getLogger(__name__)

D = DatasetState
# The longest pause between wakes that fail, s.
_LONGEST_PAUSE = 86_400.0
# What a row says once a wake went well, or its endpoint was put to sleep.
_RESTED = {"wake_failures": 0, "wake_not_before": 0.0}


@dataclass(frozen=True, slots=True)
class Sleep:
    """LIVE -> SLEEPING -> ASLEEP, on request; the timer's request is checked again before anything is removed."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether somebody asked for it, and the timer was right if it was the timer."""
        if row.requested is None or row.requested.what != "sleep":
            return False
        if not (why := self._against(row, row.requested.by)):
            return True
        self.services.ledger.change(row.key, lambda r: r.but(requested=None) if r.requested == row.requested else r)
        log.info("%s is not put to sleep after all: %s", row.name, why)
        return False

    def _against(self, row: Dataset, by: str) -> str:
        """What now speaks against a wish that a timer recorded, or nothing; a person's wish is done as it is."""
        if by == idle.TIMER:
            found = idle.judge(self.services, row)
            return "" if found.verdict == "idle" else found.why
        if by == idle.GONE:
            return "its endpoint is there" if self.services.workspace.endpoints.get(row.endpoint) else ""
        return ""

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Removes the endpoint and looks until it is gone."""
        assert row.live is not None
        if not endpoints.ensure_removed(self.services, row, row.live, whole_endpoint=True):
            return StepResult(row.state, poll_in=self.services.settings.look_seconds)
        by = row.requested.by if row.requested else "nobody any more"
        changes: dict[str, Any] = {"traffic": {}, "scoring_uri": "", "requested": None, "previous": None, **_RESTED}
        return StepResult(D.ASLEEP, f"asked for by {by}", changes)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """It costs money: a person has a look."""


@dataclass(frozen=True, slots=True)
class Wake:
    """ASLEEP -> WAKING -> LIVE, on request; or ASLEEP again with the reason, everything removed."""

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
            self._in_time(row)
            try:
                raised = endpoints.ensure_deployed(self.services, row, live)
            except EndpointNameTaken as error:
                return StepResult(row.state, "", endpoints.next_endpoint_name(self.services, row, error))
            if not raised.up:
                return self._later(row, live.but(operation=raised.operation or live.operation))
            split = {live.deployment: 100}
            endpoint = endpoints.ensure_traffic(self.services, row.but(traffic=split))
        except endpoints.ReleaseFailure as failure:
            reason = endpoints.with_log(str(failure), endpoints.save_log(self.services, row, live))
            return StepResult(row.state, "", {"live": live.but(failed=reason)})
        if endpoint is None:
            return self._later(row)
        changes = {"traffic": split, "scoring_uri": endpoint.scoring_uri, "requested": None, **_RESTED}
        return StepResult(D.LIVE, "awake", changes)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """What Azure refuses is an endpoints.Failure already; anything else is for a person."""

    def _in_time(self, row: Dataset) -> None:
        """Gives up before it costs more: after the limit, or when the next fault would leave it to a person."""
        limit = self.services.settings.deploy_limit_minutes
        if self.services.clock() > row.since + limit * 60:
            raise endpoints.ReleaseFailure(f"not awake within {limit} minutes")
        if row.fault and row.fault.count >= FAULTS_BEFORE_ATTENTION - 1:
            raise endpoints.ReleaseFailure(f"failed {row.fault.count} times: {row.fault.type}: {row.fault.message}")

    def _give_up(self, row: Dataset, live: Release) -> StepResult:
        """Everything removed, and a pause that doubles before a question wakes it again."""
        if not endpoints.ensure_removed(self.services, row, live, whole_endpoint=True):
            return self._later(row)
        pause = min(self.services.settings.wake_backoff_minutes * 60 * 2**row.wake_failures, _LONGEST_PAUSE)
        changes = {
            "live": live.but(failed=""),
            "requested": None,
            "scoring_uri": "",
            "wake_failures": row.wake_failures + 1,
            "wake_not_before": self.services.clock() + pause,
        }
        return StepResult(
            D.ASLEEP, f"could not wake: {live.failed}; no question wakes it for {pause / 60:g} min", changes
        )

    def _later(self, row: Dataset, live: Release | None = None) -> StepResult:
        changes = {"live": live} if live else {}
        return StepResult(row.state, "", changes, self.services.settings.look_seconds)
