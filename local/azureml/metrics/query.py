"""Answers a metrics query from buckets: which series, cut into which intervals, aggregated how. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from local.azureml.metrics.models import Bucket, percentile

MINUTE = 60
_CONDITION = re.compile(r"(\w+)\s+eq\s+'([^']*)'")

type Sample = Callable[[list[Bucket]], float]


def _requests(buckets: list[Bucket]) -> float:
    return float(sum(bucket.count for bucket in buckets))


def _latency(share: float | None) -> Sample:
    def sample(buckets: list[Bucket]) -> float:
        values = [value for bucket in buckets for value in bucket.latencies]
        return sum(values) / len(values) if share is None else percentile(values, share)

    return sample


@dataclass(frozen=True)
class Metric:
    """One metric of endpoints: its unit, its dimensions, its value for one minute."""

    unit: str
    dimensions: tuple[str, ...]
    sample: Sample


ENDPOINT_METRICS = {
    "RequestsPerMinute": Metric("Count", ("deployment", "statusCode", "statusCodeClass", "modelStatusCode"), _requests),
    "RequestLatency": Metric("MilliSeconds", ("deployment",), _latency(None)),
    "RequestLatency_P50": Metric("MilliSeconds", ("deployment",), _latency(0.5)),
    "RequestLatency_P90": Metric("MilliSeconds", ("deployment",), _latency(0.9)),
    "RequestLatency_P95": Metric("MilliSeconds", ("deployment",), _latency(0.95)),
    "RequestLatency_P99": Metric("MilliSeconds", ("deployment",), _latency(0.99)),
}


@dataclass(frozen=True)
class Span:
    """The time asked about, in steps."""

    start: datetime
    end: datetime
    step: timedelta

    def points(self) -> list[datetime]:
        """The beginning of every step, on whole minutes."""
        first = int(self.start.timestamp()) // MINUTE * MINUTE
        width = max(int(self.step.total_seconds()), MINUTE)
        last = self.end.timestamp()
        return [datetime.fromtimestamp(at, UTC) for at in range(first, int(last) + 1, width) if at < last]


def dimension(bucket: Bucket, name: str) -> str:
    """A bucket's value of a dimension."""
    return {
        "deployment": bucket.deployment,
        "statuscode": str(bucket.status),
        "statuscodeclass": f"{bucket.status // 100}xx",
        "modelstatuscode": str(bucket.status),
    }[name.lower()]


def conditions(text: str) -> dict[str, set[str]]:
    """`deployment eq 'a' or deployment eq 'b' and statusCode eq '*'` as names and wanted values."""
    wanted: dict[str, set[str]] = {}
    for name, value in _CONDITION.findall(text):
        wanted.setdefault(name, set()).add(value.lower())
    return wanted


def series(metric: Metric, buckets: Iterable[Bucket], wanted: dict[str, set[str]], span: Span) -> list[dict[str, Any]]:
    """One time series, or one for each combination of the dimensions in the filter."""
    groups: dict[tuple[str, ...], list[Bucket]] = {} if wanted else {(): []}
    for bucket in buckets:
        values = tuple(dimension(bucket, name) for name in wanted)
        fits = (value.lower() in ask or "*" in ask for value, ask in zip(values, wanted.values(), strict=True))
        if all(fits):
            groups.setdefault(values, []).append(bucket)
    return [
        {
            "metadatavalues": [
                {"name": {"value": name.lower(), "localizedValue": name.lower()}, "value": value}
                for name, value in zip(wanted, values, strict=True)
            ],
            "data": _data(metric, rows, span),
        }
        for values, rows in groups.items()
    ]


def _data(metric: Metric, buckets: list[Bucket], span: Span) -> list[dict[str, Any]]:
    minutes: dict[int, list[Bucket]] = {}
    for bucket in buckets:
        minutes.setdefault(bucket.minute, []).append(bucket)
    samples = {minute: metric.sample(rows) for minute, rows in minutes.items()}
    return [point(at, samples, span.step) for at in span.points()]


def point(at: datetime, samples: dict[int, float], step: timedelta) -> dict[str, Any]:
    """One data point; without samples it has no value at all, as Azure leaves it out."""
    low = int(at.timestamp())
    values = [value for minute, value in samples.items() if low <= minute < low + step.total_seconds()]
    stamp: dict[str, Any] = {"timeStamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
    if not values:
        return stamp
    return {
        **stamp,
        "average": sum(values) / len(values),
        "minimum": min(values),
        "maximum": max(values),
        "total": sum(values),
        "count": len(values),
    }
