"""No name becomes part of an address, a tag or a job's input unless it can be one; and then it is sent nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.azure.clouds import cloud_at
from shared.azure.metrics import Metrics
from shared.azure.workspace import Workspace
from shared.azure.workspace.deployments import DeploymentSpec, check_deployment
from shared.azure.workspace.jobs import JobSpec, check_job
from shared.azure.workspace.names import named
from shared.errors import InvalidName

# What azure-ai-ml warns about when it is first imported.
pytestmark = pytest.mark.filterwarnings(
    "ignore::marshmallow.warnings.RemovedInMarshmallow4Warning",
    "ignore::marshmallow.warnings.ChangedInMarshmallow4Warning",
)

ODD = [
    "..", ".", "a/../b", "../a", "a/b", "/a", "a/", "a?b", "a?api-version=1", "a#b", "a%2e", "%2e%2e", "%2E%2E/a",
    "a\\b", "a b", "a\nb", "a\r\nWARNING forged", "a\x00", "\ud800", "a\udfff", "a\u2028b", "ü", "a:b", "a@b", "a;b",
    "a&b", "a'b", "", "-a", "a" * 256, "a" * 100_000, "../" * 33_000,
]  # fmt: skip
FINE = ["a", "A1", "Phi-4", "Phi-3.5-mini-instruct", "0.0.82", "a_b", "20261101120000-0123abcd-1", "a..b", "a" * 255]


def _job(**changes: Any) -> JobSpec:
    spec = JobSpec(
        name="dt-0-a-1",
        display_name="Phi-4-bs-1",
        experiment="droptune",
        component="chat_completion_pipeline:0.0.82",
        model_id="azureml://registries/azureml/models/Phi-4/versions/8",
        inputs={"num_train_epochs": 1, "learning_rate": 2e-5, "instance_type_finetune": "Standard_NC24ads_A100_v4"},
        files={"train_file_path": "azureml://datastores/droptune_frozen/paths/a-1/train.jsonl"},
        tags={"droptune.snapshot": "a-1"},
    )
    made: JobSpec = spec.but(**changes)
    return made


def _deployment(**changes: Any) -> DeploymentSpec:
    spec = DeploymentSpec(
        endpoint="a-0123abcd",
        name="r1",
        model_id="/subscriptions/s/resourceGroups/g(alt)-ü/providers/x/workspaces/w/models/m/versions/1",
        instance_type="Standard_NC24ads_A100_v4",
        instances=1,
        concurrency=1,
        timeout_seconds=90,
        tags={"droptune.snapshot": "a-1"},
    )
    made: DeploymentSpec = spec.but(**changes)
    return made


class _Nobody:
    """A credential and a transport that must not be asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


@pytest.fixture
def workspace() -> Workspace:
    nobody: Any = _Nobody()
    return Workspace(nobody, "s", "g", "w", "azureml", cloud_at("https://127.0.0.1:9"))


CALLS: dict[str, Callable[[Workspace, str], object]] = {
    "base model": lambda w, odd: w.registry.model(odd, ""),
    "base model's version": lambda w, odd: w.registry.model("Phi-4", odd or ".."),
    "component": lambda w, odd: w.registry.component(odd, ""),
    "component's version": lambda w, odd: w.registry.component("c", odd or ".."),
    "compute": lambda w, odd: w.compute.get(odd),
    "new compute": lambda w, odd: w.compute.create(odd, "size", 1, {}),
    "size of new compute": lambda w, odd: w.compute.create("c", odd, 1, {}),
    "job": lambda w, odd: w.jobs.get(odd),
    "new job": lambda w, odd: w.jobs.submit(_job(name=odd)),
    "canceled job": lambda w, odd: w.jobs.cancel(odd),
    "failed job": lambda w, odd: w.jobs.failure(odd),
    "model": lambda w, odd: w.models.get(odd, "1"),
    "model's version": lambda w, odd: w.models.get("m", odd),
    "new model": lambda w, odd: w.models.register(odd, "1", "j", {}),
    "new model's version": lambda w, odd: w.models.register("m", odd, "j", {}),
    "new model's job": lambda w, odd: w.models.register("m", "1", odd, {}),
    "model's id": lambda w, odd: w.models.id(odd, "1"),
    "endpoint": lambda w, odd: w.endpoints.get(odd),
    "new endpoint": lambda w, odd: w.endpoints.write(odd, {}, {}),
    "traffic": lambda w, odd: w.endpoints.write("e", {}, {odd: 100}),
    "removed endpoint": lambda w, odd: w.endpoints.delete(odd),
    "key": lambda w, odd: w.endpoints.key(odd),
    "deployment's id": lambda w, odd: w.deployments.id("e", odd),
    "endpoint's id": lambda w, odd: w.endpoints.id(odd),
    "deployment": lambda w, odd: w.deployments.get("e", odd),
    "deployment's endpoint": lambda w, odd: w.deployments.get(odd, "d"),
    "deployments": lambda w, odd: w.deployments.list(odd),
    "new deployment": lambda w, odd: w.deployments.create(_deployment(name=odd)),
    "removed deployment": lambda w, odd: w.deployments.delete("e", odd),
    "logs": lambda w, odd: w.deployments.logs("e", odd),
}


@pytest.mark.parametrize("call", CALLS)
def test_an_odd_name_is_sent_nowhere_and_told_without_harm(workspace: Workspace, call: str) -> None:
    for odd in ODD:
        with pytest.raises(InvalidName) as refused:
            CALLS[call](workspace, odd)
        assert str(refused.value).isprintable(), odd[:40]
        assert len(str(refused.value)) < 400, odd[:40]


@pytest.mark.parametrize("name", FINE)
def test_a_name_that_azure_gives_passes(name: str) -> None:
    assert named("thing", name, name) == f"thing {name}/{name}"


def test_what_the_app_makes_passes() -> None:
    check_job(_job())
    check_deployment(_deployment())


SURFACE = ["a\nb", "\ud800", "a\x00", "x" * 100_000, "ü"]


NO_STEPS = ("..", "a?b", "a\nb", "\ud800")
PARTS: dict[str, list[Any]] = {
    "experiment": [*ODD],
    "compute": [*ODD],
    "component": [f"c:{odd}" for odd in ODD],
    "display_name": [*SURFACE],
    "model_id": [*ODD[:5], "a?b", "azureml://registries/../models/x/versions/1", "/a?b", "/a\nb", "/" + "a" * 1000],
    "inputs": [{"a": odd} for odd in (*SURFACE, "${{parent.jobs.x}}")],
    "files": [
        *({"a": f"azureml://datastores/{odd}/paths/a/train.jsonl"} for odd in ODD),
        *({"a": f"azureml://datastores/d/paths/{odd}/train.jsonl"} for odd in NO_STEPS),
        {"a": "https://elsewhere/train.jsonl"},
    ],
    "tags": [*({"a": odd} for odd in SURFACE), *({odd: "a"} for odd in ODD)],
}


@pytest.mark.parametrize("part", PARTS)
def test_no_part_of_a_job_means_more_than_it_says(part: str) -> None:
    for odd in PARTS[part]:
        with pytest.raises(InvalidName) as refused:
            check_job(_job(**{part: odd}))
        assert str(refused.value).isprintable(), ascii(odd)[:60]
        assert len(str(refused.value)) < 400, ascii(odd)[:60]


@pytest.mark.parametrize("part", ["endpoint", "name", "instance_type", "model_id", "tags"])
def test_no_part_of_a_deployment_means_more_than_it_says(part: str) -> None:
    for odd in PARTS.get(part, ODD):
        with pytest.raises(InvalidName):
            check_deployment(_deployment(**{part: odd}))


def test_metrics_are_not_asked_about_an_odd_name(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    """They stand in an address and in a filter; what cannot be asked is not known."""
    nobody: Any = _Nobody()
    metrics = Metrics(nobody, nobody, workspace)
    for odd in ODD:
        assert "expected 1 to 255 of" in metrics.requests(odd, ["d"], 0.0, 600.0).why
        assert "expected 1 to 255 of" in metrics.compared(odd, ("c", 0.0), ("d", 0.0), 600.0).why
        assert "expected 1 to 255 of" in metrics.compared("e", (odd, 0.0), ("d", 0.0), 600.0).why
    assert "\nWARNING forged" not in caplog.text
