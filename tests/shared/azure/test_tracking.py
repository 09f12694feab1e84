"""What the MLflow routes answer is taken as far as it makes sense."""

from __future__ import annotations

from typing import Any

import pytest

from shared.azure.workspace.tracking import MetricPoint, TrackingOperations

TRACKING = "azureml://eastus.api.azureml.ms/mlflow/v1.0/subscriptions/s/workspaces/w?"


class OneAnswer:
    """A client that answers everything alike, and knows what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, list[tuple[str, dict[str, str]]]()

    def send(self, method: str, address: str, **params: str) -> Any:
        self.asked.append((address, params))
        return self.answer


def _operations(answer: Any) -> tuple[TrackingOperations, OneAnswer]:
    client: Any = OneAnswer(answer)
    return TrackingOperations(client), client


def _run(*metrics: Any) -> Any:
    return {"run": {"data": {"metrics": list(metrics)}}}


def test_the_address_is_the_one_that_the_job_names_without_its_empty_query() -> None:
    operations, client = _operations(_run())
    operations.latest(TRACKING, "a-job")
    operations.history(TRACKING, "a-job", "loss")
    base = "https://eastus.api.azureml.ms/mlflow/v1.0/subscriptions/s/workspaces/w/api/2.0/mlflow"
    assert [address for address, _ in client.asked] == [f"{base}/runs/get", f"{base}/metrics/get-history"]
    assert client.asked[0][1] == {"run_id": "a-job"}
    assert (client.asked[1][1]["metric_key"], client.asked[1][1]["run_id"]) == ("loss", "a-job")


@pytest.mark.parametrize(
    "metric",
    [
        {"key": "loss", "value": "NaN", "timestamp": 1, "step": 1},
        {"key": "loss", "value": float("inf"), "timestamp": 1, "step": 1},
        {"key": "loss", "value": None, "timestamp": 1, "step": 1},
        {"key": "loss", "timestamp": 1},
        {"key": "a\nb", "value": 1.0},
        {"key": "x" * 500, "value": 1.0},
        "loss",
        None,
    ],
)
def test_what_is_no_number_under_a_name_is_left_out(metric: Any) -> None:
    good = {"key": "epoch", "value": "0.5", "timestamp": "1700000000500", "step": "7"}
    operations, _ = _operations(_run(metric, good))
    assert operations.latest(TRACKING, "a-job") == {"epoch": MetricPoint(step=7, at=1700000000.5, value=0.5)}


@pytest.mark.parametrize("answer", [{}, {"run": None}, {"run": {"data": []}}, {"metrics": {}}, {"run": {"data": {}}}])
def test_an_answer_of_another_shape_has_no_metrics(answer: Any) -> None:
    operations, _ = _operations(answer)
    assert operations.latest(TRACKING, "a-job") == {}
    assert operations.history(TRACKING, "a-job", "loss") == []


def test_a_run_that_logs_thousands_of_metrics_is_read_in_part() -> None:
    operations, _ = _operations(_run(*({"key": f"m{n}", "value": n} for n in range(5000))))
    assert len(operations.latest(TRACKING, "a-job")) == 100
