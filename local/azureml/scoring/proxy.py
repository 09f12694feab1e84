"""The endpoint's front: checks the key, picks a deployment by weight or by name, passes the question on and the answer
back (a stream as it comes), counts.

Every request that reached a deployment ends up in the metrics with the status its caller saw. Bodies are not read.
"""

from __future__ import annotations

import asyncio
import hmac
import random
import re
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from local.azureml.cloud import ControlPlane, cloud_of
from local.azureml.control.faults import ConnectionCut, InjectedFault
from local.azureml.control.middleware import cut_connection
from local.azureml.endpoints.deployments import OnlineDeployment
from local.azureml.endpoints.models import OnlineEndpoint
from local.azureml.endpoints.replica import Replica
from local.azureml.scoring.exceptions import BadKey, NothingToAsk, TimedOut, TooMany
from local.azureml.serving.server import EVENTS
from local.azureml.serving.server import HEADER as SERVING_HEADER
from local.azureml.wire.errors import WireError

DEPLOYMENT_HEADER = "azureml-model-deployment"
_PASSED = ("extra-parameters",)
_UNFIT_FOR_ID = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class ModelAnswer:
    """What the model's container said, before the front makes its own answer of it."""

    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass
class ScoringRequest:
    """One question to one deployment, from its arrival to the last byte of the answer."""

    cloud: ControlPlane
    deployment: OnlineDeployment
    replica: Replica
    # Times of the running loop.
    begun: float
    deadline: float
    accept: str
    path: str
    # Headers that the container knows.
    passed: dict[str, str] = field(default_factory=dict)
    status: int = 500

    def count(self) -> None:
        """It has ended: into the metrics with it."""
        elapsed = (asyncio.get_running_loop().time() - self.begun) * 1000
        self.cloud.metrics.record(self.deployment.endpoint, self.deployment.name, self.status, elapsed)


class StreamedAnswer(StreamingResponse):
    """A stream on its way to the caller. When it has ended, or the caller has left, `held` is let go."""

    held: AsyncExitStack

    def __init__(self, answer: aiohttp.ClientResponse, deadline: float) -> None:
        super().__init__(answer.content.iter_any(), answer.status, media_type=answer.content_type)
        self._deadline = deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on; a stream that breaks, or lasts beyond the deployment's request timeout, is cut."""
        async with self.held:
            try:
                async with asyncio.timeout_at(self._deadline):
                    await super().__call__(scope, receive, send)
            except* (aiohttp.ClientError, TimeoutError):
                await cut_connection(scope)


async def score(request: Request) -> Response:
    """POST /endpoints/{endpoint}/{path}: `score`, or whatever else the container may have"""
    cloud = cloud_of(request)
    endpoint = cloud.endpoints.get(request.path_params["endpoint"])
    _check_key(endpoint, request.headers.get("authorization", ""))
    deployment = _choose(cloud, endpoint, request.headers.get(DEPLOYMENT_HEADER))
    body = await request.body()
    now = asyncio.get_running_loop().time()
    replica, accept = cloud.deployments.replica(deployment), request.headers.get("accept", "*/*")
    path = request.path_params.get("path", "score")
    passed = {name: request.headers[name] for name in _PASSED if name in request.headers}
    call = ScoringRequest(cloud, deployment, replica, now, now + deployment.timeout, accept, path, passed)
    async with AsyncExitStack() as held:
        held.callback(call.count)
        try:
            response = await _ask(call, body, held)
        except WireError as error:
            response = JSONResponse(error.document(), error.status)
        call.status = response.status_code
        if isinstance(response, StreamedAnswer):
            response.held = held.pop_all()
    return _labelled(response, request, deployment)


def _labelled(response: Response, request: Request, deployment: OnlineDeployment) -> Response:
    response.headers[DEPLOYMENT_HEADER] = deployment.name
    response.headers["x-ms-request-id"] = str(uuid.uuid4())
    if given := request.headers.get("x-ms-client-request-id"):
        response.headers["x-ms-client-request-id"] = _UNFIT_FOR_ID.sub("", given)[:40]
    return response


def _check_key(endpoint: OnlineEndpoint, authorization: str) -> None:
    scheme, _, given = authorization.partition(" ")
    keys = (endpoint.keys.primary, endpoint.keys.secondary)
    fits = [hmac.compare_digest(given.encode(), key.encode()) for key in keys]
    if scheme.lower() != "bearer" or not any(fits):
        raise BadKey


def _choose(cloud: ControlPlane, endpoint: OnlineEndpoint, named: str | None) -> OnlineDeployment:
    """The deployment named in the header whatever its weight, otherwise one by weight."""
    if named is None:
        if not endpoint.traffic:
            raise NothingToAsk(f"No deployment of endpoint {endpoint.name} has traffic.")
        named = random.choices(list(endpoint.traffic), list(endpoint.traffic.values()))[0]
    deployment = cloud.deployments.table.get(f"{endpoint.name}/{named}")
    if deployment is None:
        raise NothingToAsk(f"Endpoint {endpoint.name} has no deployment {named}.")
    return deployment


async def _ask(call: ScoringRequest, body: bytes, held: AsyncExitStack) -> Response:
    deployment, replica = call.deployment, call.replica
    if replica.in_flight >= 2 * deployment.concurrency * deployment.instances:
        raise TooMany(f"{replica.in_flight} requests are in flight at deployment {deployment.name}.")
    held.enter_context(replica.busy())
    try:
        async with asyncio.timeout_at(call.deadline):
            fault = call.cloud.faults.take_scoring(deployment.endpoint, deployment.name, call.path)
            answer = await _answer(call, body, held, fault)
    except TimeoutError as error:
        raise TimedOut(f"No answer within {deployment.timeout:g} seconds.") from error
    return answer if isinstance(answer, Response) else _fronted(answer)


async def _answer(
    call: ScoringRequest, body: bytes, held: AsyncExitStack, fault: InjectedFault | None
) -> ModelAnswer | Response:
    if fault is None:
        return await _ask_model(call, body, held)
    await fault.pause()
    if fault.close and not fault.after:
        raise ConnectionCut
    asked = await _ask_model(call, body, held) if fault.after or not fault.answers else None
    if fault.close:
        raise ConnectionCut
    if fault.model_status is not None:
        return ModelAnswer(fault.model_status, fault.body_bytes())
    if fault.answers:
        return fault.response()
    assert asked is not None
    return asked


async def _ask_model(call: ScoringRequest, body: bytes, held: AsyncExitStack) -> ModelAnswer | Response:
    """The container's answer, read to its end; only a stream is handed on as it comes."""
    deployment, replica = call.deployment, call.replica
    if deployment.state == "Failed" and not replica.ready.is_set():
        return ModelAnswer(502, b'{"error": "The model container is not running."}')
    # After a restart of the cloud the process may still be starting: the request waits for it.
    await replica.ready.wait()
    headers = {"Content-Type": "application/json", "Accept": call.accept, **call.passed}
    serving = call.cloud.pacer.settings.serving_of(deployment.key)
    headers[SERVING_HEADER] = msgspec.json.encode(serving).decode()
    asking = call.cloud.session.post(f"http://127.0.0.1:{replica.port}/{call.path}", data=body, headers=headers)
    try:
        answer = await held.enter_async_context(asking)
        if answer.content_type == EVENTS:
            return StreamedAnswer(answer, call.deadline)
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
