"""What Azure Monitor says of an endpoint: the only file that imports azure-monitor-querymetrics.

A query that fails, answers nothing or only a part of the window is *unknown* (None), never zero: an endpoint is not
removed on a guess.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from azure.core.credentials import TokenCredential
    from azure.monitor.querymetrics import MetricsClient

    from shared.settings import Settings
    from shared.workspace import Workspace

log = logging.getLogger(__name__)

ENDPOINTS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
DEPLOYMENTS = f"{ENDPOINTS}/deployments"
# Points of the last minutes may still be on their way (s).
_LATE = 900.0


@dataclass(frozen=True, slots=True)
class Requests:
    """The most requests a minute of a window; None when that is not known, and then `why`."""

    most: float | None
    why: str = ""


class Metrics:
    """Endpoint metrics of the workspace's region."""

    def __init__(self, settings: Settings, credential: TokenCredential, workspace: Workspace) -> None:
        self._settings, self._credential, self._workspace = settings, credential, workspace

    @cached_property
    def _client(self) -> MetricsClient:
        from azure.monitor.querymetrics import MetricsClient

        address = self._settings.metrics_endpoint or (f"https://{self._workspace.location()}.metrics.monitor.azure.com")
        return MetricsClient(address, self._credential, retry_total=1, audience="https://metrics.monitor.azure.com")

    def requests(self, endpoint: str, deployments: Sequence[str], since: float, until: float) -> Requests:
        """How busy an endpoint was between two times, by `RequestsPerMinute`.

        Azure leaves out the value of a minute without requests. That is taken for none only if `DeploymentCapacity` of
        every deployment named was reported over the same window: then somebody measured, and nobody asked.
        """
        step = _step(until - since)
        window = (since, until, step)
        try:
            points = self._points(ENDPOINTS, self._workspace.endpoint_id(endpoint), "RequestsPerMinute", window)
            if gap := _gap([at for at, _ in points], window):
                return Requests(None, f"its requests are not known: {gap}")
            if any(value is None for _, value in points):
                if not deployments:
                    return Requests(None, "no deployment could have reported")
                for name in deployments:
                    resource = f"{self._workspace.endpoint_id(endpoint)}/deployments/{name}"
                    capacity = self._points(DEPLOYMENTS, resource, "DeploymentCapacity", window)
                    if gap := _gap([at for at, value in capacity if value is not None], window):
                        return Requests(None, f"the capacity of {name} is not known: {gap}")
        except Exception as error:  # noqa: BLE001 - whatever the reason: it is not known
            log.warning("metrics of %s are unknown: %s", endpoint, type(error).__name__)
            return Requests(None, f"metrics could not be read ({type(error).__name__})")
        return Requests(max(value or 0.0 for _, value in points))

    def _points(
        self, namespace: str, resource: str, metric: str, window: tuple[float, float, float]
    ) -> list[tuple[float, float | None]]:
        """Time and highest value of every point of one metric of one resource."""
        from azure.monitor.querymetrics import MetricAggregationType

        since, until, step = window
        (answer,) = self._client.query_resources(
            resource_ids=[resource],
            metric_namespace=namespace,
            metric_names=[metric],
            timespan=(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)),
            granularity=timedelta(seconds=step),
            aggregations=[MetricAggregationType.MAXIMUM, MetricAggregationType.AVERAGE],
        )
        found = [p for metric in answer.metrics for series in metric.timeseries for p in series.data]
        return [(p.timestamp.timestamp(), _highest(p.maximum, p.average)) for p in found]


def _highest(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _step(seconds: float) -> float:
    """The granularity of a query: five minutes for up to a day, else an hour, which keeps answers small."""
    return 300.0 if seconds <= 86_400 else 3600.0


def _gap(times: list[float], window: tuple[float, float, float]) -> str:
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
