"""HTTP for apps that import azurefunctions-extensions-http-fastapi: requests and responses are streamed.

The runtime then starts an inner HTTP server beside the app. `http` still finds the function and checks the
key; the client's request goes to that server with the invocation's id, and at the same time the invocation is
made with the route parameters only. The two meet inside of the runtime. This is what Azure's host does.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from local.host import runtime
from local.host.functions import Function
from local.host.invocations import Input, Invoker, new_id
from local.host.messages import RpcHttp, TypedData

_HOP_BY_HOP = (b"connection", b"keep-alive", b"transfer-encoding", b"te", b"upgrade", b"host")
_OURS = (b"date", b"server")


async def until_open(address: str) -> None:
    """Wait until the inner server, which starts by itself on the current loop, takes connections."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


class _Forwarded(StreamingResponse):
    """An answer on its way to the client; `on_end` is called when it has been sent, or the client has left."""

    on_end: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.on_end()


class Forwarder:
    """Sends requests on to the app's inner server at `address`; close() when done."""

    def __init__(self, address: str, invoker: Invoker) -> None:
        import httpx  # only streaming apps pay for it

        self._client = httpx.AsyncClient(timeout=None, trust_env=False)
        self._address = httpx.URL(address)
        self._invoker = invoker
        self._closing: set[asyncio.Task[None]] = set()

    async def respond(self, request: Request, function: Function, rpc: RpcHttp) -> Response:
        """The inner server's response as it comes; an empty 500 if the function failed, 502 if that server did."""
        invocation_id = new_id()
        sent = asyncio.create_task(self._send(request, invocation_id))
        call = asyncio.create_task(self._invoker.run(function, Input(TypedData(http=rpc)), invocation_id))
        await asyncio.wait((sent, call), return_when=asyncio.FIRST_COMPLETED)
        if sent.done() and sent.exception():
            call.cancel()
            return self._refusal(502, invocation_id)
        if call.done() and call.exception():
            await _discard(sent)
            return self._refusal(500, invocation_id)
        answer = await sent
        if answer.status_code == 500 and await _failed(call):
            await answer.aclose()
            return self._refusal(500, invocation_id)
        response = _Forwarded(answer.aiter_raw(), answer.status_code)
        response.on_end = lambda: self._close_later(_close(answer, call, invocation_id))
        left_out = (*_HOP_BY_HOP, *_OURS)
        response.raw_headers = [pair for pair in answer.headers.raw if pair[0].lower() not in left_out]
        return response

    def _close_later(self, closing: Coroutine[Any, Any, None]) -> None:
        """In a task of its own: if the client has left, the request's is cancelled at every await."""
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _refusal(self, status: int, invocation_id: str) -> Response:
        runtime.forget_stream(invocation_id)
        return Response(status_code=status)

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, request: Request, invocation_id: str) -> Any:
        headers = [pair for pair in request.headers.raw if pair[0] not in _HOP_BY_HOP]
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        target = request.scope["raw_path"] + b"?" + request.scope["query_string"]
        outgoing = self._client.build_request(
            request.method,
            self._address.copy_with(raw_path=target),
            headers=[*headers, (b"x-ms-invocation-id", invocation_id.encode())],
            content=request.stream() if has_body else None,
        )
        return await self._client.send(outgoing, stream=True)


async def _failed(call: asyncio.Task[Any]) -> bool:
    """Whether the function failed; otherwise the app meant its answer so."""
    await asyncio.wait((call,))
    return call.exception() is not None


async def _close(answer: Any, call: asyncio.Task[Any], invocation_id: str) -> None:
    """End an exchange; cutting off an unfinished answer ends the app's generator too."""
    await answer.aclose()
    await asyncio.wait((call,))
    runtime.forget_stream(invocation_id)


async def _discard(sent: asyncio.Task[Any]) -> None:
    """End the inner request, whether it was answered or not."""
    sent.cancel()
    await asyncio.wait((sent,))
    if not sent.cancelled() and not sent.exception():
        await sent.result().aclose()
