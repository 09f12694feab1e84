"""The control API: pace, settings, faults, what arrived, waiting. JSON, no token, loopback only."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import ControlPlane, cloud_of
from local.azureml.control.faults import FaultRequest, InjectedFault, pattern
from local.azureml.identity.roles import check_known
from local.azureml.settings import changed
from local.azureml.wire.errors import ResourceNotFound, WireError

DEFAULT_TIMEOUT = 30.0


class BadControl(WireError):
    """The control API does not understand."""


async def get_settings(request: Request) -> Response:
    """GET /_control/settings"""
    return JSONResponse(msgspec.to_builtins(cloud_of(request).pacer.settings))


async def put_settings(request: Request) -> Response:
    """PUT /_control/settings: change some"""
    pacer = cloud_of(request).pacer
    settings = with_changes(pacer.settings, await body_of(request, dict[str, Any]))
    check_known(settings.roles or {})
    pacer.change(settings)
    return await get_settings(request)


async def put_pace(request: Request) -> Response:
    """PUT /_control/pace: change some"""
    pacer = cloud_of(request).pacer
    pace = with_changes(pacer.settings.pace, await body_of(request, dict[str, Any]))
    pacer.change(msgspec.structs.replace(pacer.settings, pace=pace))
    return JSONResponse(msgspec.to_builtins(pace))


async def body_of[T](request: Request, kind: type[T]) -> T:
    """The body of a control request; BadControl says what is wrong with it."""
    try:
        return msgspec.json.decode(await request.body() or b"{}", type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise BadControl(f"the body: {error}") from error


def number_of(request: Request, name: str, default: float) -> float:
    """A number in the query; BadControl if it is none."""
    given = request.query_params.get(name)
    try:
        return default if given is None else float(given)
    except ValueError as error:
        raise BadControl(f"{name} {given!r} is no number") from error


class _Advance(msgspec.Struct, forbid_unknown_fields=True):
    advance_seconds: float


def with_changes[T: msgspec.Struct](current: T, changes: dict[str, Any]) -> T:
    """A copy with some values replaced; BadControl for unknown names and wrong types."""
    try:
        return changed(current, changes)
    except msgspec.ValidationError as error:
        raise BadControl(str(error)) from error


async def advance_clock(request: Request) -> Response:
    """POST /_control/clock {"advance_seconds": n}: time stamps and metrics move on"""
    clock = cloud_of(request).clock
    clock.advance((await body_of(request, _Advance)).advance_seconds)
    return JSONResponse({"now": clock.stamp()})


async def add_fault(request: Request) -> Response:
    """POST /_control/faults"""
    wanted = await body_of(request, FaultRequest)
    return JSONResponse({"id": cloud_of(request).faults.add(wanted).id}, 201)


async def list_faults(request: Request) -> Response:
    """GET /_control/faults: what is set, how often each was met, and what is planned"""
    cloud = cloud_of(request)
    return JSONResponse({"faults": [_described(fault) for fault in cloud.faults.all()], "planned": _planned(cloud)})


def _described(fault: InjectedFault) -> dict[str, Any]:
    return {"id": fault.id, "hits": fault.hits, **msgspec.to_builtins(fault.wanted)}


def _planned(cloud: ControlPlane) -> list[str]:
    """What is to happen to jobs, deployments and clusters, and has not."""
    return [
        *(f"jobs/{pattern}" for pattern in cloud.runner.outcomes.waiting),
        *(f"endpoints/{name}" for name in cloud.endpoints.to_fail),
        *(f"deployments/{name}" for name in cloud.deployments.to_fail),
        *(f"computes/{name}" for name in cloud.computes.to_fail),
    ]


async def clear_faults(request: Request) -> Response:
    """DELETE /_control/faults: all of them, and outcomes planned for jobs and deployments; says what nothing met"""
    cloud = cloud_of(request)
    planned = _planned(cloud)
    unused = [_described(fault) for fault in cloud.faults.clear()]
    cloud.runner.outcomes.clear()
    cloud.endpoints.to_fail.clear()
    cloud.deployments.clear_failures()
    cloud.computes.to_fail.clear()
    return JSONResponse({"unused": unused, "planned": planned})


async def reached(request: Request) -> Response:
    """GET /_control/faults/{id}/reached?timeout=S: wait until it was hit"""
    fault = _fault(request)
    try:
        async with asyncio.timeout(_timeout(request)):
            await fault.reached.wait()
    except TimeoutError:
        return JSONResponse({"reached": False, "hits": fault.hits}, 408)
    return JSONResponse({"reached": True, "hits": fault.hits})


async def release(request: Request) -> Response:
    """POST /_control/faults/{id}/release: let held requests go on, and hold no more"""
    _fault(request).released.set()
    return JSONResponse({})


async def list_requests(request: Request) -> Response:
    """GET /_control/requests?method=&path=[&at_least=n&timeout=S]: what arrived, waiting for n of them"""
    log = cloud_of(request).requests
    query = request.query_params
    method, path = query.get("method", "").upper(), query.get("path", "")
    at_least = int(number_of(request, "at_least", 0))
    _check("path", path)
    try:
        async with asyncio.timeout(_timeout(request)):
            await log.wait(method, path, at_least)
    except TimeoutError:
        return JSONResponse({"value": log.find(method, path)}, 408)
    return JSONResponse({"value": log.find(method, path)})


async def clear_requests(request: Request) -> Response:
    """DELETE /_control/requests"""
    cloud_of(request).requests.clear()
    return JSONResponse({})


async def idle(request: Request) -> Response:
    """GET /_control/idle?timeout=S: wait until no job and no operation moves and all events are out"""
    cloud = cloud_of(request)
    try:
        async with asyncio.timeout(_timeout(request)):
            await cloud.operations.idle()
            await cloud.publisher.idle()
    except TimeoutError:
        return JSONResponse({"idle": False, "moving": cloud.operations.moving()}, 408)
    return JSONResponse({"idle": True, "moving": []})


def _fault(request: Request) -> InjectedFault:
    fault = cloud_of(request).faults.get(request.path_params["id"])
    if fault is None:
        raise ResourceNotFound(f"There is no fault {request.path_params['id']}.")
    return fault


def _timeout(request: Request) -> float:
    return number_of(request, "timeout", DEFAULT_TIMEOUT)


def _check(name: str, text: str) -> None:
    try:
        pattern(name, text)
    except ValueError as error:
        raise BadControl(str(error)) from error
