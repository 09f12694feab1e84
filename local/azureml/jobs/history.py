"""The run history service: details with the error, child runs, log files."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.events.publisher import experiment_id
from local.azureml.jobs.documents import ChildRun, PipelineJob, RunError
from local.azureml.jobs.exceptions import NoSuchJob
from local.azureml.wire.errors import Unauthorized

PIPELINE_LOG = "logs/azureml/executionlogs.txt"
STEP_LOG = "user_logs/std_log.txt"


async def details(request: Request) -> Response:
    """GET {history}/runs/{run}/details"""
    job, step = _find(request)
    if step is None:
        return JSONResponse({**_run(job), "logFiles": {PIPELINE_LOG: _log_url(request, job.name)}})
    logs = {STEP_LOG: _log_url(request, step.run_id)} if step.started else {}
    return JSONResponse({**_child(job, step), "logFiles": logs})


async def get(request: Request) -> Response:
    """GET {history}/runs/{run}"""
    job, step = _find(request)
    return JSONResponse(_run(job) if step is None else _child(job, step))


async def children(request: Request) -> Response:
    """GET {history}/runs/{run}/children"""
    job, step = _find(request)
    rows = [_child(job, child) for child in job.steps] if step is None else []
    top = request.query_params.get("$top")
    return JSONResponse({"value": rows[: int(top)] if top else rows})


async def patch(request: Request) -> Response:
    """PATCH {history}/experiments/{experiment}/runs/{run}"""
    job = cloud_of(request).jobs.patch(request.path_params["run"], await request.json())
    return JSONResponse(_run(job))


async def log_file(request: Request) -> Response:
    """GET /logs/{run}?sig=: what `logFiles` point to, signed instead of guarded, as blob links are"""
    cloud, run = cloud_of(request), request.path_params["run"]
    if not hmac.compare_digest(request.query_params.get("sig", ""), _signature(request, run)):
        raise Unauthorized("The signature does not fit.")
    job, step = _find(request)
    if step is None:
        return PlainTextResponse(_execution_log(job))
    path = cloud.runner.log_file(job.name, step)
    return PlainTextResponse(path.read_bytes() if path.exists() else b"")


def _find(request: Request) -> tuple[PipelineJob, ChildRun | None]:
    jobs, run = cloud_of(request).jobs, request.path_params["run"]
    try:
        return jobs.get(run), None
    except NoSuchJob:
        return jobs.step(run)


def _signature(request: Request, run: str) -> str:
    secret = cloud_of(request).identity_header.encode()
    return hmac.new(secret, run.encode(), hashlib.sha256).hexdigest()


def _log_url(request: Request, run: str) -> str:
    return f"{cloud_of(request).addresses.base}/logs/{run}?sig={_signature(request, run)}"


def _execution_log(job: PipelineJob) -> str:
    """One line for each thing that happened, as the pipeline's own log has it."""
    lines = []
    for step in job.steps:
        if step.started:
            lines.append(f"[{step.started}] Step {step.name} started (run {step.run_id}).")
        if step.ended:
            lines.append(f"[{step.ended}] Step {step.name} ended: {step.status}.")
        if step.error:
            lines.append(f"[{step.ended}] {step.name}: {step.error.message}")
    return "".join(f"{line}\n" for line in lines)


def _run(job: PipelineJob) -> dict[str, Any]:
    properties = job.properties
    return {
        "runId": job.name,
        "rootRunId": job.name,
        "runType": "azureml.PipelineRun",
        "displayName": properties.get("displayName") or job.name,
        "description": properties.get("description"),
        "experimentId": experiment_id(job.experiment),
        "status": job.status,
        "createdUtc": job.times.created,
        "startTimeUtc": job.started,
        "endTimeUtc": job.ended,
        "tags": properties.get("tags") or {},
        "properties": {**(properties.get("properties") or {}), "azureml.runsource": "azureml.PipelineRun"},
        "error": _error(job.error),
    }


def _child(job: PipelineJob, step: ChildRun) -> dict[str, Any]:
    return {
        "runId": step.run_id,
        "parentRunId": job.name,
        "rootRunId": job.name,
        "runType": "azureml.StepRun",
        "displayName": step.name,
        "experimentId": experiment_id(job.experiment),
        "status": step.status,
        "createdUtc": job.times.created,
        "startTimeUtc": step.started,
        "endTimeUtc": step.ended,
        "tags": {},
        "properties": {"azureml.moduleName": step.name, "azureml.pipelinerunid": job.name},
        "error": _error(step.error),
    }


def _error(error: RunError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"error": {"code": error.code, "message": error.message, "messageParameters": {}, "details": []}}
