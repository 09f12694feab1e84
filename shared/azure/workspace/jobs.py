"""Training jobs: submitted as a pipeline around the registry's component, then asked how they do and how they ended."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from shared.azure.workspace.names import check_data_path, check_model_id, check_tags, check_text, named
from shared.azure.workspace.translation import or_none, plain, reading, writing
from shared.ledger import fence
from shared.ledger.record import Struct

if TYPE_CHECKING:
    from shared.azure.workspace.client import AzureMlClient

# Building a pipeline keeps the nodes in module-level state of the SDK: two threads at once mix up their bodies
# without an error (measured: 51 of 60 wrong), so the build is one at a time in a process.
_BUILD = threading.Lock()
_LOG_LINES = 200


class JobSpec(Struct, frozen=True, kw_only=True):
    """All that a training job is made of; two equal specs are the same job."""

    name: str
    display_name: str
    experiment: str
    component: str
    model_id: str
    inputs: dict[str, Any]
    files: dict[str, str]
    tags: dict[str, str]
    compute: str = "serverless"


def check_job(spec: JobSpec) -> None:
    """Raises InvalidName for a part of the job that is no name, or would mean more than it says."""
    named("job", spec.name)
    named("experiment", spec.experiment)
    named("compute", spec.compute)
    named("component", *spec.component.split(":", 1))
    check_text("display name", spec.display_name)
    check_model_id(spec.model_id)
    check_tags(spec.tags)
    for name, path in spec.files.items():
        check_data_path(f"input {name}", path)
    for name, value in spec.inputs.items():
        check_text(f"input {name}", str(value))


class Job(Struct, frozen=True, kw_only=True):
    """A job as the workspace reports it. `status` is Azure's word, e.g. Running; `tracking` is where it logs."""

    name: str
    status: str
    tags: dict[str, str]
    studio_url: str = ""
    tracking: str = ""


class RunFailure(Struct, frozen=True, kw_only=True):
    """Why a job failed: the child step, the error on record for it, and the end of its log. Each may be empty."""

    step: str = ""
    error: str = ""
    log: str = ""


class JobOperations:
    """Submits, reads and cancels jobs."""

    def __init__(self, client: AzureMlClient, registry: str) -> None:
        self._client, self._registry = client, registry

    def get(self, name: str) -> Job | None:
        """A job of the workspace."""
        with reading(named("job", name)):
            found = or_none(lambda: self._client.workspace.jobs.get(name))
        return _job(found) if found is not None else None

    def submit(self, spec: JobSpec) -> Job:
        """Submits the pipeline job of this spec. A job's body is never changed once it exists.

        Raises AzureRefused when the service will not take it.
        """
        check_job(spec)
        with reading(named("job", spec.name)):
            with _BUILD:
                pipeline = self._build(spec)
            fence.check()  # the build may have waited for others
            jobs = self._client.workspace.jobs
            return _job(jobs.create_or_update(pipeline, experiment_name=spec.experiment, skip_validation=True))

    def cancel(self, name: str) -> None:
        """Asks for a job to be canceled; one that has ended or is gone is left as it is."""
        jobs = self._client.workspace.jobs
        with writing(named("job", name)):
            or_none(lambda: or_none(lambda: jobs.begin_cancel(name)), status=400)

    def failure(self, name: str) -> RunFailure:
        """Which child step of a failed job failed, with what its run says and the end of its log, as far as is known.

        It is a help for people: without it the job has failed all the same, so nothing is raised.
        """
        named("job", name)
        with contextlib.suppress(Exception):
            for child in self._client.workspace.jobs.list(parent_job_name=name):
                if plain(child.status) == "Failed":
                    return self._step_failure(child.display_name or child.name, child.name)
        return RunFailure()

    def _build(self, spec: JobSpec) -> Any:
        """The pipeline around the registry component; the notebook's `create_pipeline`."""
        from azure.ai.ml import Input
        from azure.ai.ml.dsl import pipeline
        from azure.ai.ml.entities import PipelineJobSettings

        name, version = spec.component.split(":")
        component = self._client.registry(self._registry).components.get(name, version=version)
        files = {k: Input(type="uri_file", path=path) for k, path in spec.files.items()}
        model = Input(type="mlflow_model", path=spec.model_id)

        @pipeline  # type: ignore[call-overload, untyped-decorator, unused-ignore]
        def fine_tuning() -> dict[str, Any]:
            fine_tune = component(mlflow_model_path=model, **files, **spec.inputs)
            return {"trained_model": fine_tune.outputs.mlflow_model_folder}

        job = fine_tuning()
        job.name, job.display_name, job.tags = spec.name, spec.display_name, dict(spec.tags)
        # The steps are deterministic: without this a new attempt may get the old one's cached results.
        job.settings = PipelineJobSettings(
            force_rerun=True, continue_on_step_failure=False, default_compute=spec.compute
        )
        return job

    def _step_failure(self, step: str, run: str) -> RunFailure:
        """The error on record for a child run, as the history service tells it, and its log."""
        message, log_tail = "", ""
        with contextlib.suppress(Exception):  # see `failure`
            details = self._client.workspace.jobs._runs_operations.get_run_details(run)
            error = getattr(details, "error", None)
            message = getattr(getattr(error, "error", error), "message", "") or ""
            log_tail = self._log_tail(dict(getattr(details, "log_files", None) or {}))
        return RunFailure(step=step, error=message, log=log_tail)

    def _log_tail(self, files: dict[str, str]) -> str:
        """The end of what the step itself wrote; the addresses are signed, and never logged."""
        named = [name for name in sorted(files) if name.endswith("std_log.txt")] or sorted(files)
        if not named:
            return ""
        answer = self._client.workspace.jobs._requests_pipeline.get(files[named[0]])
        lines = answer.text().splitlines()[-_LOG_LINES:] if answer.status_code == 200 else []
        return "\n".join(line[:500] for line in lines)


def _job(found: Any) -> Job:
    return Job(
        name=found.name,
        status=plain(found.status),
        tags=dict(found.tags or {}),
        studio_url=found.studio_url or "",
        tracking=getattr((found.services or {}).get("Tracking"), "endpoint", "") or "",
    )
