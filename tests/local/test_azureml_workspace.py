"""Signing in, the workspace, the registry: what a client finds before it does anything."""

from __future__ import annotations

import ast
import json
import time
from typing import Any

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from tests.local.azureml_sdk import AmlCompute, Data, Model, workspace_client
from tests.local.azureml_server import SUBSCRIPTION, AzureMl


def test_a_client_with_nothing_but_ids_finds_the_workspace(ml: Any) -> None:
    workspace = ml.workspaces.get("ws")
    assert (workspace.name, workspace.location) == ("ws", "local")


def test_both_datastores_are_listed_and_the_first_is_the_default(ml: Any) -> None:
    assert [store.name for store in ml.datastores.list()] == ["workspaceblobstore", "droptune_frozen"]
    assert ml.datastores.get_default().container_name == "azureml"
    assert ml.datastores.get("droptune_frozen").container_name == "frozen"


def test_latest_label_finds_the_newest_model_with_what_it_says_of_itself(azureml: AzureMl, registry: Any) -> None:
    """As the registry has been since 2026: one tag, and a block of facts whose values are text."""
    model = registry.models.get("Phi-4", label="latest")
    assert model.version == "8"
    assert json.loads(model.tags.pop("model_specific_defaults"))["apply_lora"] == "true"
    assert model.tags == {}
    facts = raw_model(azureml, "Phi-4", "8")["system_metadata"]  # the SDK does not show it
    assert all(isinstance(value, str) for value in facts.values())
    assert "Standard_NC24ads_A100_v4" in json.loads(facts["supportedComputes"])["finetuneComputes"]
    assert json.loads(facts["SKU"])["finetuneMinSkuSpec"] == "24|1|220|64"
    assert json.loads(facts["tasks"])["fineTuningTasks"] == ["chat-completion"]
    assert (facts["textContextWindow"], facts["maxOutputTokens"]) == ("16384", "16384")


def test_a_second_model_keeps_the_form_from_before(azureml: AzureMl, registry: Any) -> None:
    model = registry.models.get("Phi-3-mini-4k-instruct", label="latest")
    assert "system_metadata" not in raw_model(azureml, "Phi-3-mini-4k-instruct", "15")
    assert model.properties["finetuning-tasks"] == "chat-completion"
    assert "finetuneRetirementDate" in model.tags["deprecation"]
    assert "Standard_NC24ads_A100_v4" in ast.literal_eval(model.tags["finetune_compute_allow_list"])
    assert "Standard_NC24ads_A100_v4" in ast.literal_eval(model.tags["inference_compute_allow_list"])
    assert ast.literal_eval(model.tags["model_specific_defaults"])["apply_lora"] == "true"


@pytest.mark.parametrize(
    ("model", "version", "archived"), [("Phi-4", "8", False), ("Phi-3-mini-4k-instruct", "15", True)]
)
def test_the_raw_answer_says_whether_a_model_is_archived(
    azureml: AzureMl, registry: Any, model: str, version: str, archived: bool
) -> None:
    assert registry.models.get(model, version=version).version == version
    assert raw_model(azureml, model, version)["isArchived"] is archived


def raw_model(azureml: AzureMl, model: str, version: str) -> dict[str, Any]:
    """What the registry answers about a model, as it comes."""
    path = f"/mferp/managementfrontend/subscriptions/{SUBSCRIPTION}/resourceGroups/azureml-registry/providers"
    path += f"/Microsoft.MachineLearningServices/registries/azureml/models/{model}/versions/{version}"
    answer = azureml.send("GET", path, headers={"Authorization": f"Bearer {azureml.token()}"})
    properties: dict[str, Any] = answer.json()["properties"]
    return properties


def test_missing_model_is_told_apart_by_its_status(registry: Any) -> None:
    with pytest.raises(ResourceNotFoundError):
        registry.models.get("Phi-4", version="99")
    with pytest.raises(HttpResponseError) as missing:
        registry.models.get("No-such-model", label="latest")
    assert missing.value.status_code == 404


def test_a_test_can_publish_a_newer_model(azureml: AzureMl, registry: Any) -> None:
    azureml.control("PUT", "/registry/models/Phi-new", {"version": "3", "context_window": 2048})
    assert registry.models.get("Phi-new", label="latest").version == "3"
    assert raw_model(azureml, "Phi-new", "3")["system_metadata"]["textContextWindow"] == "2048"
    azureml.control("PUT", "/registry/models/Phi-new", {"version": "4", "form": "tags"})
    assert registry.models.get("Phi-new", label="latest").tags["textContextWindow"] == "2048"


@pytest.mark.parametrize("by", [{"label": "latest"}, {"version": "0.0.82"}])
def test_component_is_found_by_label_and_by_version(registry: Any, by: dict[str, str]) -> None:
    component = registry.components.get("chat_completion_pipeline", **by)
    assert component.version == "0.0.82"
    assert component.inputs["apply_lora"].default == "false"
    assert "mlflow_model_folder" in component.outputs


def test_missing_component_version_is_not_found(registry: Any) -> None:
    with pytest.raises(ResourceNotFoundError):
        registry.components.get("chat_completion_pipeline", version="9.9.9")


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a token that fits, with changes."""
    return {"aud": "set by the test", "exp": int(time.time()) + 60, **changes}


@pytest.mark.parametrize(
    "change", [{"aud": "https://graph.microsoft.com"}, {"exp": int(time.time()) - 60}, {"exp": None}]
)
def test_token_for_something_else_or_too_old_is_refused(azureml: AzureMl, change: dict[str, Any]) -> None:
    good = claims(aud=azureml.base)
    bad = {key: value for key, value in {**good, **change}.items() if value is not None}
    answers = [
        azureml.send(
            "GET",
            azureml.workspace_path,
            headers={"Authorization": f"Bearer {jwt.encode(token, 'k' * 32, algorithm='HS256')}"},
        ).status_code
        for token in (good, bad)
    ]
    assert answers == [200, 401]


def test_request_without_a_token_is_refused(azureml: AzureMl) -> None:
    assert azureml.send("GET", azureml.workspace_path).status_code == 401


def test_identity_endpoint_gives_tokens_only_to_who_knows_the_header(azureml: AzureMl) -> None:
    url = f"http://127.0.0.1:{azureml.identity_port}/msi/token?resource=https://a.b/&api-version=2019-08-01"
    refused = requests.get(url, headers={"X-IDENTITY-HEADER": "guess"}, timeout=90)
    granted = requests.get(url, headers={"X-IDENTITY-HEADER": "known-to-the-app-only"}, timeout=90).json()
    decoded = jwt.decode(granted["access_token"], options={"verify_signature": False})
    assert refused.status_code == 401
    assert decoded["aud"] == "https://a.b"
    assert int(granted["expires_on"]) == decoded["exp"]


def test_lost_identity_is_an_authentication_error(azureml: AzureMl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "guess")
    with pytest.raises(ClientAuthenticationError):
        workspace_client().workspaces.get("ws")


def test_another_workspace_is_not_found(azureml: AzureMl) -> None:
    answer = azureml.send(
        "GET",
        azureml.workspace_path.replace("workspaces/ws", "workspaces/other"),
        headers={"Authorization": f"Bearer {azureml.token()}"},
    )
    assert answer.status_code == 404


def test_what_is_not_imitated_answers_501_with_its_path(azureml: AzureMl) -> None:
    answer = azureml.arm("GET", "/batchEndpoints")
    assert answer.status_code == 501
    assert f"GET {azureml.workspace_path}/batchEndpoints" in answer.json()["error"]["message"]


def test_paths_ignore_case(azureml: AzureMl) -> None:
    path = azureml.workspace_path.replace("resourceGroups", "resourcegroups").replace("Microsoft", "microsoft")
    assert azureml.send("GET", path, headers={"Authorization": f"Bearer {azureml.token()}"}).ok


# -- compute -------------------------------------------------------------------------------------


def test_cluster_is_created_and_found_again(ml: Any, name: str) -> None:
    with pytest.raises(ResourceNotFoundError):
        ml.compute.get(name)
    created = ml.compute.begin_create_or_update(
        AmlCompute(name=name, size="Standard_NC24ads_A100_v4", max_instances=2)
    ).result()
    assert created.provisioning_state == "Succeeded"
    assert ml.compute.get(name).size == "Standard_NC24ads_A100_v4"
    ml.compute.begin_delete(name).wait()
    with pytest.raises(ResourceNotFoundError):
        ml.compute.get(name)


def test_cluster_of_an_unknown_size_is_refused(ml: Any, name: str) -> None:
    with pytest.raises(HttpResponseError, match="'Standard_Made_Up' is not supported") as refused:
        ml.compute.begin_create_or_update(AmlCompute(name=name, size="Standard_Made_Up"))
    assert refused.value.error is not None
    assert refused.value.error.code == "BadArgument"


def test_a_test_can_let_a_cluster_fail(azureml: AzureMl, ml: Any, name: str) -> None:
    azureml.control("POST", f"/computes/{name}", {"message": "no cores"})
    poller = ml.compute.begin_create_or_update(AmlCompute(name=name, size="Standard_DS3_v2"))
    with pytest.raises(HttpResponseError, match="no cores"):
        poller.result()
    cluster = ml.compute.get(name)
    assert cluster.provisioning_state == "Failed"
    assert cluster.provisioning_errors == "ClusterCoreQuotaReached"


def test_sizes_tell_their_gpus(ml: Any) -> None:
    sizes = {size.name: size.gpus for size in ml.compute.list_sizes()}
    assert sizes["Standard_NC24ads_A100_v4"] == 1
    assert sizes["Standard_ND96isr_H100_v5"] == 8


def test_usage_counts_the_cores_of_clusters(ml: Any, name: str) -> None:
    family = "standardNDSv2Family"
    ml.compute.begin_create_or_update(AmlCompute(name=name, size="Standard_ND40rs_v2", max_instances=3)).result()
    rows = [row for row in ml.compute.list_usage() if row.name["value"] == family]
    ml.compute.begin_delete(name).wait()
    usage = {row.type.split("/", 1)[1]: (row.currentValue, row.limit) for row in rows}
    assert usage == {
        "vmFamily/dedicatedCores/usages": (120, 1000),
        "vmFamily/lowPriorityCores/usages": (0, 0),
        "workspaces/dedicatedCores/usages": (120, -1),
    }


# -- data and models -----------------------------------------------------------------------------


def test_data_asset_keeps_its_place_and_counts_its_versions(ml: Any, name: str) -> None:
    uri = "azureml://datastores/droptune_frozen/paths/faq/train.jsonl"
    for expected in ("1", "2"):
        assert ml.data.create_or_update(Data(name=name, path=uri, type="uri_file")).version == expected
    assert ml.data.get(name, label="latest").version == "2"
    assert ml.data.get(name, version="1").path == uri


def test_data_version_cannot_point_elsewhere_later(ml: Any, name: str) -> None:
    base = "azureml://datastores/droptune_frozen/paths/"
    ml.data.create_or_update(Data(name=name, version="1", path=base + "a.jsonl", type="uri_file"))
    with pytest.raises(HttpResponseError) as refused:
        ml.data.create_or_update(Data(name=name, version="1", path=base + "b.jsonl", type="uri_file"))
    assert refused.value.status_code == 409


def test_model_version_can_change_tags_but_not_its_path(ml: Any, faq_model: str, name: str) -> None:
    path = "azureml://jobs/faq-job/outputs/trained_model"
    first = Model(name=name, version="1", path=path, type="mlflow_model", tags={"a": "1"})
    ml.models.create_or_update(first)
    first.tags = {"a": "2"}
    ml.models.create_or_update(first)
    elsewhere = Model(name=name, version="1", path=path.replace("faq-job", "other"), type="mlflow_model")
    with pytest.raises(HttpResponseError) as refused:
        ml.models.create_or_update(elsewhere)
    assert refused.value.status_code == 409
    assert ml.models.get(name, version="1").tags == {"a": "2"}


def test_model_answers_with_the_place_in_the_datastore(ml: Any, faq_model: str) -> None:
    model = ml.models.get("faq", version="1")
    assert model.path.endswith("/datastores/workspaceblobstore/paths/azureml/faq-job/trained_model/")
    assert model.job_name == "faq-job"
    assert "python_function" in model.flavors


def test_archived_model_version_is_not_listed_but_found(ml: Any, faq_model: str, name: str) -> None:
    path = "azureml://jobs/faq-job/outputs/trained_model"
    for version in ("1", "2"):
        ml.models.create_or_update(Model(name=name, version=version, path=path, type="mlflow_model"))
    ml.models.archive(name, version="1")
    assert [model.version for model in ml.models.list(name)] == ["2"]
    assert ml.models.get(name, version="1").version == "1"
    assert ml.models.get(name, label="latest").version == "2"


def test_deleted_model_version_cannot_be_made_again(azureml: AzureMl, ml: Any, faq_model: str, name: str) -> None:
    path = "azureml://jobs/faq-job/outputs/trained_model"
    model = Model(name=name, version="1", path=path, type="mlflow_model")
    ml.models.create_or_update(model)
    assert azureml.arm("DELETE", f"/models/{name}/versions/1").status_code == 200
    with pytest.raises(HttpResponseError, match="it cannot be recreated"):
        ml.models.create_or_update(model)


def test_model_of_an_unknown_job_is_refused(ml: Any, name: str) -> None:
    path = "azureml://jobs/never-ran/outputs/trained_model"
    with pytest.raises(ResourceNotFoundError):
        ml.models.create_or_update(Model(name=name, version="1", path=path, type="mlflow_model"))
