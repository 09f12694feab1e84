"""What the app knows before a job is made, through the SDK: models of several kinds and registries, machines, quota."""

from __future__ import annotations

from typing import Any

import pytest
from azure.identity import DefaultAzureCredential

from shared.azure.clouds import cloud_at
from shared.azure.workspace import Workspace
from shared.azure.workspace.datastores import WorkspaceDatastore
from shared.azure.workspace.quota import TOTAL, QuotaUsage
from shared.training import base_model
from shared.training.base_model import FINETUNE, INFERENCE, MinimumSize
from tests.contracts.workspaces import TAGS, AzureSide, Shop
from tests.fakes import GPU, START
from tests.local.azureml_server import GROUP, SUBSCRIPTION, WORKSPACE, AzureMl

RETIRED = {"finetuneRetirementDate": "2025-08-30T00:00:00.000000Z", "inferenceRetirementDate": "2025-09-30"}


def _server(shop: Shop) -> AzureMl:
    assert isinstance(shop.side, AzureSide)
    return shop.side.server


def _problems(shop: Shop, **published: Any) -> list[str]:
    name = f"base-{shop.id}"
    _server(shop).control("PUT", f"/registry/models/{name}", {"version": "1", **published})
    model = shop.workspace.registry.model(name, "")
    assert model is not None
    return base_model.problems(model, START)


@pytest.mark.parametrize("form", ["system_metadata", "tags"])
@pytest.mark.parametrize(
    ("published", "words"),
    [
        ({}, []),
        ({"fine_tuning_tasks": ["text-generation"]}, ["cannot be fine-tuned on chat-completion, only on text-gen"]),
        ({"fine_tuning_tasks": []}, ["cannot be fine-tuned on chat-completion, only on nothing"]),
        ({"kind": "custom_model"}, ["is a custom_model and no mlflow_model"]),
        ({"archived": True}, ["is archived"]),
        ({"lifecycle": RETIRED}, ["cannot be fine-tuned since 2025-08-30", "cannot be served since 2025-09-30"]),
    ],
    ids=["fine", "another task", "no task", "another kind", "archived", "retired"],
)
def test_why_a_model_cannot_be_used_is_found_in_either_form_of_the_registry(
    azure_shop: Shop, form: str, published: dict[str, Any], words: list[str]
) -> None:
    found = _problems(azure_shop, form=form, **published)
    assert [text[: len(start)] for text, start in zip(found, words, strict=True)] == words


@pytest.mark.parametrize("name", ["Phi-4", "Phi-3-mini-4k-instruct"])
def test_the_least_machines_are_found_in_either_form(azure_shop: Shop, name: str) -> None:
    model = azure_shop.workspace.registry.model(name, "")
    assert model is not None
    assert base_model.minimum_size(model, FINETUNE) == MinimumSize(24, 1, 220, 64)
    assert base_model.minimum_size(model, INFERENCE).gpus == 1


def test_a_base_model_may_come_from_another_registry_than_the_component(azure_shop: Shop) -> None:
    server, name = _server(azure_shop), f"llama-{azure_shop.id}"
    server.control("PUT", f"/registry/models/{name}", {"version": "2", "registry": "azureml-meta"})
    assert azure_shop.workspace.registry.model(name, "") is None
    credential, cloud = DefaultAzureCredential(), cloud_at(server.base)
    apart = Workspace(credential, SUBSCRIPTION, GROUP, WORKSPACE, "azureml", cloud, "azureml-meta")
    model = apart.registry.model(name, "")
    assert model is not None
    assert (model.version, model.id) == ("2", f"azureml://registries/azureml-meta/models/{name}/versions/2")
    assert apart.registry.component("chat_completion_pipeline", "") == "0.0.82"
    assert apart.registry.model("Phi-4", "") is None
    apart.jobs.submit(azure_shop.spec(model_id=model.id))
    azure_shop.side.settle()
    job = apart.jobs.get(azure_shop.spec().name)
    assert job is not None
    assert job.status == "Completed"


def test_a_size_tells_its_memory_and_its_disk(azure_shop: Shop) -> None:
    sizes = azure_shop.workspace.compute.sizes()
    gpu, preparing = sizes["standard_nc24ads_a100_v4"], sizes["standard_e8s_v3"]
    assert (gpu.gpus, gpu.cores, gpu.memory_gb, gpu.disk_gb) == (1, 24, 220, 64)
    assert (preparing.gpus, preparing.cores, preparing.memory_gb, preparing.disk_gb) == (0, 8, 64, 128)


def test_the_total_of_all_families_is_found_beside_them_where_it_is_bounded(azure_shop: Shop) -> None:
    usages = azure_shop.workspace.quota.usages()
    assert usages is not None
    assert TOTAL not in usages
    _server(azure_shop).control("PUT", "/settings", {"quota": {"*": 1000, "total": 24}})
    usages = azure_shop.workspace.quota.usages()
    assert usages is not None
    assert usages[TOTAL].limit == 24
    assert usages["standardncadsa100v4family"] == QuotaUsage(used=0, limit=1000)


# --- who reads the data ---

IDENTITY = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/trainer"
)


def test_a_datastore_says_whether_it_has_a_credential(azure_shop: Shop) -> None:
    stores = azure_shop.workspace.datastores
    assert stores.get("droptune_frozen") == WorkspaceDatastore(
        name="droptune_frozen", container="frozen", account="devstoreaccount1", credential=True
    )
    assert stores.get("") == WorkspaceDatastore(
        name="workspaceblobstore", container="azureml", account="devstoreaccount1", credential=True
    )
    assert stores.get("no_such_store") is None
    _server(azure_shop).control("PUT", "/settings", {"datastore_readers": {"droptune_frozen": [IDENTITY]}})
    assert stores.get("droptune_frozen") == WorkspaceDatastore(
        name="droptune_frozen", container="frozen", account="devstoreaccount1", credential=False
    )


@pytest.mark.parametrize("identity", [IDENTITY, ""])
def test_a_cluster_that_the_app_makes_reads_the_data_as_the_identity_it_was_given(
    azure_shop: Shop, identity: str
) -> None:
    readers = {key: [IDENTITY] for key in ("droptune_frozen", "workspaceblobstore")}
    _server(azure_shop).control("PUT", "/settings", {"datastore_readers": readers})
    azure_shop.workspace.compute.create(azure_shop.id, GPU, 2, TAGS, identity)
    azure_shop.side.settle()
    cluster = azure_shop.workspace.compute.get(azure_shop.id)
    assert cluster is not None
    assert (cluster.identities, cluster.most_nodes) == ((IDENTITY,) if identity else (), 2)
    spec = azure_shop.spec()
    steps = dict.fromkeys(("compute_model_import", "compute_preprocess", "compute_finetune"), azure_shop.id)
    azure_shop.workspace.jobs.submit(spec.but(inputs={**spec.inputs, **steps}, compute=azure_shop.id))
    azure_shop.side.settle()
    job = azure_shop.workspace.jobs.get(spec.name)
    assert job is not None
    assert job.status == ("Completed" if identity else "Failed")
