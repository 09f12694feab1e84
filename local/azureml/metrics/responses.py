"""Azure Monitor's data plane: `metrics:getBatch`, the shape that azure-monitor-querymetrics reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.control.responses import body_of
from local.azureml.metrics.exceptions import BadQuery
from local.azureml.metrics.query import ENDPOINT_METRICS, MINUTE, Span, conditions, point, series
from local.azureml.wire.documents import seconds_of

ENDPOINTS = "microsoft.machinelearningservices/workspaces/onlineendpoints"
DEPLOYMENTS = f"{ENDPOINTS}/deployments"
ALL_AGGREGATIONS = ("average", "minimum", "maximum", "total", "count")


async def get_batch(request: Request) -> Response:
    """POST /subscriptions/{s}/metrics:getBatch"""
    query = request.query_params
    span = _span(request)
    namespace = query.get("metricnamespace", "").lower()
    if namespace not in (ENDPOINTS, DEPLOYMENTS):
        raise BadQuery(f"Metric namespace '{query.get('metricnamespace')}' is not known.")
    names = [name for name in query.get("metricnames", "").split(",") if name]
    resources = (await request.json()).get("resourceids") or []
    return JSONResponse({"values": [_answer(request, resource, names, span) for resource in resources]})


def _answer(request: Request, resource: str, names: list[str], span: Span) -> dict[str, Any]:
    query = request.query_params
    return {
        "starttime": span.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "endtime": span.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "interval": query.get("interval") or "PT1M",
        "cost": 0,
        "namespace": query["metricnamespace"],
        "resourceregion": cloud_of(request).addresses.location,
        "resourceid": resource,
        "value": [_metric(request, resource, name, span) for name in names],
    }


def _metric(request: Request, resource: str, name: str, span: Span) -> dict[str, Any]:
    deployment = request.query_params["metricnamespace"].lower() == DEPLOYMENTS
    unit, rows = _capacity(request, resource, name, span) if deployment else _scored(request, resource, name, span)
    aggregations = (request.query_params.get("aggregation") or "average").lower().split(",")
    for row in rows:
        row["data"] = [_asked_for(data, aggregations) for data in row["data"]]
    return {
        "id": f"{resource}/providers/Microsoft.Insights/metrics/{name}",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": name, "localizedValue": name},
        "displayDescription": name,
        "errorCode": "Success",
        "unit": unit,
        "timeseries": rows,
    }


def _asked_for(data: dict[str, Any], aggregations: list[str]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in ALL_AGGREGATIONS or key in aggregations}


def _scored(request: Request, resource: str, name: str, span: Span) -> tuple[str, list[dict[str, Any]]]:
    metric = ENDPOINT_METRICS.get(name)
    if metric is None:
        raise BadQuery(f"Metric '{name}' is not imitated; there are {', '.join(ENDPOINT_METRICS)}.")
    wanted = conditions(request.query_params.get("filter", ""))
    known = {dimension.lower() for dimension in metric.dimensions}
    if unknown := [dimension for dimension in wanted if dimension.lower() not in known]:
        raise BadQuery(f"Metric {name} has no dimension {', '.join(unknown)}.")
    endpoint = resource.rstrip("/").rsplit("/", 1)[-1]
    buckets = cloud_of(request).metrics.between(endpoint, span.start, span.end)
    return metric.unit, series(metric, buckets, wanted, span)


def _capacity(request: Request, resource: str, name: str, span: Span) -> tuple[str, list[dict[str, Any]]]:
    """Instances of a deployment, for every minute since it was made."""
    if name != "DeploymentCapacity":
        raise BadQuery(f"Metric '{name}' is not imitated; there is DeploymentCapacity.")
    parts = resource.rstrip("/").split("/")
    cloud = cloud_of(request)
    row = cloud.deployments.table.get(f"{parts[-3]}/{parts[-1]}")
    if row is None:
        return "Count", []
    made = datetime.fromisoformat(row.times.created).timestamp()
    instances = float(row.instances if row.state == "Succeeded" else 0)
    end = min(span.end.timestamp(), cloud.clock.now().timestamp())
    first = int(max(made, span.start.timestamp())) // MINUTE * MINUTE
    samples = dict.fromkeys(range(first, int(end) + 1, MINUTE), instances)
    return "Count", [{"metadatavalues": [], "data": [point(at, samples, span.step) for at in span.points()]}]


def _span(request: Request) -> Span:
    query = request.query_params
    try:
        end = _time(query["endtime"]) if "endtime" in query else cloud_of(request).clock.now()
        start = _time(query["starttime"]) if "starttime" in query else end - timedelta(hours=1)
        interval = query.get("interval") or "PT1M"
        step = end - start if interval.upper() == "FULL" else timedelta(seconds=seconds_of(interval))
    except ValueError as error:
        raise BadQuery(f"The time span cannot be read: {error}") from error
    return Span(start, end, step)


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def record(request: Request) -> Response:
    """POST /_control/metrics: count requests that were not made.

    `{"endpoint", "deployment"[, "count", "status", "milliseconds"]}`
    """
    body, cloud = await body_of(request, _Requests), cloud_of(request)
    cloud.metrics.record(body.endpoint, body.deployment, body.status, body.milliseconds, body.count)
    known = cloud.deployments.table.get(f"{body.endpoint}/{body.deployment}")
    return JSONResponse({"matching": [known.key] if known else []})


class _Requests(msgspec.Struct, forbid_unknown_fields=True):
    endpoint: str
    deployment: str
    status: int = 200
    milliseconds: float = 10
    count: int = 1
