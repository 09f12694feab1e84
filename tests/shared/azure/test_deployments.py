"""What Azure ML is asked for when a deployment is made, as the SDK would send it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from shared.azure.workspace.deployments import DeploymentOperations, DeploymentSpec

# What azure-ai-ml itself warns about when it is used.
pytestmark = [
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.ChangedInMarshmallow4Warning"),
]


def _made(**changes: Any) -> Any:
    """The deployment that the SDK is handed."""
    handed = []

    def begin(deployment: Any) -> Any:
        handed.append(deployment)

    deployments = SimpleNamespace(begin_create_or_update=begin)
    client: Any = SimpleNamespace(workspace=SimpleNamespace(online_deployments=deployments))
    given = {"concurrency": 1, "timeout_seconds": 90, "start_seconds": 1200, **changes}
    model = (
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/models/m/versions/1"
    )
    spec = DeploymentSpec(
        endpoint="e-12345678", name="r1", model_id=model, instance_type="Standard_A1", instances=1, tags={}, **given
    )
    DeploymentOperations(client).create(spec)
    return handed[0]


@pytest.mark.parametrize(("concurrency", "workers"), [(1, "1"), (8, "8"), (64, "64"), (1000, "64")])
def test_the_serving_image_gets_as_many_processes_as_the_endpoint_lets_calls_through(
    concurrency: int, workers: str
) -> None:
    made = _made(concurrency=concurrency)
    assert made.request_settings.max_concurrent_requests_per_instance == concurrency
    assert made.environment_variables == {"WORKER_COUNT": workers}


def test_a_container_that_loads_is_left_alone_and_used_as_soon_as_it_answers() -> None:
    made = _made(start_seconds=1200)
    assert made.liveness_probe.initial_delay == 1200
    ready = made.readiness_probe
    assert ready.initial_delay is None or ready.initial_delay <= 10
    assert ready.failure_threshold * ready.period >= 1200
