"""The Event Grid webhook, `/runtime/webhooks/EventGrid?functionName=<name>&code=<system key>`.

Answers the validation handshakes of both schemas and runs the function once for each event, all events of a
request at the same time. 200 means that every one succeeded; 500 asks Event Grid to deliver the whole request
again, 400 not to.
"""

import asyncio
import json
import math
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.host import keys
from local.host.errors import InvocationFailed
from local.host.functions import Function
from local.host.invocations import Invoker, TriggerInput
from local.host.keys import HostKeys
from local.host.messages import TypedData

_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"


class EventGridWebhook:
    """All Event Grid functions of the app."""

    def __init__(self, functions: list[Function], keys: HostKeys, invoker: Invoker) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._keys = keys
        self._invoker = invoker

    async def respond(self, request: Request) -> Response:
        """Answer one delivery or handshake."""
        query = request.query_params
        if not self._keys.allow("eventgrid", keys.offered(query, request.headers)):
            return Response(status_code=401)
        name = query.get("functionName", "")
        function = self._functions.get(name.lower())
        if not function:
            return _refusal(404, f"there is no Event Grid function {name!r}")
        if request.method == "OPTIONS":
            return _allowed(request)
        if request.headers.get("aeg-event-type", "").lower() == "unsubscribe":
            return Response(status_code=202)
        try:
            events = parse_events(await request.body())
        except ValueError as wrong:
            return _refusal(400, str(wrong))
        if code := _validation_code(events):
            return JSONResponse({"validationResponse": code})
        runs = (self._invoker.run(function, by_hand(json.dumps(event))) for event in events)
        results = await asyncio.gather(*runs, return_exceptions=True)
        failed = any(isinstance(result, InvocationFailed) for result in results)
        return Response(status_code=500 if failed else 200)


def parse_events(body: bytes) -> list[dict[str, Any]]:
    """The events of a delivery, one or an array, in either schema; ValueError if it is none.

    As the service's host hands them on: half a surrogate pair, which no message to a worker can hold, is replaced, and
    a number that is none is text.
    """
    try:
        content = _sendable(json.loads(body))
    except ValueError as wrong:
        raise ValueError(f"the body is not JSON: {wrong}") from wrong
    events = content if isinstance(content, list) else [content]
    for event in events:
        if not isinstance(event, dict):
            raise ValueError("an event must be an object")
        if not isinstance(event.get("type" if "specversion" in event else "eventType"), str):
            raise ValueError("an event must have an eventType, or specversion and type")
    if not events:
        raise ValueError("there is no event in the array")
    return events


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {_sendable(key): _sendable(inner) for key, inner in value.items()}
    return [_sendable(inner) for inner in value] if isinstance(value, list) else value


def by_hand(event: str) -> TriggerInput:
    """What an Event Grid function gets: one event, as JSON."""
    return TriggerInput(TypedData(json=event))


def _validation_code(events: list[dict[str, Any]]) -> str | None:
    """The code to send back if this is Event Grid's validation handshake."""
    first = events[0]
    if first.get("eventType") != _VALIDATION or not isinstance(first.get("data"), dict):
        return None
    code = first["data"].get("validationCode")
    return code if isinstance(code, str) else None


def _allowed(request: Request) -> Response:
    """The answer to the handshake of CloudEvents: who may send, and how much."""
    origin = request.headers.get("webhook-request-origin")
    if not origin:
        return _refusal(400, "WebHook-Request-Origin is missing")
    return Response(headers={"webhook-allowed-origin": origin, "webhook-allowed-rate": "*"})


def _refusal(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
