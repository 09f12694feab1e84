"""What Azure Monitor says of an endpoint: the only file that imports azure-monitor-querymetrics.

Anything but a complete answer is *unknown* (None), never zero: an endpoint is not removed on a guess.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.monitor.querymetrics import MetricsClient

    from shared.settings import Settings
    from shared.workspace import Workspace

log = logging.getLogger(__name__)

NAMESPACE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
_STEP = timedelta(minutes=5)


class Metrics:
    """Endpoint metrics of the workspace's region."""

    def __init__(self, settings: Settings, credential: TokenCredential, workspace: Workspace) -> None:
        self._settings, self._credential, self._workspace = settings, credential, workspace

    @cached_property
    def _client(self) -> MetricsClient:
        from azure.monitor.querymetrics import MetricsClient

        address = self._settings.metrics_endpoint or (f"https://{self._workspace.location()}.metrics.monitor.azure.com")
        return MetricsClient(address, self._credential, retry_total=1, audience="https://metrics.monitor.azure.com")

    def requests(self, endpoint: str, since: float, until: float) -> float | None:
        """The highest `RequestsPerMinute` of an endpoint between two times; None when that is not known.

        A point without a value counts as no request only if the answer covers the window at all.
        """
        from azure.monitor.querymetrics import MetricAggregationType

        window = (datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC))
        try:
            (answer,) = self._client.query_resources(
                resource_ids=[self._workspace.endpoint_id(endpoint)],
                metric_namespace=NAMESPACE,
                metric_names=["RequestsPerMinute"],
                timespan=window,
                granularity=_STEP,
                aggregations=[MetricAggregationType.MAXIMUM, MetricAggregationType.AVERAGE],
            )
        except Exception as error:  # noqa: BLE001 - whatever the reason: it is not known
            log.warning("metrics of %s are unknown: %s", endpoint, type(error).__name__)
            return None
        points = [p for metric in answer.metrics for series in metric.timeseries for p in series.data]
        wanted = (until - since) / _STEP.total_seconds()
        if not points or len(points) < wanted * 0.9 - 2:
            return None
        return max(max(p.maximum or 0.0, p.average or 0.0) for p in points)
