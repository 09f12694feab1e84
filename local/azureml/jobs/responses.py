"""Job documents, submission, cancellation; the control API for jobs."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.control.faults import pattern as regular_expression
from local.azureml.control.responses import body_of, number_of
from local.azureml.jobs.documents import HALTED, ChildRun, PipelineJob
from local.azureml.jobs.exceptions import NoSuchJob
from local.azureml.jobs.outcomes import OUTCOMES, JobOutcome
from local.azureml.wire.documents import document
from local.azureml.wire.errors import WireError


async def put(request: Request) -> Response:
    """PUT {ws}/jobs/{name}"""
    cloud = cloud_of(request)
    cloud.tokens.check_aml(request.headers.get("x-azureml-token", ""))
    job, new = cloud.jobs.put(request.path_params["name"], await request.json())
    return JSONResponse(_document(request, job), 201 if new else 200)


async def get(request: Request) -> Response:
    """GET {ws}/jobs/{name}: a job, or a step of one by its run id"""
    cloud, name = cloud_of(request), request.path_params["name"]
    try:
        return JSONResponse(_document(request, cloud.jobs.get(name)))
    except NoSuchJob:
        job, step = cloud.jobs.step(name)
        return JSONResponse(_step_document(request, job, step))


async def list_jobs(request: Request) -> Response:
    """GET {ws}/jobs[?listViewType=&tag=]"""
    view = request.query_params.get("listViewType", "ActiveOnly")
    wanted = request.query_params.get("tag")
    rows = [
        _document(request, job)
        for job in cloud_of(request).jobs.all()
        if _viewed(job, view) and (not wanted or _tagged(job, wanted))
    ]
    return JSONResponse({"value": rows})


async def cancel(request: Request) -> Response:
    """POST {ws}/jobs/{name}/cancel"""
    cloud_of(request).jobs.cancel(request.path_params["name"])
    return Response(status_code=200)


def _viewed(job: PipelineJob, view: str) -> bool:
    return view == "All" or bool(job.properties.get("isArchived")) == (view == "ArchivedOnly")


def _tagged(job: PipelineJob, wanted: str) -> bool:
    tags = job.properties.get("tags") or {}
    key, equals, value = wanted.partition("=")
    return key in tags and (not equals or tags[key] == value)


def _document(request: Request, job: PipelineJob) -> dict[str, Any]:
    properties = {
        **job.properties,
        "properties": job.properties.get("properties") or {},
        "tags": job.properties.get("tags") or {},
        "experimentName": job.experiment,
        "status": job.status,
        "services": _services(request, job.name),
    }
    identity = f"{cloud_of(request).addresses.workspace_id}/jobs/{job.name}"
    return document(identity, "workspaces/jobs", properties, job.times)


def _step_document(request: Request, job: PipelineJob, step: ChildRun) -> dict[str, Any]:
    # A child run is visible here under the base type, which sends the SDK to the history service.
    properties = {
        "jobType": "Base",
        "displayName": step.name,
        "experimentName": job.experiment,
        "status": step.status,
        "properties": {"azureml.pipelinerunid": job.name},
        "tags": {},
        "services": _services(request, step.run_id),
    }
    identity = f"{cloud_of(request).addresses.workspace_id}/jobs/{step.run_id}"
    return document(identity, "workspaces/jobs", properties, job.times)


def _services(request: Request, run: str) -> dict[str, Any]:
    addresses = cloud_of(request).addresses
    # The SDK puts the tenant behind it, of the token that it was asked with.
    studio = f"{addresses.base}/runs/{run}?wsid={addresses.workspace_id}"
    return {
        "Studio": {"endpoint": studio, "jobServiceType": "Studio"},
        "Tracking": {"endpoint": addresses.tracking(), "jobServiceType": "Tracking"},
    }


class UnknownOutcome(WireError):
    """The control API was asked for something it cannot do."""


async def set_outcome(request: Request) -> Response:
    """POST /_control/jobs/{name}: end a running job, or plan the end of a coming one (name or pattern).

    `{"outcome", "step", "message", "code", "times"}`. With a step the ending waits for that step; without
    one a job that is running ends now. `release` lets a held job go on.
    """
    cloud, name = cloud_of(request), request.path_params["name"]
    body = await body_of(request, dict[str, Any])
    if body.get("outcome") == "release":
        cloud.runner.start(cloud.jobs.get(name))
        return JSONResponse({"applied": "now"})
    try:
        outcome, pattern = msgspec.convert(body, JobOutcome), regular_expression("the job's name", name)
    except ValueError as error:
        raise UnknownOutcome(str(error)) from error
    if outcome.outcome not in OUTCOMES:
        raise UnknownOutcome(f"outcome is one of {', '.join(OUTCOMES)}, release; found '{outcome.outcome}'.")
    job = cloud.jobs.table.get(name)
    running = job is not None and not job.vanished and job.status not in HALTED
    if (outcome.outcome == "vanish" and job is not None) or (running and not outcome.step):
        assert job is not None
        cloud.runner.force(job, outcome)
        return JSONResponse({"applied": "now"})
    steps = {fact.name for fact in cloud.registry.component.steps}
    if outcome.step and outcome.step not in steps:
        raise UnknownOutcome(f"no job comes to a step '{outcome.step}'; there are {', '.join(sorted(steps))}.")
    if job is not None and not running:
        raise UnknownOutcome(f"{name} has ended ({job.status}): nothing will happen to it any more.")
    cloud.runner.outcomes.plan(pattern, outcome)
    matching = [known.name for known in cloud.jobs.all() if pattern.fullmatch(known.name)]
    return JSONResponse({"applied": "later", "matching": matching})


async def outcome_reached(request: Request) -> Response:
    """GET /_control/jobs/{name}/reached?timeout=S: wait until a job met the outcome planned for it"""
    try:
        async with asyncio.timeout(number_of(request, "timeout", 30)):
            await cloud_of(request).runner.outcomes.reached(request.path_params["name"])
    except TimeoutError:
        return JSONResponse({"reached": False}, 408)
    return JSONResponse({"reached": True})
