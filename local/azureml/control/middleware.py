"""The door: notes every request and lets faults happen to it. Plain ASGI, around the whole app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.azureml.control.faults import ConnectionCut, InjectedFault, InjectedFaults
from local.azureml.control.requests import RequestLog

_CONNECTION = "droptune.connection"
_UNSEEN = ("/_control/", "/healthz")


class ControlMiddleware:
    """Middleware in front of all routes."""

    def __init__(self, app: ASGIApp, faults: InjectedFaults, log: RequestLog) -> None:
        self._app = app
        self._faults = faults
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"].startswith(_UNSEEN):
            await self._app(scope, receive, send)
            return
        scope[_CONNECTION] = send
        body = await _read(receive)
        query = scope["query_string"].decode()
        entry = self._log.add(scope["method"], scope["path"], query, body)
        target = f"{scope['path']}?{query}" if query else scope["path"]
        fault = self._faults.take(scope["method"], target)
        noting = _noting(send, entry)
        try:
            if fault is None:
                await self._app(scope, _replay(body, receive), noting)
            else:
                await self._with_fault(fault, scope, _replay(body, receive), noting)
        except ConnectionCut:
            await cut(send)

    async def _with_fault(self, fault: InjectedFault, scope: Scope, receive: Receive, send: Send) -> None:
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        if fault.after:
            await self._app(scope, receive, hold)
        await fault.pause()
        if fault.close:
            raise ConnectionCut
        if fault.answers:
            await fault.response()(scope, receive, send)
        elif fault.after:
            for message in held:
                await send(message)
        else:
            await self._app(scope, receive, send)


async def _read(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that hands the body out once, then waits for the disconnect."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _noting(send: Send, entry: dict[str, Any]) -> Callable[[Message], Awaitable[None]]:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            entry["status"] = message["status"]
        await send(message)

    return noting


class CutResponse(Response):
    """What a handler that raised ConnectionCut answers: nothing, over a connection that is gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Cut it."""
        await cut_connection(scope)


async def answer_cut(request: Request, error: Exception) -> Response:
    """Exception handler for ConnectionCut."""
    return CutResponse()


async def cut_connection(scope: Scope) -> None:
    """Cut the connection that the door has left in the scope, for a response that cannot go on."""
    await cut(scope[_CONNECTION])


async def cut(send: Send) -> None:
    """Abort the connection. ASGI has no word for it; uvicorn's `send` is a method of the transport's holder."""
    transport: Any = getattr(send, "__self__").transport  # noqa: B009
    transport.abort()
    # Let the server notice before the app returns without an answer.
    await asyncio.sleep(0)
