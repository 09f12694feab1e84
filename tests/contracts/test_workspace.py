"""What every step relies on in Azure ML; the same over the fake and over the local Azure ML, through the SDK."""

from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.azure.workspace.jobs import RunFailure
from shared.azure.workspace.quota import QuotaUsage, family_key
from shared.errors import AccessDenied, AzureRefused, ServiceBusy
from tests.contracts.workspaces import TAGS, AzureSide, Shop
from tests.fakes import GPU
from tests.local.azureml_server import AzureMl

MOVING = {"Creating", "Updating", "Deleting"}


# --- registry and machines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "8"])
def test_a_base_model_is_resolved_to_one_version_with_its_tags(shop: Shop, version: str) -> None:
    found = shop.workspace.registry.model("Phi-4", version)
    assert found is not None
    assert (found.name, found.version, found.archived) == ("Phi-4", "8", False)
    assert found.id
    assert GPU in ast.literal_eval(found.tags["finetune_compute_allow_list"])
    assert GPU in ast.literal_eval(found.tags["inference_compute_allow_list"])
    assert isinstance(ast.literal_eval(found.tags["model_specific_defaults"]), dict)


@pytest.mark.parametrize("place", ["tags", "system_metadata", "systemMetadata"])
def test_what_a_base_model_says_is_found_wherever_the_registry_has_it(azure_shop: Shop, place: str) -> None:
    dates = {"finetuneRetirementDate": "2031-01-01T00:00:00Z"}
    form = {"form": "tags", "lifecycle": {"deprecation": repr(dates)}}
    if place != "tags":
        form = {"form": "system_metadata", "spelling": place, "lifecycle": dates}
    _control(azure_shop).control("PUT", "/registry/models/Phi-formed", {"version": "1", **form})
    found = azure_shop.workspace.registry.model("Phi-formed", "1")
    assert found is not None
    assert GPU in ast.literal_eval(found.tags["finetune_compute_allow_list"])
    assert GPU in ast.literal_eval(found.tags["inference_compute_allow_list"])
    assert ast.literal_eval(found.tags["deprecation"]) == dates
    assert (found.tags["textContextWindow"], found.tags["maxOutputTokens"]) == ("16384", "16384")
    assert found.properties["finetune-min-sku-spec"] == "24|1|220|64"
    assert GPU in found.properties["finetune-recommended-sku"].split(", ")
    assert found.properties["finetuning-tasks"] == "chat-completion"


@pytest.mark.parametrize(("name", "version"), [("No-Such-Model", ""), ("No-Such-Model", "1"), ("Phi-4", "999")])
def test_a_base_model_that_is_not_there_is_nothing(shop: Shop, name: str, version: str) -> None:
    assert shop.workspace.registry.model(name, version) is None


def test_an_archived_base_model_says_so_and_the_next_one_does_not(shop: Shop) -> None:
    if shop.side.archived:
        for version in ("", "15"):
            archived = shop.workspace.registry.model(shop.side.archived, version)
            assert archived is not None
            assert archived.archived
    live = shop.workspace.registry.model("Phi-4", "")
    assert live is not None
    assert not live.archived


@pytest.mark.parametrize("version", ["", "0.0.82"])
def test_a_component_is_resolved_to_one_version(shop: Shop, version: str) -> None:
    assert shop.workspace.registry.component("chat_completion_pipeline", version) == "0.0.82"


@pytest.mark.parametrize(("name", "version"), [("no_such_component", ""), ("chat_completion_pipeline", "9.9.9")])
def test_a_component_that_is_not_there_is_nothing(shop: Shop, name: str, version: str) -> None:
    assert shop.workspace.registry.component(name, version) is None


def test_a_document_is_found_as_it_comes_and_one_that_is_not_there_is_nothing(azure_shop: Shop) -> None:
    documents = azure_shop.workspace.documents
    store = documents.get("datastores/droptune_frozen", "2025-06-01")
    assert store is not None
    assert store["properties"]["containerName"] == "frozen"
    assert documents.get("datastores/nobodys", "2025-06-01") is None
    assert documents.event_subscriptions("2025-02-15", lambda source: True) == []  # no broker stands beside this one
    assert documents.identity().startswith("object id ")


def test_sizes_are_found_by_name_in_lower_case_with_their_gpus(shop: Shop) -> None:
    size = shop.workspace.compute.sizes()[GPU.lower()]
    assert (size.name.lower(), size.gpus, size.cores) == (GPU.lower(), 1, 24)
    assert all(name == name.lower() for name in shop.workspace.compute.sizes())


def test_the_quota_of_a_size_is_found_by_its_family_and_counts_what_is_deployed(shop: Shop) -> None:
    size = shop.workspace.compute.sizes()[GPU.lower()]

    def usage() -> QuotaUsage:
        return shop.workspace.quota.usages()[family_key(size.family)]

    before = usage()
    assert before.used < before.limit == 1000
    shop.served("rel1")
    assert usage() == before.but(used=before.used + size.cores)


def test_a_cluster_is_nothing_then_moving_then_there(shop: Shop) -> None:
    assert shop.workspace.compute.get(shop.id) is None
    shop.side.slow()
    shop.workspace.compute.create(shop.id, GPU, 2, TAGS)
    moving = shop.workspace.compute.get(shop.id)
    assert moving is not None
    assert moving.state in MOVING
    shop.side.settle()
    found = shop.workspace.compute.get(shop.id)
    assert found is not None
    assert (found.name, found.size.lower(), found.state, found.errors) == (shop.id, GPU.lower(), "Succeeded", "")


# --- jobs and models ------------------------------------------------------------------------------------------


def test_a_job_is_nothing_until_it_is_submitted_then_runs_and_completes(shop: Shop) -> None:
    spec = shop.spec()
    assert shop.workspace.jobs.get(spec.name) is None
    shop.side.slow()
    submitted = shop.workspace.jobs.submit(spec)
    running = shop.workspace.jobs.get(spec.name)
    shop.side.settle()
    done = shop.workspace.jobs.get(spec.name)
    for job in (submitted, running, done):
        assert job is not None
        assert job.name == spec.name
        assert TAGS.items() <= job.tags.items()
    assert submitted.status not in ("Completed", "Failed")
    assert running is not None
    assert running.status not in ("Completed", "Failed")
    assert done is not None
    assert done.status == "Completed"
    assert shop.workspace.jobs.failure(spec.name) == RunFailure()


def test_the_same_job_again_is_the_one_that_is_there(shop: Shop) -> None:
    first, second = (shop.workspace.jobs.submit(shop.spec()) for _ in range(2))
    assert first.name == second.name
    shop.side.settle()


def test_another_job_under_the_same_name_is_refused_and_the_first_stays(shop: Shop) -> None:
    spec = shop.spec()
    shop.workspace.jobs.submit(spec)
    with pytest.raises(AzureRefused):
        shop.workspace.jobs.submit(
            spec.but(inputs={**spec.inputs, "num_train_epochs": 7}, tags={"droptune.snapshot": "x"})
        )
    job = shop.workspace.jobs.get(spec.name)
    assert job is not None
    assert job.tags["droptune.snapshot"] == "s1"
    shop.side.settle()


def test_a_job_that_fails_names_its_step_and_the_end_of_its_log(shop: Shop) -> None:
    spec = shop.spec()
    shop.side.fail_job(spec.name)
    shop.workspace.jobs.submit(spec)
    shop.side.settle()
    job = shop.workspace.jobs.get(spec.name)
    assert job is not None
    assert job.status == "Failed"
    told = shop.workspace.jobs.failure(spec.name)
    assert told.step == "chat_completion_finetune"
    assert "out of memory" in told.error
    assert "out of memory" in told.log.splitlines()[-1]


def test_the_failure_of_an_unknown_job_is_not_known(shop: Shop) -> None:
    assert shop.workspace.jobs.failure(f"{shop.id}-none") == RunFailure()


def test_a_job_is_canceled_and_asking_again_changes_nothing(shop: Shop) -> None:
    spec = shop.spec()
    shop.side.slow()
    shop.workspace.jobs.submit(spec)
    shop.workspace.jobs.cancel(spec.name)
    shop.side.settle()
    for _ in range(2):
        job = shop.workspace.jobs.get(spec.name)
        assert job is not None
        assert job.status == "Canceled"
        shop.workspace.jobs.cancel(spec.name)


def test_canceling_what_is_not_there_or_has_ended_changes_nothing(shop: Shop) -> None:
    shop.workspace.jobs.cancel(f"{shop.id}-none")
    done = shop.trained()
    shop.workspace.jobs.cancel(done)
    job = shop.workspace.jobs.get(done)
    assert job is not None
    assert job.status == "Completed"


def test_a_trained_output_becomes_a_model_version_with_its_tags(shop: Shop) -> None:
    assert shop.workspace.models.get(shop.id, "1") is None
    shop.workspace.models.register(shop.id, "1", shop.trained(), TAGS)
    found = shop.workspace.models.get(shop.id, "1")
    assert found is not None
    assert (found.name, found.version) == (shop.id, "1")
    assert found.tags.items() >= TAGS.items()
    assert shop.workspace.models.get(shop.id, "2") is None


def test_registering_the_same_again_is_the_version_that_is_there(shop: Shop) -> None:
    job = shop.trained()
    for _ in range(2):
        shop.workspace.models.register(shop.id, "1", job, TAGS)
    found = shop.workspace.models.get(shop.id, "1")
    assert found is not None
    assert found.tags["droptune.snapshot"] == "s1"


def test_another_jobs_output_under_the_same_version_is_refused(shop: Shop) -> None:
    """As a conflict or for good; whoever looks again finds the version that is there."""
    shop.workspace.models.register(shop.id, "1", shop.trained(), TAGS)
    other = shop.workspace.jobs.submit(shop.spec(name=f"{shop.id}-other"))
    shop.side.settle()
    with pytest.raises((AzureRefused, ServiceBusy)):
        shop.workspace.models.register(shop.id, "1", other.name, {"droptune.snapshot": "x"})
    found = shop.workspace.models.get(shop.id, "1")
    assert found is not None
    assert found.tags["droptune.snapshot"] == "s1"


def test_a_job_that_made_nothing_cannot_be_registered(shop: Shop) -> None:
    spec = shop.spec()
    shop.side.fail_job(spec.name)
    shop.workspace.jobs.submit(spec)
    shop.side.settle()
    for job in (spec.name, f"{shop.id}-none"):
        with pytest.raises(AzureRefused):
            shop.workspace.models.register(shop.id, "1", job, TAGS)
    assert shop.workspace.models.get(shop.id, "1") is None


# --- what only a real connection can show ---------------------------------------------------------------------


def _control(shop: Shop) -> AzureMl:
    assert isinstance(shop.side, AzureSide)
    return shop.side.server


def test_an_answer_that_is_cut_off_is_no_refusal_and_the_next_look_finds_what_was_made(azure_shop: Shop) -> None:
    """The write took effect although nobody heard of it."""
    fault = {"method": "PUT", "path": "onlineEndpoints", "after": True, "close": True}
    _control(azure_shop).control("POST", "/faults", fault)
    with pytest.raises(ServiceBusy):
        azure_shop.workspace.endpoints.write(azure_shop.id, TAGS, {})
    azure_shop.side.settle()
    found = azure_shop.workspace.endpoints.get(azure_shop.id)
    assert found is not None
    assert found.state == "Succeeded"


def test_a_write_is_sent_once(azure_shop: Shop) -> None:
    """Trying again is the ledger's business."""
    server = _control(azure_shop)
    server.control("POST", "/faults", {"method": "PUT", "path": "onlineEndpoints", "status": 503, "times": 9})
    with pytest.raises(ServiceBusy):
        azure_shop.workspace.endpoints.write(azure_shop.id, TAGS, {})
    sent = server.control("GET", f"/requests?method=PUT&path=onlineEndpoints/{azure_shop.id}$")["value"]
    assert [request["status"] for request in sent] == [503]


def test_azures_patience_reaches_the_ledger(azure_shop: Shop) -> None:
    fault = {"path": "/jobs/", "status": 429, "headers": {"Retry-After": "17"}}
    _control(azure_shop).control("POST", "/faults", fault)
    with pytest.raises(ServiceBusy) as busy:
        azure_shop.workspace.jobs.get("x")
    assert busy.value.retry_after == 17


def test_jobs_that_are_built_at_once_do_not_mix(azure_shop: Shop) -> None:
    """The SDK builds pipelines in module-level state: without a lock their bodies come out mixed, and no error."""
    specs = []
    for number in range(1, 7):
        spec = azure_shop.spec(name=f"{azure_shop.id}-{number}", tags={"droptune.snapshot": str(number)})
        specs.append(spec.but(inputs={**spec.inputs, "logging_steps": number}))
    with ThreadPoolExecutor(len(specs)) as threads:
        list(threads.map(azure_shop.workspace.jobs.submit, specs))
    azure_shop.side.settle()
    for number, spec in enumerate(specs, 1):
        path = f"/requests?method=PUT&path=/jobs/{spec.name}$"
        (sent,) = _control(azure_shop).control("GET", path)["value"]
        properties = sent["body"]["properties"]
        (node,) = properties["jobs"].values()
        assert properties["tags"]["droptune.snapshot"] == str(number)
        assert str(node["inputs"]["logging_steps"]["value"]) == str(number)
        assert node["inputs"].keys() == {*spec.inputs, *spec.files, "mlflow_model_path"}


def test_a_job_asks_for_fresh_results_and_stops_at_the_first_failure(azure_shop: Shop) -> None:
    spec = azure_shop.spec()
    azure_shop.workspace.jobs.submit(spec)
    azure_shop.side.settle()
    (sent,) = _control(azure_shop).control("GET", f"/requests?method=PUT&path=/jobs/{spec.name}$")["value"]
    properties = sent["body"]["properties"]
    assert properties["settings"]["force_rerun"] is True
    assert properties["settings"]["continue_on_step_failure"] is False
    assert properties["experimentName"] == "droptune"
    assert list(properties["outputs"]) == ["trained_model"]
    assert properties["displayName"].startswith("Phi-4-bs-1-")


@pytest.mark.parametrize(
    ("roles", "call", "role"),
    [
        ({"workspace": ["Reader"]}, lambda w: w.compute.sizes(), "Monitoring Reader on the subscription"),
        (
            {"subscription": ["Monitoring Reader"]},
            lambda w: w.endpoints.delete("no-such"),
            "AzureML Data Scientist on the workspace",
        ),
    ],
    ids=["subscription", "workspace"],
)
def test_a_missing_role_is_named(azure_shop: Shop, roles: dict[str, Any], call: Any, role: str) -> None:
    server = _control(azure_shop)
    server.control("PUT", "/settings", {"roles": roles})
    with pytest.raises(AccessDenied, match=f"it needs the role {role}") as refused:
        call(azure_shop.workspace)
    assert len(str(refused.value)) < 300
