"""Which endpoint nobody asks any more. Called by the nightly round, which only records a request to sleep, and by the
step `confirm_sleep` under the dataset's lease, before anything is removed.

Idle means: over the whole of the last `IDLE_HOURS` nothing changed, no call came through the app, and the endpoint's
own metrics have no request. What is not known is never idle, and people can keep an endpoint whatever it does. Judging
only reads, so it may be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from shared import naming
from shared.config import hours
from shared.ledger.rows import Origin, Request
from shared.ledger.states import DatasetState
from shared.ledger.uptime import up_since

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.ledger.rows import Dataset
    from shared.runtime import Services

_NO = ("", "0", "no", "off", "false")


@dataclass(frozen=True, slots=True)
class IdleFinding:
    """What was found of one dataset, and why. `not up`: it has no endpoint that could be put to sleep."""

    row: Dataset
    verdict: Literal["idle", "kept", "unknown", "not up"]
    why: str


def judge(services: Services, row: Dataset) -> IdleFinding:
    """Whether a dataset's endpoint is idle, kept, or not known to be either. Metrics, the slowest to ask, come last."""
    if row.state != DatasetState.LIVE or row.live is None:
        return IdleFinding(row, "not up" if row.candidate is None else "kept", f"it is {row.state}")
    if why := _recent_change(services, row) or _kept_warm(services, row):
        return IdleFinding(row, "kept", why)
    endpoint = services.workspace.endpoints.get(row.endpoint)
    if endpoint is None:
        return IdleFinding(row, "unknown", f"endpoint {row.endpoint} is not there")
    if _is_kept_by(keep := endpoint.tags.get(naming.TAG_KEEP, ""), services.clock()):
        return IdleFinding(row, "kept", f"its endpoint has the tag {naming.TAG_KEEP} = {keep}")
    now, deployments = services.clock(), tuple(row.traffic) or (row.live.deployment,)
    found = services.metrics.requests(row.endpoint, deployments, now - _window(services), now)
    if found.most is None:
        return IdleFinding(row, "unknown", found.why)
    if found.most > 0:
        return IdleFinding(row, "kept", f"its metrics have up to {found.most:.0f} requests a minute")
    return IdleFinding(row, "idle", f"nobody asked for {services.settings.idle_hours:g} h")


def findings(services: Services) -> list[IdleFinding]:
    """What is found of every dataset whose row can be read. Raises what the ledger raises: from half a listing nothing
    is concluded."""
    rows: list[Dataset] = list(services.ledger.rows("dataset"))
    return [judge(services, row) for row in rows]


def request_sleep(services: Services, found: Iterable[IdleFinding] | None = None) -> list[str]:
    """Records a request to sleep for every idle dataset; returns their names. Repeating it changes nothing.

    With `IDLE_DRY_RUN` nothing is recorded.
    """
    names = []
    for finding in findings(services) if found is None else found:
        if would_ask(services, finding):
            key = finding.row.key
            request = Request(what="sleep", by="timer", at=services.clock(), origin=Origin.TIMER)
            services.ledger.change(key, partial(with_request, request=request))
            services.ledger.hint(key)
            names.append(finding.row.name)
    return names


def would_ask(services: Services, finding: IdleFinding) -> bool:
    """Whether a dataset is asked to sleep for what was found of it."""
    return finding.verdict == "idle" and finding.row.requested is None and not services.settings.idle_dry_run


def _window(services: Services) -> float:
    return services.settings.idle_hours * 3600


def _recent_change(services: Services, row: Dataset) -> str:
    """What has happened to the dataset within the window, or nothing."""
    now, given = services.clock(), services.settings
    if row.candidate is not None:
        return "a rollout is under way"
    if row.requested is not None and row.requested.origin == Origin.PERSON:
        return f"{row.requested.by} asked for {row.requested.what}"
    if row.last_asked_at > now - _window(services):
        return f"it was asked {_ago(now - row.last_asked_at)} ago"
    if row.since > now - _window(services):
        return f"it changed {_ago(now - row.since)} ago"
    if (up := up_since(row)) > now - given.idle_min_age_hours * 3600:
        return f"it came up {_ago(now - up)} ago and IDLE_MIN_AGE_HOURS is {given.idle_min_age_hours:g}"
    return ""


def _kept_warm(services: Services, row: Dataset) -> str:
    """The setting that keeps every dataset up at this hour, or nothing."""
    warm = any(span.hold(services.clock()) for span in hours.parse(services.settings.keep_warm))
    return f"it is kept warm at this hour: KEEP_WARM is {services.settings.keep_warm}" if warm else ""


def _is_kept_by(tag: str, now: float) -> bool:
    """Whether a keep tag keeps: any word but a no; a date keeps until its day is over (UTC)."""
    try:
        return datetime.fromisoformat(tag).replace(tzinfo=UTC).timestamp() + 86_400 > now
    except ValueError:
        return tag.strip().lower() not in _NO


def _ago(seconds: float) -> str:
    if seconds < 60:
        return "under a minute"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def with_request(row: Dataset, request: Request) -> Dataset:
    """The row with the request on record, unless there is another one, or it is not up any more."""
    if row.requested or row.state != DatasetState.LIVE:
        return row
    changed: Dataset = row.but(requested=request, poll_at=request.at)
    return changed
