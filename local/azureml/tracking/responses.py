"""The routes that MLflow's clients use of a run: read it, read a metric's history, log."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.events.publisher import experiment_id
from local.azureml.jobs.documents import PipelineJob
from local.azureml.jobs.exceptions import NoSuchJob
from local.azureml.tracking.exceptions import InvalidValue, NoSuchRun
from local.azureml.tracking.models import LoggedMetric

# Azure ML's words for a run's status, in MLflow's.
_STATUSES = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}


class LogBatch(msgspec.Struct):
    """The body of `runs/log-batch`, as far as it is kept."""

    run_id: str
    metrics: list[LoggedMetric] = []


async def get_run(request: Request) -> Response:
    """GET {mlflow}/runs/get?run_id="""
    run = request.query_params.get("run_id", "")
    job, status = _find(request, run)
    info = {
        "run_id": run,
        "run_uuid": run,
        "experiment_id": experiment_id(job.experiment),
        "status": _STATUSES.get(status, "RUNNING" if job.started else "SCHEDULED"),
        "lifecycle_stage": "active",
    }
    latest = [msgspec.to_builtins(metric) for metric in cloud_of(request).logs.latest(run)]
    return JSONResponse({"run": {"info": info, "data": {"metrics": latest, "params": [], "tags": []}}})


async def get_history(request: Request) -> Response:
    """GET {mlflow}/metrics/get-history?run_id=&metric_key=[&max_results=]"""
    run, key = (request.query_params.get(name, "") for name in ("run_id", "metric_key"))
    _find(request, run)
    most = request.query_params.get("max_results", "")
    found = cloud_of(request).logs.history(run, key)[: int(most) if most.isdecimal() else None]
    return JSONResponse({"metrics": [msgspec.to_builtins(metric) for metric in found]})


async def log_batch(request: Request) -> Response:
    """POST {mlflow}/runs/log-batch"""
    try:
        batch = msgspec.json.decode(await request.body(), type=LogBatch)
    except msgspec.DecodeError as error:
        raise InvalidValue(str(error)) from error
    _find(request, batch.run_id)
    cloud_of(request).logs.add(batch.run_id, batch.metrics)
    return JSONResponse({})


def _find(request: Request, run: str) -> tuple[PipelineJob, str]:
    """The job that a run is, or is a step of, and the run's status."""
    jobs = cloud_of(request).jobs
    try:
        job = jobs.get(run)
        return job, job.status
    except NoSuchJob:
        try:
            job, step = jobs.step(run)
        except NoSuchJob as error:
            raise NoSuchRun(run) from error
        return job, step.status
