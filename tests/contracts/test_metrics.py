"""What idleness relies on in the metrics; the same over the fake and over the local Azure ML, through the SDK."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
from azure.identity import DefaultAzureCredential

from shared.azure.metrics import Metrics
from shared.ledger.release import CallComparison, CallStats
from tests.contracts.workspaces import AzureSide, FakeSide, Shop
from tests.local.azureml_server import AzureMl

HOUR = 3600.0


class Meter(Protocol):
    """Metrics of a served endpoint two hours old, and what only its side can do."""

    metrics: Metrics

    def now(self) -> float:
        """The present on the side's clock."""

    def asked(self, endpoint: str, times: int) -> None:
        """Counts questions, asked now."""

    def advance(self, seconds: float) -> None:
        """Moves the side's clock."""

    def broken(self) -> None:
        """Lets the next queries fail."""


class FakeMeter:
    """FakeMetrics."""

    def __init__(self, side: FakeSide) -> None:
        self.world = side.world
        fake: Any = side.world.metrics
        self.metrics: Metrics = fake

    def now(self) -> float:
        return self.world.clock()

    def asked(self, endpoint: str, times: int) -> None:
        self.world.metrics.asked[endpoint] = [self.world.clock()] * times

    def advance(self, seconds: float) -> None:
        self.world.clock.now += seconds

    def broken(self) -> None:
        self.world.metrics.rate = None


class AzureMeter:
    """shared.azure.metrics over the local Azure ML."""

    def __init__(self, side: AzureSide) -> None:
        self.server = side.server
        given: Any = type("Given", (), {"metrics_endpoint": side.server.base})
        self.metrics = Metrics(given, DefaultAzureCredential(), side.workspace)
        self.offset = 0.0
        self.advance(0)

    def now(self) -> float:
        return datetime.now(UTC).timestamp() + self.offset

    def asked(self, endpoint: str, times: int) -> None:
        self.server.control("POST", "/metrics", {"endpoint": endpoint, "deployment": "rel1", "count": times})

    def advance(self, seconds: float) -> None:
        present = self.server.control("POST", "/clock", {"advance_seconds": seconds})["now"]
        self.offset = (datetime.fromisoformat(present) - datetime.now(UTC)).total_seconds()

    def broken(self) -> None:
        self.server.control("POST", "/faults", {"path": "metrics:getBatch", "status": 500, "times": None})


@pytest.fixture
def meter(shop: Shop) -> Meter:
    """Metrics of either side."""
    return FakeMeter(shop.side) if isinstance(shop.side, FakeSide) else AzureMeter(_azure(shop))


def _azure(shop: Shop) -> AzureSide:
    assert isinstance(shop.side, AzureSide)
    return shop.side


def test_an_endpoint_that_nobody_asks_is_known_to_be_quiet_only_while_it_was_measured(shop: Shop, meter: Meter) -> None:
    endpoint = shop.served("rel1")
    made = meter.now()
    meter.advance(2 * HOUR)
    assert meter.metrics.requests(endpoint, ["rel1"], made, meter.now()).most == 0.0
    before = meter.metrics.requests(endpoint, ["rel1"], made - 3 * HOUR, meter.now())
    assert before.most is None
    assert "capacity" in before.why
    assert meter.metrics.requests(endpoint, ["other"], made, meter.now()).most is None
    meter.asked(endpoint, 3)
    meter.advance(HOUR)
    assert meter.metrics.requests(endpoint, ["rel1"], made, meter.now()).most == 3.0
    meter.broken()
    broken = meter.metrics.requests(endpoint, ["rel1"], made, meter.now())
    assert (broken.most, "could not be read" in broken.why) == (None, True)


def test_the_questions_to_two_deployments_are_told_apart_by_status_and_time(azure_shop: Shop) -> None:
    meter = AzureMeter(_azure(azure_shop))
    endpoint = azure_shop.served("rel1", "rel2")
    asked = {"rel1": {200: 40, 500: 1}, "rel2": {200: 10, 424: 3, 429: 2, 503: 1}}
    meter.advance(120 + 15 - meter.now() % 60)  # a while after it was made, and not at the turn of a minute
    began = meter.now()
    assert meter.metrics.compared(endpoint, ("rel2", began), ("rel1", began), began + 30) == CallComparison(
        source="metrics", candidate=CallStats(), live=CallStats()
    ), "no whole minute has passed"
    meter.advance(60)
    for deployment, ends in asked.items():
        for status, count in ends.items():
            question = {"endpoint": endpoint, "deployment": deployment, "status": status, "milliseconds": 1500}
            meter.server.control("POST", "/metrics", {**question, "count": count})
    meter.advance(60)
    found = meter.metrics.compared(endpoint, ("rel2", began), ("rel1", began), meter.now())
    assert found.candidate == CallStats(asked=16, failed=4, busy=2, p50_seconds=1.5, p95_seconds=1.5)
    assert found.live == CallStats(asked=41, failed=1, p50_seconds=1.5, p95_seconds=1.5)
    late = meter.metrics.compared(endpoint, ("rel2", meter.now()), ("rel1", began), meter.now() + 60)
    assert late.candidate == CallStats(), "what was asked before does not count"
    missing = meter.metrics.compared(endpoint, ("rel3", began), ("rel1", began), meter.now())
    assert (missing.candidate, missing.live) == (None, None)
    assert "the capacity of rel3 is not known" in missing.why
    meter.broken()
    broken = meter.metrics.compared(endpoint, ("rel2", began), ("rel1", began), meter.now())
    assert (broken.candidate, "could not be read" in broken.why) == (None, True)


EMPTY = {"starttime": "2026-01-01T00:00:00Z", "endtime": "2026-01-01T02:00:00Z", "interval": "PT5M", "cost": 0}


@pytest.mark.parametrize(
    ("minutes", "why"),
    [([], "nothing was reported"), (range(60, 120, 5), "at the beginning"), (range(0, 60, 5), "at the end"),
     ((0, 5, 60, 65, 110, 115), "too little")],
)  # fmt: skip
def test_an_answer_that_is_empty_or_covers_a_part_only_is_not_known(
    contract_azureml: AzureMl, azure_shop: Shop, minutes: Any, why: str
) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    data = [{"timeStamp": f"2026-01-01T{m // 60:02}:{m % 60:02}:00Z", "maximum": 0.0, "average": 0.0} for m in minutes]
    metric = {
        "id": "x", "type": "x", "name": {"value": "RequestsPerMinute"}, "unit": "Count", "displayDescription": "x",
        "timeseries": [{"metadatavalues": [], "data": data}] if data else [],
    }  # fmt: skip
    body = {"values": [{**EMPTY, "namespace": "x", "resourceregion": "local", "resourceid": "x", "value": [metric]}]}
    contract_azureml.control("POST", "/faults", {"path": "metrics:getBatch", "status": 200, "body": body})
    meter = AzureMeter(_azure(azure_shop))
    found = meter.metrics.requests("any", ["rel1"], since.timestamp(), since.timestamp() + 2 * HOUR)
    assert found.most is None
    assert why in found.why
