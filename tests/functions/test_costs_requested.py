"""Costs over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions import costs_requested as costs
from shared.operations import nightly
from tests.builders import DATASET, SNAPSHOT, a_dataset
from tests.fakes import World

Make = Callable[..., Request]


def _body(answer: Response, status: int = 200) -> Any:
    assert (answer.status_code, answer.media_type) == (status, "application/json")
    return json.loads(bytes(answer.body))


def test_costs_of_all_of_one_and_of_a_month_are_told(world: World, request_of: Make) -> None:
    world.services.ledger.create(a_dataset())
    world.clock.now += 3600
    found = _body(costs.list_costs(request_of(method="GET")))
    assert [(line["name"], line["endpoint_hours"]) for line in found["costs"]] == [(DATASET, 1.0)]
    found = _body(costs.get_costs(request_of(method="GET", route={"dataset": DATASET})))
    assert [line["name"] for line in found["snapshots"]] == [SNAPSHOT]
    assert _body(costs.list_costs(request_of(method="GET", params={"month": "2025-01"})))["costs"] == []


@pytest.mark.parametrize(
    ("route", "asked", "says"),
    [
        (costs.list_costs, {"month": "May"}, "month"),
        (costs.list_costs, {"sort": "size"}, "sort: one of name, spent"),
        (costs.get_costs, {"month": "2026-13"}, "month"),
        (costs.list_nights, {"month": "x"}, "month"),
        (costs.list_nights, {"limit": "0"}, "limit: 1 to 200"),
        (costs.estimate_training, {}, "rows: a number"),
        (costs.estimate_training, {"rows": "10", "tokens_per_row": "-1"}, "tokens_per_row: a number"),
        (costs.estimate_training, {"rows": "0", "tokens_per_row": "1"}, "above 0"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    world: World, request_of: Make, route: Any, asked: dict[str, str], says: str
) -> None:
    answer = route(request_of(method="GET", route={"dataset": DATASET}, params=asked))
    assert says in _body(answer, 400)["error"]["message"]


def test_the_report_of_a_night_is_listed_and_served(world: World, request_of: Make) -> None:
    nightly.run(world.services)
    (night,) = _body(costs.list_nights(request_of(method="GET")))["nights"]
    assert _body(costs.get_night(request_of(method="GET", route={"night": night["night"]})))["summary"]
    for name in ("2026-01-01T000000", "../x", "x"):
        found = _body(costs.get_night(request_of(method="GET", route={"night": name})), 404)
        assert "/api/nights" in found["error"]["message"]


def test_what_is_not_there_is_404(world: World, request_of: Make) -> None:
    found = _body(costs.get_costs(request_of(method="GET", route={"dataset": "nobody"})), 404)
    assert "GET /api/costs" in found["error"]["message"]


def test_what_training_would_cost_is_told(world: World, request_of: Make) -> None:
    asked = {"rows": "1000", "tokens_per_row": "20.5", "epochs": "2"}
    found = _body(costs.estimate_training(request_of(method="GET", params=asked)))
    assert (found["tokens"], found["hours"], found["cost"]) == (41_000, None, None)
    assert len(found["unknown"]) == 2
