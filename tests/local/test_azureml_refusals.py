"""What a job is only told once it runs: an import without room, a model of another kind; and bounds of the service."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential

from tests.local.azureml_sdk import Input, ManagedOnlineEndpoint, MLClient, chat_job, submit
from tests.local.azureml_server import AzureMl


def _ends(azureml: AzureMl, ml: Any, job: Any) -> tuple[str, str]:
    """The status of a job in the end, and its error."""
    submit(ml, job)
    azureml.wait_until_idle()
    path = f"/history/v1.0{azureml.workspace_path}/runs/{job.name}/details"
    details = azureml.send("GET", path, headers={"Authorization": f"Bearer {azureml.token()}"}).json()
    return ml.jobs.get(job.name).status, str(details.get("error"))


@pytest.mark.parametrize(("size", "status"), [("Standard_E4s_v3", "Failed"), ("Standard_E8s_v3", "Completed")])
def test_the_import_needs_a_disk_that_holds_the_model_twice(
    azureml: AzureMl, ml: Any, registry: Any, name: str, faq_files: dict[str, str], size: str, status: str
) -> None:
    azureml.control("PUT", f"/registry/models/{name}", {"version": "1", "gigabytes": 40})
    path = f"azureml://registries/azureml/models/{name}/versions/1"
    model = Input(type="mlflow_model", path=path)
    job = chat_job(registry, name, faq_files, mlflow_model_path=model, instance_type_model_import=size)
    ended, error = _ends(azureml, ml, job)
    assert ended == status
    assert ("No space left on device" in error) == (status == "Failed")


@pytest.mark.parametrize(
    ("published", "message"),
    [
        ({"kind": "custom_model"}, "connect the model to pytorch_model_path"),
        ({"fine_tuning_tasks": ["text-generation"]}, "does not support the task ChatCompletion"),
    ],
)
def test_a_model_that_is_not_for_this_is_refused_by_the_step_that_meets_it(
    azureml: AzureMl,
    ml: Any,
    registry: Any,
    name: str,
    faq_files: dict[str, str],
    published: dict[str, Any],
    message: str,
) -> None:
    azureml.control("PUT", f"/registry/models/{name}", {"version": "1", **published})
    model = Input(type="mlflow_model", path=f"azureml://registries/azureml/models/{name}/versions/1")
    status, error = _ends(azureml, ml, chat_job(registry, name, faq_files, mlflow_model_path=model))
    assert status == "Failed"
    assert message in error


def test_a_deployment_has_fifty_instances_at_most(azureml: AzureMl, ml: Any, name: str) -> None:
    ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode="key")).result()
    body = {
        "location": "local",
        "sku": {"name": "Default", "capacity": 51},
        "properties": {"endpointComputeType": "Managed", "instanceType": "Standard_DS3_v2", "model": "x"},
    }
    answer = azureml.arm("PUT", f"/onlineEndpoints/{name}/deployments/blue", body)
    assert (answer.status_code, "at most 50 instances" in answer.text) == (400, True)
    ml.online_endpoints.begin_delete(name).wait()


def test_another_registry_has_models_and_no_components(azureml: AzureMl, name: str) -> None:
    azureml.control("PUT", f"/registry/models/{name}", {"version": "1", "registry": "azureml-meta"})
    meta = MLClient(DefaultAzureCredential(), registry_name="azureml-meta")
    assert meta.models.get(name, label="latest").id == f"azureml://registries/azureml-meta/models/{name}/versions/1"
    with pytest.raises(HttpResponseError):
        meta.components.get("chat_completion_pipeline", version="0.0.82")
