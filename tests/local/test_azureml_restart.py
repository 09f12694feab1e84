"""Stopping, killing and starting again: nothing is lost, nothing is left running."""

from __future__ import annotations

from typing import Any

import psutil

from tests.local.azureml_sdk import (
    Model,
    ask,
    chat_job,
    create_deployment,
    create_endpoint,
    registry_client,
    submit,
    workspace_client,
)
from tests.local.azureml_server import AzureMl


def serve(server: AzureMl, files: dict[str, str]) -> Any:
    """Train, register, deploy, and send all traffic there; returns a client."""
    ml = workspace_client()
    submit(ml, chat_job(registry_client(), "job", files))
    server.wait_until_idle()
    path = "azureml://jobs/job/outputs/trained_model"
    model = ml.models.create_or_update(Model(name="m", version="1", path=path, type="mlflow_model"))
    create_endpoint(ml, "chat")
    create_deployment(ml, "chat", "blue", model.id)
    create_endpoint(ml, "chat", {"blue": 100})
    return ml


def started_steps(server: AzureMl) -> dict[str, str | None]:
    """When each step of the job was started."""
    path = f"/history/v1.0{server.workspace_path}/runs/job/children"
    answer = server.send("GET", path, headers={"Authorization": f"Bearer {server.token()}"})
    return {run["displayName"]: run["startTimeUtc"] for run in answer.json()["value"]}


def test_everything_is_there_again_and_serves_after_a_restart(own_azureml: AzureMl, faq_files: dict[str, str]) -> None:
    ml = serve(own_azureml, faq_files)
    key = ml.online_endpoints.get_keys("chat").primary_key
    own_azureml.stop()
    own_azureml.start()
    ml = workspace_client()
    assert ml.jobs.get("job").status == "Completed"
    assert ml.models.get("m", version="1").job_name == "job"
    assert ml.online_endpoints.get_keys("chat").primary_key == key
    # The process behind it may still be starting: the request waits for it.
    assert "Under Billing" in ask(own_azureml, ml, "chat", "Where can I find my invoices?").text
    assert ml.online_deployments.get("blue", "chat").provisioning_state == "Succeeded"


def test_interrupted_job_goes_on_at_the_interrupted_step(own_azureml: AzureMl, faq_files: dict[str, str]) -> None:
    step = "chat_completion_finetune"
    own_azureml.control("POST", "/jobs/job", {"outcome": "hold", "step": step})
    ml = workspace_client()
    submit(ml, chat_job(registry_client(), "job", faq_files))
    own_azureml.control("GET", "/jobs/job/reached")
    before = started_steps(own_azureml)
    own_azureml.kill()
    own_azureml.start()
    own_azureml.wait_until_idle()
    after = started_steps(own_azureml)
    assert workspace_client().jobs.get("job").status == "Completed"
    assert [name for name, started in before.items() if started][-1] == "chat_completion_datapreprocess"
    assert {name: after[name] for name, started in before.items() if started} == {
        name: started for name, started in before.items() if started
    }


def test_interrupted_job_may_be_lost_instead(own_azureml: AzureMl, faq_files: dict[str, str]) -> None:
    own_azureml.control("POST", "/jobs/job", {"outcome": "hold"})
    submit(workspace_client(), chat_job(registry_client(), "job", faq_files))
    own_azureml.stop()
    settings = own_azureml.folder / "settings.json"
    settings.write_text('{"interrupted_jobs": "fail"}')
    own_azureml._more = ("--settings", str(settings))
    own_azureml.start()
    assert workspace_client().jobs.get("job").status == "NotResponding"


def test_interrupted_deployment_is_finished(own_azureml: AzureMl, faq_files: dict[str, str]) -> None:
    ml = serve(own_azureml, faq_files)
    own_azureml.control("PUT", "/pace", {"deployment_seconds": 60})
    create_deployment(ml, "chat", "green", ml.models.get("m", version="1").id, wait=False)
    own_azureml.kill()
    own_azureml.start()
    own_azureml.wait_until_idle()
    ml = workspace_client()
    assert ml.online_deployments.get("green", "chat").provisioning_state == "Succeeded"
    assert ml.online_endpoints.get("chat").provisioning_state == "Succeeded"


def test_killed_server_leaves_no_process_behind(own_azureml: AzureMl, faq_files: dict[str, str]) -> None:
    serve(own_azureml, faq_files)
    own_azureml.control("POST", "/jobs/held", {"outcome": "hold"})
    submit(workspace_client(), chat_job(registry_client(), "held", faq_files))
    while len(children := psutil.Process(own_azureml.pid).children(recursive=True)) < 3:
        pass  # the nursery, the deployment, and the job, which begins a moment after it was submitted
    own_azureml.kill()
    gone, left = psutil.wait_procs(children, timeout=90)
    assert not left
    assert len(gone) == len(children)
