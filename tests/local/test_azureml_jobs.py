"""Pipeline jobs, from submission to the registered model, through the real SDK."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from tests.local.azureml_sdk import FAQ, Model, chat_job, dialogues, submit, upload
from tests.local.azureml_server import AzureMl

STEPS = [
    "ft_nlp_common_validation",
    "chat_completion_model_import",
    "chat_completion_datapreprocess",
    "chat_completion_finetune",
    "ft_nlp_model_converter",
]


def details(azureml: AzureMl, run: str) -> Any:
    """What the history service says about a run."""
    headers = {"Authorization": f"Bearer {azureml.token()}"}
    path = f"/history/v1.0{azureml.workspace_path}/runs/{run}/details"
    answer = azureml.send("GET", path, headers=headers)
    assert answer.ok, answer.text
    return answer.json()


def failing_step(azureml: AzureMl, ml: Any, job: str) -> tuple[str, str, str]:
    """Name, error message and log of the child run that failed."""
    child = next(run for run in ml.jobs.list(parent_job_name=job) if run.status == "Failed")
    run = details(azureml, child.name)
    log = azureml.send("GET", run["logFiles"]["user_logs/std_log.txt"].removeprefix(azureml.base))
    return child.display_name, run["error"]["error"]["message"], log.text


def test_job_runs_all_steps_in_order_and_completes(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    job = submit(ml, chat_job(registry, name, faq_files, num_train_epochs=1))
    assert job.status in ("NotStarted", "Preparing")
    assert [name for name, _ in parse_qsl(urlsplit(job.studio_url).query)] == ["wsid", "tid"]
    azureml.wait_until_idle()
    children = list(ml.jobs.list(parent_job_name=name))
    assert ml.jobs.get(name).status == "Completed"
    assert [child.display_name for child in children] == STEPS
    assert {child.status for child in children} == {"Completed"}


def test_stream_prints_the_steps_and_returns(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    submit(ml, chat_job(registry, name, faq_files))
    azureml.wait_until_idle()
    with redirect_stdout(io.StringIO()) as printed:
        ml.jobs.stream(name)
    assert f"RunId: {name}" in printed.getvalue()


def test_identical_submission_is_the_same_job(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    submit(ml, chat_job(registry, name, faq_files))
    submit(ml, chat_job(registry, name, faq_files))
    puts = azureml.control("GET", f"/requests?method=PUT&path=/jobs/{name}$")["value"]
    assert [put["status"] for put in puts] == [201, 200]


def test_different_submission_under_the_same_name_is_refused(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    submit(ml, chat_job(registry, name, faq_files))
    with pytest.raises(HttpResponseError, match="cannot be changed") as refused:
        submit(ml, chat_job(registry, name, faq_files, num_train_epochs=3))
    error = refused.value.error
    assert error is not None
    assert error.code == "UserError"
    assert error.innererror["innererror"]["code"] == "JobPropertyImmutable"


def test_tags_can_change_after_submission_and_leaving_one_out_keeps_it(
    ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    job = chat_job(registry, name, faq_files)
    job.tags = {"snapshot": "s1"}
    submit(ml, job)
    job.tags = {"note": "n"}
    submit(ml, job)
    assert ml.jobs.get(name).tags == {"snapshot": "s1", "note": "n"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"apply_lora": "True"}, "'apply_lora' must be one of true, false; found 'True'"),
        ({"num_train_epochs": 0}, "'num_train_epochs' must be at least 1"),
        ({"learning_rate": "fast"}, "'learning_rate' is of type number; found 'fast'"),
        ({"lr_scheduler_type": "step"}, "'lr_scheduler_type' must be one of linear, cosine"),
    ],
)
def test_input_the_component_does_not_take_is_refused_at_submission(
    ml: Any,
    registry: Any,
    faq_files: dict[str, str],
    name: str,
    inputs: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(HttpResponseError, match=message):
        submit(ml, chat_job(registry, name, faq_files, **inputs))
    with pytest.raises(ResourceNotFoundError):
        ml.jobs.get(name)


def test_unknown_base_model_is_refused_at_submission(
    ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    from azure.ai.ml import Input

    missing = Input(type="mlflow_model", path="azureml://registries/azureml/models/Phi-4/versions/99")
    with pytest.raises(HttpResponseError, match="Phi-4:99 was not found"):
        submit(ml, chat_job(registry, name, faq_files, mlflow_model_path=missing))


GOOD = dialogues(FAQ)


@pytest.mark.parametrize(
    ("train", "step", "message"),
    [
        ("", STEPS[0], "no usable rows in the train data"),
        ('{"prompt": "a"}\n', STEPS[0], "row 1: column 'messages' not found. Data has columns"),
        (GOOD + "{broken\n", STEPS[0], "line 4 is not valid JSON"),
        (GOOD + '{"messages": "hi"}\n', STEPS[0], "row 4: messages is a str"),
        (GOOD + '{"messages": [{"role": "user"}]}\n', STEPS[0], "row 4: message 0 has no role and content"),
        ('{"messages": [{"role": "user", "content": "a"}]}\n', STEPS[3], "no user turn that an assistant"),
        (None, STEPS[0], "The requested stream was not found"),
    ],
)
def test_bad_data_fails_the_job_at_the_right_step_with_its_message(
    azureml: AzureMl,
    ml: Any,
    registry: Any,
    faq_files: dict[str, str],
    name: str,
    train: str | None,
    step: str,
    message: str,
) -> None:
    uri = f"azureml://datastores/droptune_frozen/paths/{name}/train.jsonl"
    if train is not None:
        upload(azureml.connection_string, f"{name}/train.jsonl", train)
    submit(ml, chat_job(registry, name, {**faq_files, "train": uri}))
    azureml.wait_until_idle()
    failed, error, log = failing_step(azureml, ml, name)
    assert ml.jobs.get(name).status == "Failed"
    assert (failed, message in error, message in log) == (step, True, True), (failed, error, log)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"number_of_gpu_to_use_finetuning": 2}, "invalid device ordinal"),
        ({"instance_type_finetune": "Standard_Made_Up"}, "is not supported in this region"),
    ],
)
def test_wrong_machine_fails_finetuning(
    azureml: AzureMl,
    ml: Any,
    registry: Any,
    faq_files: dict[str, str],
    name: str,
    inputs: dict[str, Any],
    message: str,
) -> None:
    submit(ml, chat_job(registry, name, faq_files, **inputs))
    azureml.wait_until_idle()
    failed, error, _ = failing_step(azureml, ml, name)
    assert failed == STEPS[3]
    assert message in error


def test_cancel_stops_a_running_job(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    azureml.control("POST", f"/jobs/{name}", {"outcome": "hold", "step": STEPS[3]})
    submit(ml, chat_job(registry, name, faq_files))
    ml.jobs.begin_cancel(name).result()
    azureml.wait_until_idle()
    assert ml.jobs.get(name).status == "Canceled"
    with pytest.raises(HttpResponseError, match="already in a terminal state"):
        ml.jobs.begin_cancel(name)


@pytest.mark.parametrize("outcome", ["Failed", "Canceled", "NotResponding"])
def test_a_test_can_choose_how_the_next_job_ends(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str, outcome: str
) -> None:
    azureml.control("POST", f"/jobs/{name[:8]}.*", {"outcome": outcome, "step": STEPS[2], "message": "why"})
    submit(ml, chat_job(registry, name, faq_files))
    azureml.wait_until_idle()
    assert ml.jobs.get(name).status == outcome
    if outcome == "Failed":
        assert failing_step(azureml, ml, name) == (STEPS[2], "why", "why\n")


def test_a_crashed_training_process_fails_the_job(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    azureml.control("POST", f"/jobs/{name}", {"outcome": "crash", "step": STEPS[1]})
    submit(ml, chat_job(registry, name, faq_files))
    azureml.wait_until_idle()
    assert ml.jobs.get(name).status == "Failed"
    assert "ended unexpectedly" in details(azureml, name)["error"]["error"]["message"]


def test_a_job_can_vanish(azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str) -> None:
    submit(ml, chat_job(registry, name, faq_files))
    azureml.wait_until_idle()
    azureml.control("POST", f"/jobs/{name}", {"outcome": "vanish"})
    with pytest.raises(ResourceNotFoundError):
        ml.jobs.get(name)


def test_jobs_are_listed_newest_first_and_by_tag(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    for suffix in ("a", "b"):
        job = chat_job(registry, f"{name}-{suffix}", faq_files)
        job.tags = {"list": name, "which": suffix}
        submit(ml, job)
    listed = [job.name for job in ml.jobs.list() if job.name.startswith(name)]
    assert listed == [f"{name}-b", f"{name}-a"]
    assert [job.name for job in ml.jobs.list(tag="which=a") if job.name.startswith(name)] == [f"{name}-a"]


def test_archived_job_is_not_listed(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    submit(ml, chat_job(registry, name, faq_files))
    azureml.wait_until_idle()
    ml.jobs.archive(name)
    assert name not in [job.name for job in ml.jobs.list()]


def test_job_needs_the_second_token(azureml: AzureMl) -> None:
    answer = azureml.arm("PUT", "/jobs/without-token", {"properties": {"jobType": "Pipeline"}})
    assert answer.status_code == 401


def test_model_of_an_unfinished_job_cannot_be_registered(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    azureml.control("POST", f"/jobs/{name}", {"outcome": "hold", "step": STEPS[0]})
    submit(ml, chat_job(registry, name, faq_files))
    model = Model(name=name, version="1", path=f"azureml://jobs/{name}/outputs/trained_model", type="mlflow_model")
    with pytest.raises(HttpResponseError, match="has no output 'trained_model'"):
        ml.models.create_or_update(model)
    azureml.control("POST", f"/jobs/{name}", {"outcome": "release"})
    azureml.wait_until_idle()
    assert ml.models.create_or_update(model).version == "1"


def test_unauthenticated_job_request_is_refused(azureml: AzureMl, ml: Any) -> None:
    azureml.control("POST", "/faults", {"path": "/jobs/", "status": 401})
    with pytest.raises(ClientAuthenticationError):
        ml.jobs.get("anything")
