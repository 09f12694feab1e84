"""The host's own addresses: `/healthz`, `/admin/host/status` and `POST /admin/functions/<name>`.

Only the last needs a key (the master key). It answers 202 at once; with `?wait=true`, which Azure does not
know, when the function has ended, with its result.
"""

import asyncio
import json
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.host import keys, timers, webhooks
from local.host.errors import InvocationFailed
from local.host.functions import Function, Kind
from local.host.invocations import Invoker, TriggerInput, new_id
from local.host.keys import HostKeys


def _queue_input(_function: Function, text: str) -> TriggerInput:
    from local.host import queues  # brings the storage SDK

    return queues.by_hand(text)


def _event_input(_function: Function, text: str) -> TriggerInput:
    (event,) = webhooks.parse_events(text.encode())
    return webhooks.by_hand(json.dumps(event))


_INPUTS: dict[Kind, Callable[[Function, str], TriggerInput]] = {
    "eventGridTrigger": _event_input,
    "queueTrigger": _queue_input,
    "timerTrigger": timers.by_hand,
}


class Admin:
    """The administrative endpoints of one host."""

    def __init__(self, functions: Sequence[Function], keys: HostKeys, invoker: Invoker) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._keys = keys
        self._invoker = invoker
        self._background: set[asyncio.Task[Response]] = set()

    async def health(self, _request: Request) -> Response:
        """The host listens only once it is ready."""
        return JSONResponse({"status": "ok"})

    async def status(self, _request: Request) -> Response:
        names = sorted(function.name for function in self._functions.values())
        return JSONResponse({"state": "Running", "functions": names})

    async def run(self, request: Request) -> Response:
        """Run a function that HTTP does not trigger, with `{"input": "..."}` as its message or event."""
        if not self._keys.allow("admin", keys.offered(request.query_params, request.headers)):
            return Response(status_code=401)
        function = self._functions.get(request.path_params["name"].lower())
        if not function:
            return Response(status_code=404)
        if not (prepare := _INPUTS.get(function.kind)):
            return _error(400, f"{function.name} has an HTTP trigger: call its route")
        try:
            given = prepare(function, _text(await request.body()))
        except ValueError as wrong:
            return _error(400, str(wrong))
        call = asyncio.create_task(self._call(function, given))
        if request.query_params.get("wait") == "true":
            return await asyncio.shield(call)
        self._background.add(call)
        call.add_done_callback(self._background.discard)
        return Response(status_code=202)

    async def _call(self, function: Function, given: TriggerInput) -> Response:
        invocation = {"function": function.name, "invocation_id": new_id()}
        try:
            await self._invoker.run(function, given, invocation["invocation_id"])
        except InvocationFailed as failure:
            return JSONResponse({**invocation, "result": "failed", "error": str(failure)}, 500)
        return JSONResponse({**invocation, "result": "succeeded"})


def _text(body: bytes) -> str:
    """The `input` of the request, as text whatever it is; ValueError if the body is not an object."""
    content = json.loads(body or b"{}")
    if not isinstance(content, dict):
        raise ValueError('the body must be an object like {"input": "..."}')
    given = content.get("input", "")
    return given if isinstance(given, str) else json.dumps(given)


def _error(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
