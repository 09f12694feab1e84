"""The metrics that a job logs while it trains, read by the MLflow routes of the workspace.

A job says where its metrics are (`Job.tracking`). The registry's component logs to the pipeline's own run what the
trainer logs to its step, so the run of that name is asked and no step has to be looked for.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.azure.workspace.names import named
from shared.azure.workspace.translation import asking
from shared.errors import AzureRefused
from shared.ledger.record import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.azure.workspace.client import AzureMlClient

_ROLE = "AzureML Data Scientist on the workspace"
# MLflow's own clients ask for as many at once; whoever logs more is answered with the first of them.
_MOST_POINTS = "25000"
# A run may log whatever it likes under any name.
_MOST_METRICS, _LONGEST_NAME = 100, 80


class MetricPoint(Struct, frozen=True, kw_only=True, array_like=True):
    """One value of a metric: at which step of the training, when (UTC seconds), how much. As JSON: `[step, at, value]`.

    `step` is 0 where the trainer logs by epochs.
    """

    step: int
    at: float
    value: float


class TrackingOperations:
    """Reads metrics; nothing is logged here."""

    def __init__(self, client: AzureMlClient) -> None:
        self._client = client

    def latest(self, tracking: str, run: str) -> dict[str, MetricPoint]:
        """The newest point of every metric of a run; nothing where the run logged nothing, or is not known.

        Raises AccessDenied, ServiceBusy and AzureRefused.
        """
        found = self._read(tracking, "runs/get", run)
        data = found.get("run", {}).get("data", {}) if isinstance(found.get("run", {}), dict) else {}
        return dict(_named_points(data.get("metrics") if isinstance(data, dict) else None))

    def history(self, tracking: str, run: str, metric: str) -> list[MetricPoint]:
        """Every point of one metric of a run, oldest first. Raises what `latest` raises."""
        found = self._read(tracking, "metrics/get-history", run, metric_key=metric, max_results=_MOST_POINTS)
        points = [point for _, point in _named_points(found.get("metrics"), math.inf)]
        return sorted(points, key=lambda point: (point.at, point.step))

    def _read(self, tracking: str, route: str, run: str, **params: str) -> dict[str, Any]:
        from azure.core.exceptions import HttpResponseError

        address = f"{_base(tracking)}/api/2.0/mlflow/{route}"
        with asking(f"metrics of {named('job', run)}", _ROLE):
            try:
                return self._client.send("GET", address, run_id=run, **params)
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.NOT_FOUND:
                    return {}
                raise


def _base(tracking: str) -> str:
    """The address of the routes: a tracking address is `azureml://` and the rest of it, with an empty query.

    Raises AzureRefused for any other: the token is for nobody else.
    """
    scheme, _, rest = tracking.partition("://")
    if scheme != "azureml":
        raise AzureRefused(f"metrics are not kept in the workspace: their address begins with {scheme[:20]!r}")
    return f"https://{rest.partition('?')[0].rstrip('/')}"


def _named_points(found: Any, most: float = _MOST_METRICS) -> Iterator[tuple[str, MetricPoint]]:
    """The points of an answer that are numbers; others, such as NaN, say nothing."""
    metrics: Iterable[Any] = found if isinstance(found, list) else ()
    for count, metric in enumerate(metrics):
        if count >= most:
            return
        try:
            name, value = str(metric["key"]), float(metric["value"])
            step, at = int(metric.get("step") or 0), int(metric.get("timestamp") or 0) / 1000
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if math.isfinite(value) and name.isprintable() and len(name) <= _LONGEST_NAME:
            yield name, MetricPoint(step=step, at=at, value=value)
