"""What every step relies on in Azure ML; the same over the fake and over the local Azure ML, through the SDK."""

from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import Refused, ServiceBusy
from tests.contracts.workspaces import TAGS, AzureSide, Shop
from tests.fakes import GPU
from tests.local.azureml_server import AzureMl

MOVING = {"Creating", "Updating", "Deleting"}


# --- registry and machines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "8"])
def test_a_base_model_is_resolved_to_one_version_with_its_tags(shop: Shop, version: str) -> None:
    found = shop.workspace.base_model("Phi-4", version)
    assert found is not None
    assert (found.name, found.version, found.archived) == ("Phi-4", "8", False)
    assert found.id
    assert GPU in ast.literal_eval(found.tags["finetune_compute_allow_list"])
    assert GPU in ast.literal_eval(found.tags["inference_compute_allow_list"])
    assert isinstance(ast.literal_eval(found.tags["model_specific_defaults"]), dict)


@pytest.mark.parametrize(("name", "version"), [("No-Such-Model", ""), ("No-Such-Model", "1"), ("Phi-4", "999")])
def test_a_base_model_that_is_not_there_is_nothing(shop: Shop, name: str, version: str) -> None:
    assert shop.workspace.base_model(name, version) is None


def test_an_archived_base_model_says_so_and_the_next_one_does_not(shop: Shop) -> None:
    if shop.side.archived:
        for version in ("", "15"):
            archived = shop.workspace.base_model(shop.side.archived, version)
            assert archived is not None
            assert archived.archived
    live = shop.workspace.base_model("Phi-4", "")
    assert live is not None
    assert not live.archived


@pytest.mark.parametrize("version", ["", "0.0.82"])
def test_a_component_is_resolved_to_one_version(shop: Shop, version: str) -> None:
    assert shop.workspace.component("chat_completion_pipeline", version) == "0.0.82"


@pytest.mark.parametrize(("name", "version"), [("no_such_component", ""), ("chat_completion_pipeline", "9.9.9")])
def test_a_component_that_is_not_there_is_nothing(shop: Shop, name: str, version: str) -> None:
    assert shop.workspace.component(name, version) is None


def test_sizes_are_found_by_name_in_lower_case_with_their_gpus(shop: Shop) -> None:
    size = shop.workspace.sizes()[GPU.lower()]
    assert (size.name.lower(), size.gpus, size.cores) == (GPU.lower(), 1, 24)
    assert all(name == name.lower() for name in shop.workspace.sizes())


def test_a_cluster_is_nothing_then_moving_then_there(shop: Shop) -> None:
    assert shop.workspace.compute(shop.id) is None
    shop.side.slow()
    shop.workspace.start_compute(shop.id, GPU, 2, TAGS)
    moving = shop.workspace.compute(shop.id)
    assert moving is not None
    assert moving.state in MOVING
    shop.side.settle()
    found = shop.workspace.compute(shop.id)
    assert found is not None
    assert (found.name, found.size.lower(), found.state, found.errors) == (shop.id, GPU.lower(), "Succeeded", "")


# --- jobs and models ------------------------------------------------------------------------------------------


def test_a_job_is_nothing_until_it_is_submitted_then_runs_and_completes(shop: Shop) -> None:
    spec = shop.spec()
    assert shop.workspace.job(spec.name) is None
    shop.side.slow()
    submitted = shop.workspace.submit(spec)
    running = shop.workspace.job(spec.name)
    shop.side.settle()
    done = shop.workspace.job(spec.name)
    for job in (submitted, running, done):
        assert job is not None
        assert job.name == spec.name
        assert TAGS.items() <= job.tags.items()
    assert submitted.status not in ("Completed", "Failed")
    assert running is not None
    assert running.status not in ("Completed", "Failed")
    assert done is not None
    assert done.status == "Completed"
    assert shop.workspace.failure(spec.name) == ""


def test_the_same_job_again_is_the_one_that_is_there(shop: Shop) -> None:
    first, second = (shop.workspace.submit(shop.spec()) for _ in range(2))
    assert first.name == second.name
    shop.side.settle()


def test_another_job_under_the_same_name_is_refused_and_the_first_stays(shop: Shop) -> None:
    spec = shop.spec()
    shop.workspace.submit(spec)
    with pytest.raises(Refused):
        shop.workspace.submit(spec.but(inputs={**spec.inputs, "num_train_epochs": 7}, tags={"droptune.snapshot": "x"}))
    job = shop.workspace.job(spec.name)
    assert job is not None
    assert job.tags["droptune.snapshot"] == "s1"
    shop.side.settle()


def test_a_job_that_fails_names_its_step(shop: Shop) -> None:
    spec = shop.spec()
    shop.side.fail_job(spec.name)
    shop.workspace.submit(spec)
    shop.side.settle()
    job = shop.workspace.job(spec.name)
    assert job is not None
    assert job.status == "Failed"
    told = shop.workspace.failure(spec.name)
    assert told.startswith("step chat_completion_finetune failed: ")
    assert "out of memory" in told


def test_the_failure_of_an_unknown_job_is_not_known(shop: Shop) -> None:
    assert shop.workspace.failure(f"{shop.id}-none") == ""


def test_a_trained_output_becomes_a_model_version_with_its_tags(shop: Shop) -> None:
    assert shop.workspace.model(shop.id, "1") is None
    shop.workspace.register(shop.id, "1", shop.trained(), TAGS)
    found = shop.workspace.model(shop.id, "1")
    assert found is not None
    assert (found.name, found.version) == (shop.id, "1")
    assert found.tags.items() >= TAGS.items()
    assert shop.workspace.model(shop.id, "2") is None


def test_registering_the_same_again_is_the_version_that_is_there(shop: Shop) -> None:
    job = shop.trained()
    for _ in range(2):
        shop.workspace.register(shop.id, "1", job, TAGS)
    found = shop.workspace.model(shop.id, "1")
    assert found is not None
    assert found.tags["droptune.snapshot"] == "s1"


def test_another_jobs_output_under_the_same_version_is_refused(shop: Shop) -> None:
    """As a conflict or for good; whoever looks again finds the version that is there."""
    shop.workspace.register(shop.id, "1", shop.trained(), TAGS)
    other = shop.workspace.submit(shop.spec(name=f"{shop.id}-other"))
    shop.side.settle()
    with pytest.raises((Refused, ServiceBusy)):
        shop.workspace.register(shop.id, "1", other.name, {"droptune.snapshot": "x"})
    found = shop.workspace.model(shop.id, "1")
    assert found is not None
    assert found.tags["droptune.snapshot"] == "s1"


def test_a_job_that_made_nothing_cannot_be_registered(shop: Shop) -> None:
    spec = shop.spec()
    shop.side.fail_job(spec.name)
    shop.workspace.submit(spec)
    shop.side.settle()
    for job in (spec.name, f"{shop.id}-none"):
        with pytest.raises(Refused):
            shop.workspace.register(shop.id, "1", job, TAGS)
    assert shop.workspace.model(shop.id, "1") is None


# --- endpoints and deployments --------------------------------------------------------------------------------


def test_an_endpoint_is_nothing_then_moving_then_there_without_traffic(shop: Shop) -> None:
    assert shop.workspace.endpoint(shop.id) is None
    shop.side.slow()
    shop.workspace.write_endpoint(shop.id, TAGS, {})
    moving = shop.workspace.endpoint(shop.id)
    assert moving is not None
    assert moving.state in MOVING
    shop.side.settle()
    found = shop.workspace.endpoint(shop.id)
    assert found is not None
    assert (found.name, found.state, found.traffic) == (shop.id, "Succeeded", {})
    assert found.tags.items() >= TAGS.items()
    assert shop.id in found.scoring_uri


def test_an_endpoint_that_moves_refuses_other_writes_for_the_time_being(shop: Shop) -> None:
    model = shop.registered()
    shop.side.slow()
    shop.workspace.write_endpoint(shop.id, TAGS, {})
    with pytest.raises(ServiceBusy):
        shop.workspace.write_endpoint(shop.id, TAGS, {})
    with pytest.raises(ServiceBusy):
        shop.workspace.start_deployment(shop.deployment(model))
    with pytest.raises(ServiceBusy):
        shop.workspace.delete_endpoint(shop.id)
    shop.side.settle()
    assert shop.workspace.deployment(shop.id, "rel1") is None


def test_a_deployment_is_nothing_then_moving_with_its_endpoint_then_there(shop: Shop) -> None:
    model, endpoint = shop.registered(), shop.endpoint()
    assert shop.workspace.deployment(endpoint, "rel1") is None
    shop.side.slow()
    shop.workspace.start_deployment(shop.deployment(model))
    moving, around = shop.workspace.deployment(endpoint, "rel1"), shop.workspace.endpoint(endpoint)
    assert moving is not None
    assert around is not None
    assert {moving.state, around.state} <= MOVING
    with pytest.raises(ServiceBusy):
        shop.workspace.start_deployment(shop.deployment(model, name="rel2"))
    with pytest.raises(ServiceBusy):
        shop.workspace.write_endpoint(endpoint, TAGS, {"rel1": 100})
    shop.side.settle()
    found = shop.workspace.deployment(endpoint, "rel1")
    assert found is not None
    assert (found.name, found.state) == ("rel1", "Succeeded")
    assert found.tags.items() >= TAGS.items()


def test_traffic_is_set_as_one_absolute_split(shop: Shop) -> None:
    endpoint = shop.served("rel1", "rel2")
    for split in ({"rel1": 100}, {"rel1": 80, "rel2": 20}, {"rel1": 0, "rel2": 100}):
        shop.workspace.write_endpoint(endpoint, TAGS, split)
        shop.side.settle()
        found = shop.workspace.endpoint(endpoint)
        assert found is not None
        assert found.traffic == {name: share for name, share in split.items() if share}
        assert found.tags.items() >= TAGS.items()


@pytest.mark.parametrize("split", [{"rel9": 100}, {"rel1": 50}])
def test_a_split_that_cannot_be_is_refused_and_the_old_one_stays(shop: Shop, split: dict[str, int]) -> None:
    endpoint = shop.served("rel1")
    shop.workspace.write_endpoint(endpoint, TAGS, {"rel1": 100})
    shop.side.settle()
    with pytest.raises(Refused):
        shop.workspace.write_endpoint(endpoint, TAGS, split)
    found = shop.workspace.endpoint(endpoint)
    assert found is not None
    assert (found.state, found.traffic) == ("Succeeded", {"rel1": 100})


def test_a_deployment_with_traffic_is_not_deleted_and_one_without_is(shop: Shop) -> None:
    endpoint = shop.served("rel1", "rel2")
    shop.workspace.write_endpoint(endpoint, TAGS, {"rel1": 100})
    shop.side.settle()
    with pytest.raises(Refused):
        shop.workspace.delete_deployment(endpoint, "rel1")
    shop.workspace.delete_deployment(endpoint, "rel2")
    shop.side.settle()
    assert shop.workspace.deployment(endpoint, "rel1") is not None
    assert shop.workspace.deployment(endpoint, "rel2") is None
    shop.workspace.delete_deployment(endpoint, "rel2")


def test_an_endpoint_is_deleted_with_all_behind_it(shop: Shop) -> None:
    endpoint = shop.served("rel1")
    shop.workspace.write_endpoint(endpoint, TAGS, {"rel1": 100})
    shop.side.settle()
    shop.side.slow()
    shop.workspace.delete_endpoint(endpoint)
    moving = shop.workspace.endpoint(endpoint)
    assert moving is not None
    assert moving.state == "Deleting"
    shop.side.settle()
    assert shop.workspace.endpoint(endpoint) is None
    assert shop.workspace.deployment(endpoint, "rel1") is None
    shop.workspace.delete_endpoint(endpoint)
    shop.workspace.delete_deployment(endpoint, "rel1")


def test_a_deleted_endpoint_can_be_made_again(shop: Shop) -> None:
    endpoint = shop.endpoint()
    shop.workspace.delete_endpoint(endpoint)
    shop.side.settle()
    assert shop.endpoint() == endpoint
    found = shop.workspace.endpoint(endpoint)
    assert found is not None
    assert (found.state, found.traffic) == ("Succeeded", {})


def test_a_deployment_that_fails_says_so_keeps_its_log_and_leaves_its_endpoint_usable(shop: Shop) -> None:
    model, endpoint = shop.registered(), shop.endpoint()
    shop.side.fail_deployment(endpoint, "rel1")
    shop.workspace.start_deployment(shop.deployment(model))
    shop.side.settle()
    found, around = shop.workspace.deployment(endpoint, "rel1"), shop.workspace.endpoint(endpoint)
    assert found is not None
    assert around is not None
    assert (found.state, around.state) == ("Failed", "Succeeded")
    assert "it broke" in "".join(shop.workspace.deployment_logs(endpoint, "rel1").values())
    shop.workspace.delete_deployment(endpoint, "rel1")
    shop.side.settle()
    assert shop.workspace.deployment(endpoint, "rel1") is None


def test_logs_of_nothing_are_nothing(shop: Shop) -> None:
    assert shop.workspace.deployment_logs(shop.id, "rel1") == {}


def test_a_deployment_needs_its_endpoint(shop: Shop) -> None:
    with pytest.raises(Refused):
        shop.workspace.start_deployment(shop.deployment(shop.registered()))


def test_an_endpoint_has_a_key_and_nothing_has_none(shop: Shop) -> None:
    endpoint = shop.endpoint()
    assert len(shop.workspace.key(endpoint)) > 8
    assert shop.workspace.key(endpoint) == shop.workspace.key(endpoint)
    with pytest.raises(Refused):
        shop.workspace.key(f"{shop.id}-none")


def test_a_service_that_is_busy_says_so_once_and_nothing_has_happened(shop: Shop) -> None:
    shop.endpoint()
    shop.side.busy()
    with pytest.raises(ServiceBusy):
        shop.workspace.write_endpoint(shop.id, TAGS, {})
    found = shop.workspace.endpoint(shop.id)
    assert found is not None
    assert found.state == "Succeeded"


# --- what only a real connection can show ---------------------------------------------------------------------


def _control(shop: Shop) -> AzureMl:
    assert isinstance(shop.side, AzureSide)
    return shop.side.server


def test_an_answer_that_is_cut_off_is_no_refusal_and_the_next_look_finds_what_was_made(azure_shop: Shop) -> None:
    """The write took effect although nobody heard of it."""
    fault = {"method": "PUT", "path": "onlineEndpoints", "after": True, "close": True}
    _control(azure_shop).control("POST", "/faults", fault)
    with pytest.raises(ServiceBusy):
        azure_shop.workspace.write_endpoint(azure_shop.id, TAGS, {})
    azure_shop.side.settle()
    found = azure_shop.workspace.endpoint(azure_shop.id)
    assert found is not None
    assert found.state == "Succeeded"


def test_a_write_is_sent_once(azure_shop: Shop) -> None:
    """Trying again is the ledger's business."""
    server = _control(azure_shop)
    server.control("POST", "/faults", {"method": "PUT", "path": "onlineEndpoints", "status": 503, "times": 9})
    with pytest.raises(ServiceBusy):
        azure_shop.workspace.write_endpoint(azure_shop.id, TAGS, {})
    sent = server.control("GET", f"/requests?method=PUT&path=onlineEndpoints/{azure_shop.id}$")["value"]
    assert [request["status"] for request in sent] == [503]


def test_azures_patience_reaches_the_ledger(azure_shop: Shop) -> None:
    fault = {"path": "/jobs/", "status": 429, "headers": {"Retry-After": "17"}}
    _control(azure_shop).control("POST", "/faults", fault)
    with pytest.raises(ServiceBusy) as busy:
        azure_shop.workspace.job("x")
    assert busy.value.retry_after == 17


def test_jobs_that_are_built_at_once_do_not_mix(azure_shop: Shop) -> None:
    """The SDK builds pipelines in module-level state: without a lock their bodies come out mixed, and no error."""
    specs = []
    for number in range(1, 7):
        spec = azure_shop.spec(name=f"{azure_shop.id}-{number}", tags={"droptune.snapshot": str(number)})
        specs.append(spec.but(inputs={**spec.inputs, "logging_steps": number}))
    with ThreadPoolExecutor(len(specs)) as threads:
        list(threads.map(azure_shop.workspace.submit, specs))
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
    azure_shop.workspace.submit(spec)
    azure_shop.side.settle()
    (sent,) = _control(azure_shop).control("GET", f"/requests?method=PUT&path=/jobs/{spec.name}$")["value"]
    properties = sent["body"]["properties"]
    assert properties["settings"]["force_rerun"] is True
    assert properties["settings"]["continue_on_step_failure"] is False
    assert properties["experimentName"] == "droptune"
    assert list(properties["outputs"]) == ["trained_model"]
    assert properties["displayName"].startswith("Phi-4-bs-1-")
