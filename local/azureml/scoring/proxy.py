"""The endpoint's front: checks the key, picks a deployment by weight or by name, passes the request on,
counts.

Every request that reached a deployment ends up in the metrics with the status its caller saw.
"""

from __future__ import annotations

import asyncio
import hmac
import random
import re
import time
import uuid
from dataclasses import dataclass

import aiohttp
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import Cloud, cloud_of
from local.azureml.control.faults import Cut, Fault
from local.azureml.endpoints.deployments import Deployment
from local.azureml.endpoints.models import Endpoint
from local.azureml.endpoints.replica import Replica
from local.azureml.scoring.exceptions import BadKey, NothingToAsk, TimedOut, TooMany
from local.azureml.wire.errors import WireError

DEPLOYMENT_HEADER = "azureml-model-deployment"
_UNFIT_FOR_ID = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class ModelAnswer:
    """What the model's container said, before the front makes its own answer of it."""

    status: int
    body: bytes
    content_type: str = "application/json"


async def score(request: Request) -> Response:
    """POST /endpoints/{endpoint}/score"""
    cloud = cloud_of(request)
    endpoint = cloud.endpoints.get(request.path_params["endpoint"])
    _check_key(endpoint, request.headers.get("authorization", ""))
    deployment = _choose(cloud, endpoint, request.headers.get(DEPLOYMENT_HEADER))
    begun = time.monotonic()
    status = 500
    try:
        response = await _ask(cloud, deployment, await request.body())
        status = response.status_code
    except WireError as error:
        status = error.status
        response = JSONResponse(error.document(), status)
    finally:
        elapsed = (time.monotonic() - begun) * 1000
        cloud.metrics.record(endpoint.name, deployment.name, status, elapsed)
    return _labelled(response, request, deployment)


def _labelled(response: Response, request: Request, deployment: Deployment) -> Response:
    response.headers[DEPLOYMENT_HEADER] = deployment.name
    response.headers["x-ms-request-id"] = str(uuid.uuid4())
    if given := request.headers.get("x-ms-client-request-id"):
        response.headers["x-ms-client-request-id"] = _UNFIT_FOR_ID.sub("", given)[:40]
    return response


def _check_key(endpoint: Endpoint, authorization: str) -> None:
    scheme, _, given = authorization.partition(" ")
    keys = (endpoint.keys.primary, endpoint.keys.secondary)
    fits = [hmac.compare_digest(given.encode(), key.encode()) for key in keys]
    if scheme.lower() != "bearer" or not any(fits):
        raise BadKey


def _choose(cloud: Cloud, endpoint: Endpoint, named: str | None) -> Deployment:
    """The deployment named in the header whatever its weight, otherwise one by weight."""
    if named is None:
        if not endpoint.traffic:
            raise NothingToAsk(f"No deployment of endpoint {endpoint.name} has traffic.")
        named = random.choices(list(endpoint.traffic), list(endpoint.traffic.values()))[0]
    deployment = cloud.deployments.table.get(f"{endpoint.name}/{named}")
    if deployment is None:
        raise NothingToAsk(f"Endpoint {endpoint.name} has no deployment {named}.")
    return deployment


async def _ask(cloud: Cloud, deployment: Deployment, body: bytes) -> Response:
    replica = cloud.deployments.replica(deployment)
    if replica.in_flight >= 2 * deployment.concurrency * deployment.instances:
        raise TooMany(f"{replica.in_flight} requests are in flight at deployment {deployment.name}.")
    replica.in_flight += 1
    try:
        async with asyncio.timeout(deployment.timeout):
            fault = cloud.faults.take_scoring(deployment.endpoint, deployment.name)
            answer = await _answer(cloud, deployment, replica, body, fault)
    except TimeoutError as error:
        raise TimedOut(f"No answer within {deployment.timeout:g} seconds.") from error
    finally:
        replica.in_flight -= 1
    return answer if isinstance(answer, Response) else _fronted(answer)


async def _answer(
    cloud: Cloud, deployment: Deployment, replica: Replica, body: bytes, fault: Fault | None
) -> ModelAnswer | Response:
    if fault is None:
        return await _ask_model(cloud, deployment, replica, body)
    await fault.pause()
    if fault.close and not fault.after:
        raise Cut
    asked = await _ask_model(cloud, deployment, replica, body) if fault.after or not fault.answers else None
    if fault.close:
        raise Cut
    if fault.model_status is not None:
        return ModelAnswer(fault.model_status, fault.body_bytes())
    if fault.answers:
        return fault.response()
    assert asked is not None
    return asked


async def _ask_model(cloud: Cloud, deployment: Deployment, replica: Replica, body: bytes) -> ModelAnswer:
    if deployment.state == "Failed" and not replica.ready.is_set():
        return ModelAnswer(502, b'{"error": "The model container is not running."}')
    # After a restart of the cloud the process may still be starting: the request waits for it.
    await replica.ready.wait()
    url = f"http://127.0.0.1:{replica.port}/score"
    try:
        async with cloud.session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            return ModelAnswer(answer.status, await answer.read(), answer.content_type)
    except aiohttp.ClientError as error:
        return ModelAnswer(502, f'{{"error": "{type(error).__name__}"}}'.encode())


def _fronted(answer: ModelAnswer) -> Response:
    """200 passes; anything else the model says becomes 424 with its own status in headers."""
    if answer.status == 200:
        return Response(answer.body, 200, media_type=answer.content_type)
    headers = {
        "ms-azureml-model-error-statuscode": str(answer.status),
        "ms-azureml-model-error-reason": "model_error",
    }
    return Response(answer.body, 424, headers, answer.content_type)
