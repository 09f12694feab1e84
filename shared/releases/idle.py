"""Which endpoint nobody asks any more. Called by the nightly round, which only records a wish, and by the sleep step
under the dataset's lease, before anything is removed.

Idle means: nothing asked through the app and no request in the endpoint's own metrics over the whole window, which
starts after the last change. What is not known is never idle, and people can keep an endpoint whatever it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from shared import naming
from shared.config import hours
from shared.ledger.rows import Request
from shared.ledger.states import DatasetState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.ledger.rows import Dataset
    from shared.runtime import Services

TIMER = "timer"
# Who asks for sleep when the endpoint is not there any more.
GONE = "the sweep: its endpoint is gone"
_NO = ("", "0", "no", "off", "false")


@dataclass(frozen=True, slots=True)
class IdleFinding:
    """What was found of one dataset, and why."""

    row: Dataset
    verdict: Literal["idle", "kept", "unknown", "not up"]
    why: str


def judge(services: Services, row: Dataset) -> IdleFinding:
    """Whether a dataset's endpoint is idle, kept, or not known to be either. What is cheap to know is asked first."""
    if row.state != DatasetState.LIVE or row.live is None:
        return IdleFinding(row, "not up" if row.candidate is None else "kept", f"it is {row.state}")
    if why := _changed(services, row) or _wanted(services, row):
        return IdleFinding(row, "kept", why)
    endpoint = services.workspace.endpoints.get(row.endpoint)
    if endpoint is None:
        return IdleFinding(row, "unknown", f"endpoint {row.endpoint} is not there")
    if _keeps(keep := endpoint.tags.get(naming.TAG_KEEP, ""), services.clock()):
        return IdleFinding(row, "kept", f"its endpoint has the tag {naming.TAG_KEEP} = {keep}")
    now, deployments = services.clock(), tuple(row.traffic) or (row.live.deployment,)
    found = services.metrics.requests(row.endpoint, deployments, now - _window(services), now)
    if found.most is None:
        return IdleFinding(row, "unknown", found.why)
    if found.most > 0:
        return IdleFinding(row, "kept", f"its metrics have up to {found.most:.0f} requests a minute")
    return IdleFinding(row, "idle", f"nobody asked for {services.settings.idle_hours:g} h")


def findings(services: Services) -> list[IdleFinding]:
    """What is found of every dataset. Raises what the ledger raises: from half a listing nothing is concluded."""
    rows: list[Dataset] = [services.ledger.read(listed.key).row for listed in list(services.ledger.list("dataset"))]
    return [judge(services, row) for row in rows]


def request_sleep(services: Services, found: Iterable[IdleFinding] | None = None) -> list[str]:
    """Records a wish to sleep for every idle dataset; returns their names. Repeating it changes nothing.

    With `IDLE_DRY_RUN` nothing is recorded.
    """
    names = []
    for finding in findings(services) if found is None else found:
        free = finding.row.requested is None
        if finding.verdict == "idle" and free and not services.settings.idle_dry_run:
            key = finding.row.key
            services.ledger.change(key, partial(wished, wish=Request(what="sleep", by=TIMER, at=services.clock())))
            services.ledger.hint(key)
            names.append(finding.row.name)
    return names


def _window(services: Services) -> float:
    return services.settings.idle_hours * 3600


def _changed(services: Services, row: Dataset) -> str:
    """What has happened to the dataset within the window, or nothing."""
    now, given = services.clock(), services.settings
    if row.candidate is not None:
        return "a rollout is under way"
    if row.requested is not None and row.requested.by != TIMER:
        return f"{row.requested.by} asked for {row.requested.what}"
    if row.last_asked_at > now - _window(services):
        return f"it was asked {_ago(now - row.last_asked_at)} ago"
    if row.since > now - _window(services):
        return f"it changed {_ago(now - row.since)} ago"
    if (up := _up_since(row)) > now - given.idle_min_age_hours * 3600:
        return f"it came up {_ago(now - up)} ago and IDLE_MIN_AGE_HOURS is {given.idle_min_age_hours:g}"
    return ""


def _wanted(services: Services, row: Dataset) -> str:
    """Whether it is kept warm at this hour."""
    warm = any(span.hold(services.clock()) for span in hours.parse(services.settings.keep_warm))
    return f"it is kept warm at this hour: KEEP_WARM is {services.settings.keep_warm}" if warm else ""


def _up_since(row: Dataset) -> float:
    """When the endpoint last came up: the last entry into LIVE from a state without it."""
    since, before = 0.0, ""
    for entry in row.history:
        if entry.state == DatasetState.LIVE and before != DatasetState.LIVE:
            since = entry.at
        before = entry.state
    return since


def _keeps(tag: str, now: float) -> bool:
    """Whether a keep tag keeps: any word but a no; a date keeps until its day is over (UTC)."""
    try:
        return datetime.fromisoformat(tag).replace(tzinfo=UTC).timestamp() + 86_400 > now
    except ValueError:
        return tag.strip().lower() not in _NO


def _ago(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def wished(row: Dataset, wish: Request) -> Dataset:
    """The row with the wish on record, unless there is another one."""
    changed: Dataset = row if row.requested else row.but(requested=wish, poll_at=wish.at)
    return changed
