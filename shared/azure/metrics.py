"""What Azure Monitor says of an endpoint: the only file that imports azure-monitor-querymetrics.

A query that fails, answers nothing or only a part of the window is *unknown* (None), never zero: an endpoint is not
removed on a guess. Where the app's identity may not read metrics, that is why, with the role that it needs.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.azure.clouds import PUBLIC, AzureCloud
from shared.azure.workspace.translation import asking
from shared.errors import AzureRefused, PipelineError
from shared.ledger.record import cut
from shared.ledger.release import CallComparison, CallStats, call_result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from azure.core.credentials import TokenCredential
    from azure.monitor.querymetrics import MetricsClient

    from shared.azure.workspace import Workspace
    from shared.config.settings import Settings

log = logging.getLogger(__name__)

# A deployment, and since when it is looked at.
type Since = tuple[str, float]
# From, to and step (s).
type Window = tuple[float, float, float]
type Series = tuple[str, list[tuple[float, float | None]]]

SOURCE = "metrics"
# A query is sent once, in bounded time: what is not known now is asked at the next poll.
_ONCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 3, "read_timeout": 12}
ENDPOINTS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
DEPLOYMENTS = f"{ENDPOINTS}/deployments"
# Metrics are read at the subscription: a role on the workspace does not do.
_ROLE = "Monitoring Reader on the subscription"
# There are fewer status codes; without a number Azure answers ten series and leaves out the rest.
_MOST_SERIES = 100
# Points of the last minutes may still be on their way (s).
_LATE = 900.0


@dataclass(frozen=True, slots=True)
class Requests:
    """The most requests a minute of a window; None when that is not known, and then `why`."""

    most: float | None
    why: str = ""


class Metrics:
    """Endpoint metrics of the workspace's region."""

    def __init__(
        self, settings: Settings, credential: TokenCredential, workspace: Workspace, cloud: AzureCloud = PUBLIC
    ) -> None:
        self._settings, self._credential, self._workspace = settings, credential, workspace
        self._domain = cloud.metrics

    @cached_property
    def _client(self) -> MetricsClient:
        from azure.monitor.querymetrics import MetricsClient

        address = self._settings.metrics_endpoint or f"https://{self._workspace.location()}.{self._domain}"
        return MetricsClient(address, self._credential, audience=f"https://{self._domain}", **_ONCE)

    def requests(self, endpoint: str, deployments: Sequence[str], since: float, until: float) -> Requests:
        """How busy an endpoint was between two times, by `RequestsPerMinute`.

        Azure leaves out the value of a minute without requests. That is taken for none only if `DeploymentCapacity` of
        every deployment named was reported over the same window: then somebody measured, and nobody asked.
        """
        step = _step(until - since)
        window = (since, until, step)
        try:
            points = self._points(ENDPOINTS, self._workspace.endpoints.id(endpoint), "RequestsPerMinute", window)
            if gap := _gap([at for at, _ in points], window):
                return Requests(None, f"its requests are not known: {gap}")
            if any(value is None for _, value in points):
                if not deployments:
                    return Requests(None, "no deployment could have reported")
                for name in deployments:
                    resource = self._workspace.deployments.id(endpoint, name)
                    capacity = self._points(DEPLOYMENTS, resource, "DeploymentCapacity", window)
                    if gap := _gap([at for at, value in capacity if value is not None], window):
                        return Requests(None, f"the capacity of {name} is not known: {gap}")
        except Exception as error:  # noqa: BLE001 - whatever the reason: it is not known
            return Requests(None, f"metrics could not be read ({_why(endpoint, error)})")
        return Requests(max(value or 0.0 for _, value in points))

    def check_access(self) -> None:
        """Raises AccessDenied if the app's identity may not read metrics. Any other answer says that it may."""
        with contextlib.suppress(AzureRefused):
            self._points(ENDPOINTS, self._workspace.endpoints.id("any"), "RequestsPerMinute", (0.0, 300.0, 300.0))

    def compared(self, endpoint: str, candidate: Since, live: Since, until: float) -> CallComparison:
        """How the questions to two deployments ended, each from a time of its own; None for one that is not known."""
        try:
            tallies = [self._tally(endpoint, deployment, since, until) for deployment, since in (candidate, live)]
        except _Gap as gap:
            return CallComparison(source=SOURCE, why=str(gap))
        except Exception as error:  # noqa: BLE001 - whatever the reason: it is not known
            return CallComparison(source=SOURCE, why=f"they could not be read ({_why(endpoint, error)})")
        return CallComparison(source=SOURCE, candidate=tallies[0], live=tallies[1])

    def _tally(self, endpoint: str, deployment: str, since: float, until: float) -> CallStats:
        """The questions to one deployment in the whole minutes between two times.

        A minute begun before is left out: the gate asked in it. Minutes without questions have no value, so the
        deployment's capacity has to be reported over the same window: then somebody measured. Raises _Gap.
        """
        window = (math.ceil(since / 60) * 60.0, math.floor(until / 60) * 60.0, 60.0)
        if window[0] >= window[1]:
            return CallStats()
        resource = self._workspace.endpoints.id(endpoint)
        capacity = self._points(
            DEPLOYMENTS, self._workspace.deployments.id(endpoint, deployment), "DeploymentCapacity", window
        )
        if gap := _gap([at for at, value in capacity if value is not None], window):
            raise _Gap(f"the capacity of {deployment} is not known: {gap}")
        this = f"deployment eq '{deployment}'"
        ends: Counter[str] = Counter()
        minutes: defaultdict[float, float] = defaultdict(float)
        by_status = self._series(ENDPOINTS, resource, "RequestsPerMinute", window, f"{this} and statusCode eq '*'")
        for status, points in by_status:
            for at, value in points:
                ends[call_result(int(status), usable=True)] += round(value or 0)
                minutes[at] += value or 0
        return CallStats(
            asked=ends.total(),
            failed=ends["failed"],
            refused=ends["refused"],
            busy=ends["busy"],
            left=ends["left"],
            p50_seconds=self._latency(resource, "RequestLatency_P50", window, this, minutes),
            p95_seconds=self._latency(resource, "RequestLatency_P95", window, this, minutes),
        )

    def _latency(
        self, resource: str, metric: str, window: Window, only: str, asked: Mapping[float, float]
    ) -> float | None:
        """The mean of the minutes' percentiles, each as heavy as its questions, in seconds."""
        series = self._series(ENDPOINTS, resource, metric, window, only)
        found = [(asked[at], value) for _, points in series for at, value in points if value is not None and asked[at]]
        total = sum(weight for weight, _ in found)
        return sum(weight * value for weight, value in found) / total / 1000 if total else None

    def _points(self, namespace: str, resource: str, metric: str, window: Window) -> list[tuple[float, float | None]]:
        """Time and highest value of every point of one metric of one resource."""
        return [point for _, points in self._series(namespace, resource, metric, window) for point in points]

    def _series(self, namespace: str, resource: str, metric: str, window: Window, only: str = "") -> list[Series]:
        """The time series of one metric of one resource, each with its status code if the filter asks for that."""
        from azure.monitor.querymetrics import MetricAggregationType

        since, until, step = window
        with asking("metrics", _ROLE):
            (answer,) = self._client.query_resources(
                resource_ids=[resource],
                metric_namespace=namespace,
                metric_names=[metric],
                timespan=(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)),
                granularity=timedelta(seconds=step),
                aggregations=[MetricAggregationType.MAXIMUM, MetricAggregationType.AVERAGE],
                filter=only or None,
                max_results=_MOST_SERIES if only else None,
            )
        return [
            (
                next((v for k, v in series.metadata_values.items() if k.lower() == "statuscode"), ""),
                [(p.timestamp.timestamp(), _highest(p.maximum, p.average)) for p in series.data],
            )
            for metric in answer.metrics
            for series in metric.timeseries
        ]


class _Gap(Exception):
    """A part of the window was not measured."""


def _why(endpoint: str, error: Exception) -> str:
    """Why metrics are not known, for a person: the role that is missing, or what else Azure said."""
    why = cut(str(error), 300) if isinstance(error, PipelineError) else type(error).__name__
    log.warning("metrics of %.80r are unknown: %s", endpoint, why)
    return why


def _highest(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _step(seconds: float) -> float:
    """The granularity of a query: five minutes for up to a day, else an hour, which keeps answers small."""
    return 300.0 if seconds <= 86_400 else 3600.0


def _gap(times: list[float], window: Window) -> str:
    """What of the window is not covered by points at these times, or nothing. Metrics arrive some minutes late."""
    since, until, step = window
    if not times:
        return "nothing was reported"
    if min(times) > since + 2 * step:
        return "nothing was reported at the beginning"
    if max(times) < until - _LATE - step:
        return "nothing was reported at the end"
    if len(times) < 0.9 * (until - since) / step - 2:
        return "too little was reported"
    return ""
