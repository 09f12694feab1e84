"""What progress relies on in the metrics of a job; the same over the fake and over the local Azure ML."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from shared.azure.workspace.jobs import Job
from shared.errors import AccessDenied, AzureRefused
from tests.contracts.workspaces import AzureSide, Shop


def _trained(shop: Shop) -> Job:
    """A job that has completed."""
    spec = shop.spec()
    job = shop.workspace.jobs.submit(spec.but(inputs={**spec.inputs, "num_train_epochs": 2, "logging_steps": 1}))
    shop.side.settle()
    found = shop.workspace.jobs.get(job.name)
    assert found is not None
    assert found.status == "Completed"
    return found


def test_a_job_says_where_its_metrics_are_and_they_are_those_of_a_trainer(shop: Shop) -> None:
    job, tracking = _trained(shop), shop.workspace.tracking
    latest = tracking.latest(job.tracking, job.name)
    assert {"loss", "learning_rate", "epoch"} <= set(latest)
    history = tracking.history(job.tracking, job.name, "loss")
    assert len(history) > 1
    assert history[-1] == latest["loss"]
    assert [point.step for point in history] == sorted({point.step for point in history})
    assert history[0].value > history[-1].value
    assert history[0].at > 1_700_000_000
    assert tracking.history(job.tracking, job.name, "no_such_metric") == []
    assert tracking.latest(job.tracking, "nobodys-job") == {}


def test_mlflows_own_client_reads_the_same_and_whoever_lacks_the_role_is_told_it(
    azure_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    side: Any = azure_shop.side
    assert isinstance(side, AzureSide)
    job, ours = _trained(azure_shop), azure_shop.workspace.tracking
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", side.server.token())
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        client = MlflowClient(job.tracking.replace("azureml://", "https://").rstrip("?"))
        run = client.get_run(job.name)
        history = client.get_metric_history(job.name, "loss")
    latest = ours.latest(job.tracking, job.name)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {name: point.value for name, point in latest.items()}
    assert [metric.step for metric in history] == [p.step for p in ours.history(job.tracking, job.name, "loss")]
    side.server.control("PUT", "/settings", {"roles": {"workspace": [], "subscription": []}})
    try:
        with pytest.raises(AccessDenied, match="needs the role AzureML Data Scientist on the workspace"):
            ours.latest(job.tracking, job.name)
    finally:
        side.server.control("PUT", "/settings", {"roles": None})


def test_the_token_goes_to_the_workspace_only(azure_shop: Shop) -> None:
    with pytest.raises(AzureRefused, match="not kept in the workspace"):
        azure_shop.workspace.tracking.latest("https://elsewhere.example/mlflow", "a-job")
