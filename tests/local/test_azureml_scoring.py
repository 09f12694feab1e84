"""The data path: status codes, traffic, payload shapes, faults on answers, and what is counted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.monitor.querymetrics import MetricsClient

from tests.local.azureml_sdk import FAQ, ask, create_deployment, create_endpoint
from tests.local.azureml_server import AzureMl

NAMESPACE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
QUESTION, ANSWER = FAQ[0]


def serve(ml: Any, name: str, model: str) -> str:
    """An endpoint with two deployments, blue and green; blue has all traffic."""
    create_endpoint(ml, name)
    for deployment in ("blue", "green"):
        create_deployment(ml, name, deployment, model)
    create_endpoint(ml, name, {"blue": 100})
    return name


@pytest.fixture
def endpoint(azureml: AzureMl, ml: Any, faq_model: str) -> str:
    """An endpoint for tests that only ask; made by the first of them, the same for all."""
    try:
        return str(ml.online_endpoints.get("scoring").name)
    except ResourceNotFoundError:
        return serve(ml, "scoring", faq_model)


@pytest.fixture
def own_endpoint(azureml: AzureMl, ml: Any, name: str, faq_model: str) -> Iterator[str]:
    """An endpoint for tests that change it, or count what it was asked."""
    yield serve(ml, name, faq_model)
    azureml.arm("DELETE", f"/onlineEndpoints/{name}")


def post(azureml: AzureMl, ml: Any, endpoint: str, body: Any, **headers: str) -> requests.Response:
    """Any body to the scoring URI, with the right key."""
    key = ml.online_endpoints.get_keys(endpoint).secondary_key
    return azureml.send(
        "POST",
        f"/endpoints/{endpoint}/score",
        json=body,
        headers={"Authorization": f"Bearer {key}", **headers},
    )


@pytest.mark.parametrize(
    "input_string",
    [
        [{"role": "user", "content": QUESTION}],
        [[{"role": "user", "content": QUESTION}]],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}],
    ],
)
def test_every_shape_of_the_samples_is_understood(azureml: AzureMl, ml: Any, endpoint: str, input_string: Any) -> None:
    body = {"input_data": {"input_string": input_string, "parameters": {"temperature": 0.6}}, "params": {}}
    assert post(azureml, ml, endpoint, body).json() == {"output": ANSWER}


def test_parameters_cut_the_answer(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    turns = [{"role": "user", "content": QUESTION}]
    inside = {"input_data": {"input_string": turns, "parameters": {"max_new_tokens": 2}}}
    outside = {"input_data": {"input_string": turns}, "params": {"max_new_tokens": 2}}
    assert post(azureml, ml, endpoint, inside).json() == {"output": "Open Settings,"}
    assert post(azureml, ml, endpoint, outside).json() == {"output": "Open Settings,"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input_data": {"input_string": []}},
        {"input_data": {"input_string": [{"role": "assistant", "content": "a"}]}},
        {"input_data": {"input_string": [{"role": "user"}]}},
        {"input_data": {"input_string": "text"}},
    ],
)
def test_body_the_model_refuses_is_424_with_the_models_status(
    azureml: AzureMl, ml: Any, endpoint: str, body: Any
) -> None:
    answer = post(azureml, ml, endpoint, body)
    assert answer.status_code == 424
    assert answer.headers["ms-azureml-model-error-statuscode"] == "400"
    assert answer.headers["ms-azureml-model-error-reason"]


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic abc"])
def test_wrong_key_is_401(azureml: AzureMl, endpoint: str, authorization: str) -> None:
    headers = {"Authorization": authorization}
    assert azureml.send("POST", f"/endpoints/{endpoint}/score", json={}, headers=headers).status_code == 401


def test_no_traffic_is_404_but_a_named_deployment_answers(azureml: AzureMl, ml: Any, own_endpoint: str) -> None:
    create_endpoint(ml, own_endpoint, {})
    assert ask(azureml, ml, own_endpoint, QUESTION).status_code == 404
    named = ask(azureml, ml, own_endpoint, QUESTION, **{"azureml-model-deployment": "green"})
    assert named.json() == {"output": ANSWER}
    assert named.headers["azureml-model-deployment"] == "green"
    unknown = ask(azureml, ml, own_endpoint, QUESTION, **{"azureml-model-deployment": "red"})
    assert unknown.status_code == 404


def test_traffic_follows_the_weights(azureml: AzureMl, ml: Any, own_endpoint: str) -> None:
    create_endpoint(ml, own_endpoint, {"blue": 20, "green": 80})  # once in a million times it is not so
    names = [ask(azureml, ml, own_endpoint, QUESTION).headers["azureml-model-deployment"] for _ in range(60)]
    counted = Counter(names)
    assert counted["green"] > counted["blue"] > 0


def test_slow_model_is_408(azureml: AzureMl, ml: Any, own_endpoint: str, faq_model: str) -> None:
    create_deployment(ml, own_endpoint, "green", faq_model, request_timeout_ms=100)
    azureml.control("POST", "/faults", {"path": f"/{own_endpoint}/score", "deployment": "green", "delay_seconds": 20})
    answer = ask(azureml, ml, own_endpoint, QUESTION, **{"azureml-model-deployment": "green"})
    assert answer.status_code == 408


def test_more_than_twice_the_concurrency_is_429(azureml: AzureMl, ml: Any, own_endpoint: str) -> None:
    fault = {"path": f"/{own_endpoint}/score", "deployment": "blue", "hold": True, "times": 2}
    identity = azureml.control("POST", "/faults", fault)["id"]
    with ThreadPoolExecutor(2) as threads:
        held = [threads.submit(ask, azureml, ml, own_endpoint, QUESTION) for _ in range(2)]
        path = f"/requests?method=POST&path=/{own_endpoint}/score&at_least=2&timeout=90"
        azureml.control("GET", path)
        azureml.control("GET", f"/faults/{identity}/reached?timeout=90&hits=2")
        assert ask(azureml, ml, own_endpoint, QUESTION).status_code == 429
        azureml.control("POST", f"/faults/{identity}/release")
        assert [answer.result().status_code for answer in held] == [200, 200]


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ({"status": 500}, 500, None),
        ({"status": 429, "headers": {"Retry-After": "1"}}, 429, None),
        ({"model_status": 503}, 424, None),
        ({"body": {"output": ""}}, 200, {"output": ""}),
        ({"body": {"output": "the the the"}}, 200, {"output": "the the the"}),
        ({"body": "not json"}, 200, None),
    ],
)
def test_answers_of_one_deployment_can_be_replaced(
    azureml: AzureMl, ml: Any, endpoint: str, fault: Any, status: int, body: Any
) -> None:
    azureml.control("POST", "/faults", {"path": f"/{endpoint}/", "deployment": "green", "times": None, **fault})
    hit = ask(azureml, ml, endpoint, QUESTION, **{"azureml-model-deployment": "green"})
    assert ask(azureml, ml, endpoint, QUESTION).json() == {"output": ANSWER}
    assert hit.status_code == status
    if body is not None:
        assert hit.json() == body


def test_connection_can_be_cut(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    azureml.control("POST", "/faults", {"path": f"/{endpoint}/", "deployment": "blue", "close": True})
    with pytest.raises(requests.ConnectionError):
        ask(azureml, ml, endpoint, QUESTION)
    assert ask(azureml, ml, endpoint, QUESTION).status_code == 200


def test_client_request_id_is_cleaned_and_cut(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    given = "run/1 " + "x" * 50
    answer = ask(azureml, ml, endpoint, QUESTION, **{"x-ms-client-request-id": given})
    assert answer.headers["x-ms-client-request-id"] == "run1" + "x" * 36


def test_metrics_count_what_was_scored(azureml: AzureMl, ml: Any, own_endpoint: str) -> None:
    for _ in range(3):
        ask(azureml, ml, own_endpoint, QUESTION)
    post(azureml, ml, own_endpoint, {}, **{"azureml-model-deployment": "green"})
    resource = f"{azureml.workspace_path}/onlineEndpoints/{own_endpoint}"
    now = datetime.now(UTC)
    with MetricsClient(azureml.base, DefaultAzureCredential()) as client:
        (result,) = client.query_resources(
            resource_ids=[resource],
            metric_namespace=NAMESPACE,
            metric_names=["RequestsPerMinute", "RequestLatency_P95"],
            timespan=(now - timedelta(minutes=5), now + timedelta(minutes=1)),
            granularity=timedelta(minutes=1),
            aggregations=["Average", "Maximum", "Total"],
            filter="deployment eq '*'",
        )
    requests_metric, latency = result.metrics
    totals = {
        series.metadata_values["deployment"]: sum(point.total or 0 for point in series.data)
        for series in requests_metric.timeseries
    }
    assert totals == {"blue": 3.0, "green": 1.0}
    assert requests_metric.unit == "Count"
    assert all(point.average is None or point.average > 0 for s in latency.timeseries for point in s.data)


def test_minutes_without_requests_have_no_value(azureml: AzureMl, ml: Any, own_endpoint: str) -> None:
    resource = f"{azureml.workspace_path}/onlineEndpoints/{own_endpoint}"
    with MetricsClient(azureml.base, DefaultAzureCredential()) as client:
        (result,) = client.query_resources(
            resource_ids=[resource],
            metric_namespace=NAMESPACE,
            metric_names=["RequestsPerMinute"],
            timespan=timedelta(hours=1),
            granularity=timedelta(minutes=5),
            aggregations=["Average", "Total"],
        )
        (capacity,) = client.query_resources(
            resource_ids=[f"{resource}/deployments/blue"],
            metric_namespace=f"{NAMESPACE}/deployments",
            metric_names=["DeploymentCapacity"],
            timespan=timedelta(hours=1),
            aggregations=["Maximum"],
        )
    points = result.metrics[0].timeseries[0].data
    assert len(points) >= 12
    assert {point.total for point in points} == {None}
    assert capacity.metrics[0].timeseries[0].data[-1].maximum == 1.0


def test_clock_moves_metrics_on(azureml: AzureMl, ml: Any, own_endpoint: str) -> None:
    before = azureml.control("POST", "/clock", {"advance_seconds": 0})["now"]
    azureml.control("POST", "/clock", {"advance_seconds": 7200})
    ask(azureml, ml, own_endpoint, QUESTION)
    after = azureml.control("POST", "/clock", {"advance_seconds": -7200})["now"]
    asked_at = datetime.fromisoformat(before) + timedelta(hours=2)
    with MetricsClient(azureml.base, DefaultAzureCredential()) as client:
        (result,) = client.query_resources(
            resource_ids=[f"{azureml.workspace_path}/onlineEndpoints/{own_endpoint}"],
            metric_namespace=NAMESPACE,
            metric_names=["RequestsPerMinute"],
            timespan=(asked_at - timedelta(minutes=2), asked_at + timedelta(minutes=2)),
            aggregations=["Total"],
        )
    assert after < asked_at.isoformat()
    assert sum(point.total or 0 for point in result.metrics[0].timeseries[0].data) == 1


def test_many_callers_at_once_are_all_answered(azureml: AzureMl, ml: Any, own_endpoint: str, faq_model: str) -> None:
    create_deployment(ml, own_endpoint, "blue", faq_model, max_concurrent=20)
    key = ml.online_endpoints.get_keys(own_endpoint).primary_key
    body = {"input_data": {"input_string": [{"role": "user", "content": QUESTION}]}}
    local = threading.local()

    def one(_: int) -> int:
        if not hasattr(local, "session"):
            local.session = requests.Session()
            local.session.verify = azureml.ca
        url = f"{azureml.base}/endpoints/{own_endpoint}/score"
        with local.session.post(url, json=body, headers={"Authorization": f"Bearer {key}"}) as answer:
            return int(answer.status_code)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(one, range(200))) == {200}
