"""Endpoints and deployments: states, traffic rules, quota, logs, keys."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from tests.local.azureml_sdk import (
    Model,
    ask,
    create_deployment,
    create_endpoint,
    upload,
    workspace_client,
)
from tests.local.azureml_server import AzureMl


def delete_deployment(ml: Any, endpoint: str, name: str) -> None:
    """Delete and wait."""
    with redirect_stdout(io.StringIO()):
        ml.online_deployments.begin_delete(endpoint_name=endpoint, name=name).wait()


def delete_endpoint(ml: Any, name: str) -> None:
    """Delete and wait."""
    with redirect_stdout(io.StringIO()):
        ml.online_endpoints.begin_delete(name).wait()


@pytest.fixture
def endpoint(ml: Any, name: str) -> Any:
    """An endpoint without deployments, gone afterwards."""
    create_endpoint(ml, name, tags={"owner": "test"})
    yield name
    delete_endpoint(ml, name)


def test_endpoint_is_created_found_and_deleted(ml: Any, name: str) -> None:
    created = create_endpoint(ml, name, description="d", tags={"a": "b"})
    found = ml.online_endpoints.get(name)
    assert created.provisioning_state == found.provisioning_state == "Succeeded"
    assert (found.auth_mode, found.description, found.tags) == ("key", "d", {"a": "b"})
    assert found.scoring_uri.endswith(f"/endpoints/{name}/score")
    assert name in [row.name for row in ml.online_endpoints.list()]
    delete_endpoint(ml, name)
    with pytest.raises(ResourceNotFoundError):
        ml.online_endpoints.get(name)


def test_endpoint_name_taken_in_the_region_is_refused(azureml: AzureMl, ml: Any, name: str) -> None:
    azureml.control("PUT", "/settings", {"taken_endpoint_names": [name]})
    with pytest.raises(HttpResponseError, match="must be unique within the region"):
        create_endpoint(ml, name)


def test_deployment_serves_the_registered_model(azureml: AzureMl, ml: Any, endpoint: str, faq_model: str) -> None:
    deployment = create_deployment(ml, endpoint, "blue", faq_model)
    create_endpoint(ml, endpoint, {"blue": 100})
    answer = ask(azureml, ml, endpoint, "how do i reset my pasword")
    assert deployment.provisioning_state == "Succeeded"
    assert answer.json() == {"output": "Open Settings, choose Security, press Reset."}
    assert answer.headers["azureml-model-deployment"] == "blue"


def test_endpoint_is_busy_while_a_deployment_is_made(azureml: AzureMl, ml: Any, endpoint: str, faq_model: str) -> None:
    azureml.control("PUT", "/pace", {"deployment_seconds": 60})
    create_deployment(ml, endpoint, "blue", faq_model, wait=False)
    assert ml.online_endpoints.get(endpoint).provisioning_state == "Updating"
    with pytest.raises(ResourceExistsError):
        create_deployment(ml, endpoint, "green", faq_model)
    with pytest.raises(ResourceExistsError):
        create_endpoint(ml, endpoint)
    azureml.control("PUT", "/pace", {"deployment_seconds": 0})
    azureml.wait_until_idle()
    assert ml.online_deployments.get("blue", endpoint).provisioning_state == "Succeeded"
    assert ml.online_endpoints.get(endpoint).provisioning_state == "Succeeded"


@pytest.mark.parametrize(
    ("traffic", "message"),
    [
        ({"blue": 90}, "must be 0 or 100; found 90"),
        ({"blue": 50, "green": 50}, "has no deployment green"),
        ({"blue": 150}, "between 0 and 100"),
    ],
)
def test_traffic_that_cannot_be_is_refused(
    ml: Any, endpoint: str, faq_model: str, traffic: dict[str, int], message: str
) -> None:
    create_deployment(ml, endpoint, "blue", faq_model)
    with pytest.raises(HttpResponseError, match=message):
        create_endpoint(ml, endpoint, traffic)


def test_deployment_with_traffic_cannot_be_deleted(ml: Any, endpoint: str, faq_model: str) -> None:
    create_deployment(ml, endpoint, "blue", faq_model)
    create_endpoint(ml, endpoint, {"blue": 100})
    with pytest.raises(HttpResponseError, match="100% of the traffic"):
        delete_deployment(ml, endpoint, "blue")
    create_endpoint(ml, endpoint, {"blue": 0})
    delete_deployment(ml, endpoint, "blue")
    assert list(ml.online_deployments.list(endpoint)) == []


def test_writing_an_endpoint_replaces_what_is_not_repeated(ml: Any, endpoint: str) -> None:
    create_endpoint(ml, endpoint)
    assert ml.online_endpoints.get(endpoint).tags == {}


def test_quota_counts_the_reserve_for_upgrades(azureml: AzureMl, ml: Any, endpoint: str, faq_model: str) -> None:
    azureml.control("PUT", "/settings", {"quota": {"*": 47}, "sizes_without_reserve": []})
    with pytest.raises(HttpResponseError, match="Additional needed: 48") as refused:
        create_deployment(ml, endpoint, "blue", faq_model)
    assert refused.value.status_code == 400
    assert "OutOfQuota" in str(refused.value)
    azureml.control("PUT", "/settings", {"quota": {"*": 48}})
    assert create_deployment(ml, endpoint, "blue", faq_model).provisioning_state == "Succeeded"


def test_what_others_use_is_not_there_to_deploy_on(azureml: AzureMl, ml: Any, endpoint: str, faq_model: str) -> None:
    used = {"standardNCADSA100v4Family": 30}
    azureml.control("PUT", "/settings", {"quota": {"*": 48}, "cores_of_others": used})
    with pytest.raises(HttpResponseError, match="Additional needed: 24"):
        create_deployment(ml, endpoint, "blue", faq_model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instance_type": "Standard_Made_Up"}, "instance type 'Standard_Made_Up' is not supported"),
        ({"model": "azureml:nothing:1"}, "Model nothing:1 was not found"),
    ],
)
def test_deployment_of_something_unknown_is_a_bad_argument(
    ml: Any, endpoint: str, faq_model: str, change: dict[str, Any], message: str
) -> None:
    change = dict(change)
    with pytest.raises(HttpResponseError, match=message) as refused:
        create_deployment(ml, endpoint, "blue", change.pop("model", faq_model), **change)
    assert refused.value.error is not None
    assert refused.value.error.code == "BadArgument"


def test_deployment_whose_model_cannot_be_loaded_fails_and_keeps_its_logs(
    azureml: AzureMl, ml: Any, endpoint: str, name: str
) -> None:
    upload(azureml.connection_string, f"{name}/MLmodel", "flavors: {}\n", container="azureml")
    path = f"azureml://datastores/workspaceblobstore/paths/{name}/"
    model = ml.models.create_or_update(Model(name=name, version="1", path=path, type="mlflow_model"))
    with pytest.raises(HttpResponseError) as failed:
        create_deployment(ml, endpoint, "blue", model.id)
    assert failed.value.error is not None
    assert failed.value.error.code == "ResourceNotReady"
    assert ml.online_deployments.get("blue", endpoint).provisioning_state == "Failed"
    assert ml.online_endpoints.get(endpoint).provisioning_state == "Succeeded"
    assert "mlflow" in ml.online_deployments.get_logs("blue", endpoint, lines=50)


def test_logs_of_both_containers_can_be_read(ml: Any, endpoint: str, faq_model: str) -> None:
    create_deployment(ml, endpoint, "blue", faq_model)
    server = ml.online_deployments.get_logs("blue", endpoint, lines=20)
    storage = ml.online_deployments.get_logs("blue", endpoint, lines=20, container_type="storage-initializer")
    assert "mlflow.pyfunc.load_model" in server
    assert "azureml/faq-job/trained_model" in storage
    assert len(ml.online_deployments.get_logs("blue", endpoint, lines=1).splitlines()) == 1


def test_a_test_can_let_a_deployment_fail(azureml: AzureMl, ml: Any, endpoint: str, faq_model: str) -> None:
    body = {"outcome": "Failed", "code": "OutOfQuota", "message": "region is full", "log": "oh no"}
    azureml.control("POST", f"/deployments/{endpoint}/blue", body)
    with pytest.raises(HttpResponseError, match="region is full") as failed:
        create_deployment(ml, endpoint, "blue", faq_model)
    assert failed.value.error is not None
    assert failed.value.error.code == "OutOfQuota"
    assert "oh no" in ml.online_deployments.get_logs("blue", endpoint, lines=5)
    assert create_deployment(ml, endpoint, "blue", faq_model).provisioning_state == "Succeeded"


def test_crashed_container_makes_the_deployment_failed(
    azureml: AzureMl, ml: Any, endpoint: str, faq_model: str
) -> None:
    create_deployment(ml, endpoint, "blue", faq_model)
    create_endpoint(ml, endpoint, {"blue": 100})
    azureml.control("POST", f"/deployments/{endpoint}/blue", {"outcome": "crash"})
    assert ask(azureml, ml, endpoint, "anything").status_code == 424
    assert ml.online_deployments.get("blue", endpoint).provisioning_state == "Failed"


def test_deleting_an_endpoint_stops_what_is_behind_it(azureml: AzureMl, ml: Any, name: str, faq_model: str) -> None:
    create_endpoint(ml, name)
    create_deployment(ml, name, "blue", faq_model)
    log = ml.online_deployments.get_logs("blue", name, lines=20)
    port = int(log.rsplit("serving on port ", 1)[1].split()[0])
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=90).text == "Healthy"
    delete_endpoint(ml, name)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/", timeout=90)


def test_updating_a_deployment_goes_on_answering(azureml: AzureMl, ml: Any, endpoint: str, faq_model: str) -> None:
    create_deployment(ml, endpoint, "blue", faq_model)
    create_endpoint(ml, endpoint, {"blue": 100})
    azureml.control("PUT", "/pace", {"deployment_seconds": 60})
    create_deployment(ml, endpoint, "blue", faq_model, wait=False, max_concurrent=4)
    assert ask(azureml, ml, endpoint, "Where can I find my invoices?").status_code == 200
    azureml.control("PUT", "/pace", {"deployment_seconds": 0})
    azureml.wait_until_idle()
    assert ask(azureml, ml, endpoint, "Where can I find my invoices?").status_code == 200


def test_regenerated_key_replaces_the_old_one(azureml: AzureMl, ml: Any, endpoint: str, faq_model: str) -> None:
    create_deployment(ml, endpoint, "blue", faq_model)
    create_endpoint(ml, endpoint, {"blue": 100})
    old = ml.online_endpoints.get_keys(endpoint)
    ml.online_endpoints.begin_regenerate_keys(endpoint, key_type="primary").wait()
    new = ml.online_endpoints.get_keys(endpoint)
    body = {"input_data": {"input_string": [{"role": "user", "content": "hi"}]}}
    statuses = [
        azureml.send(
            "POST", f"/endpoints/{endpoint}/score", json=body, headers={"Authorization": f"Bearer {key}"}
        ).status_code
        for key in (old.primary_key, new.primary_key, new.secondary_key)
    ]
    assert statuses == [401, 200, 200]
    assert new.secondary_key == old.secondary_key


def test_sdk_invoke_works(ml: Any, endpoint: str, faq_model: str, tmp_path: Any) -> None:
    create_deployment(ml, endpoint, "blue", faq_model)
    request = tmp_path / "request.json"
    request.write_text(
        '{"input_data": {"input_string": [[{"role": "user", "content": "student discounts?"}]]}, "params": {}}'
    )
    client = workspace_client()
    answer = client.online_endpoints.invoke(endpoint, deployment_name="blue", request_file=str(request))
    assert "forty percent" in answer


def test_only_keys_are_imitated(azureml: AzureMl) -> None:
    body = {"location": "local", "properties": {"authMode": "AADToken"}}
    assert azureml.arm("PUT", "/onlineEndpoints/with-aad", body).status_code == 501
