"""HTTP for apps that import azurefunctions-extensions-http-fastapi: requests and responses are streamed.

The runtime then starts an inner HTTP server beside the app. `http` still finds the function and checks the
key; the client's request goes to that server with the invocation's id, and at the same time the invocation is
made with the route parameters only. The two meet inside of the runtime. This is what Azure's host does.

A client that leaves closes the request to the inner server, before the answer as well as within it. The invocation goes
on until the function notices.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from local.host import runtime
from local.host.functions import Function
from local.host.invocations import Invoker, TriggerInput, new_id
from local.host.messages import RpcHttp, TypedData

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger("host.http")

_HOP_BY_HOP = (b"connection", b"keep-alive", b"transfer-encoding", b"te", b"upgrade", b"host", b"trailer", b"expect")
# What this host says to the inner server. A caller who could say it too would have the call wait for another one.
_INVOCATION_ID = "x-ms-invocation-id"
_OURS = (b"date", b"server")
# Up to so many bytes, a body whose length is known is passed on in one piece: that is quicker.
_SMALL = 64 * 1024
# The inner server closes a connection that was idle for 5 s: ours are let go before, so that none is used just then.
_KEEP_SECONDS = 3.0
_LOOK_SECONDS = 0.02


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
    under_way: contextlib.ExitStack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.under_way:
            try:
                await super().__call__(scope, receive, send)
            finally:
                self.on_end()


class Forwarder:
    """Sends requests on to the app's inner server at `address`; close() when done."""

    def __init__(self, address: str, invoker: Invoker) -> None:
        self._address = address
        self._invoker = invoker
        self._closing: set[asyncio.Task[None]] = set()
        self._sending: set[_Forwarded] = set()

    @cached_property
    def _client(self) -> "aiohttp.ClientSession":
        import aiohttp  # only streaming apps pay for it, and only once the host's loop runs

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_SECONDS),
            timeout=aiohttp.ClientTimeout(),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
        )

    async def respond(self, request: Request, function: Function, rpc: RpcHttp) -> Response:
        """The inner server's response as it comes; an empty 500 if the function failed, 502 if that server did."""
        invocation_id = new_id()
        with contextlib.ExitStack() as under_way:
            under_way.enter_context(self._invoker.answering(invocation_id))
            response = await self._respond(request, function, rpc, invocation_id)
            if isinstance(response, _Forwarded):
                # It has only begun: a host that stops lets it end within its grace.
                response.under_way = under_way.pop_all()
        return response

    async def _respond(self, request: Request, function: Function, rpc: RpcHttp, invocation_id: str) -> Response:
        read = asyncio.Event()
        sent = asyncio.create_task(self._send(request, invocation_id, read))
        call = asyncio.create_task(self._invoker.run(function, TriggerInput(TypedData(http=rpc)), invocation_id))
        left = asyncio.create_task(_left(request, read))
        try:
            await asyncio.wait((sent, call, left), return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
        if not sent.done() and not call.done():
            self._close_later(_abandon(sent, call, invocation_id))
            return Response(status_code=499)
        if sent.done() and sent.exception():
            call.cancel()
            return self._refusal(502, invocation_id)
        if call.done() and call.exception():
            await _discard(sent)
            return self._refusal(500, invocation_id)
        answer = await sent
        if answer.status == 500 and await _failed(call):
            answer.close()
            return self._refusal(500, invocation_id)
        response: Response
        if 0 <= _length(answer.headers.get("content-length")) <= _SMALL:
            response = Response(await answer.read(), answer.status)
            await _close(answer, call, invocation_id)
        else:
            response = _Forwarded(answer.content.iter_any(), answer.status)
            self._sending.add(response)

            def end() -> None:
                self._sending.discard(response)
                self._close_later(_close(answer, call, invocation_id))

            response.on_end = end
        left_out = (*_HOP_BY_HOP, *_OURS)
        response.raw_headers = [
            (name.lower(), value) for name, value in answer.raw_headers if name.lower() not in left_out
        ]
        return response

    def _close_later(self, closing: Coroutine[Any, Any, None]) -> None:
        """In a task of its own: if the client has left, the request's is cancelled at every await."""
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _refusal(self, status: int, invocation_id: str) -> Response:
        runtime.forget_stream(invocation_id)
        return Response(status_code=status)

    async def drained(self, grace: float) -> bool:
        """Wait up to `grace` seconds for answers that are still being sent; whether all have ended.

        The function of a streamed answer has returned long before: it is no running invocation any more.
        """
        ends = asyncio.get_running_loop().time() + grace
        while self._sending:
            if asyncio.get_running_loop().time() > ends:
                log.warning("stopping with %d answers unfinished", len(self._sending))
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def close(self) -> None:
        if "_client" in vars(self):
            await self._client.close()

    async def _send(self, request: Request, invocation_id: str, read: asyncio.Event) -> "aiohttp.ClientResponse":
        from yarl import URL

        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in request.headers.raw
            if name not in (*_HOP_BY_HOP, _INVOCATION_ID.encode())
        ]
        target = request.scope["raw_path"] + b"?" + request.scope["query_string"]
        return await self._client.request(
            request.method,
            URL(self._address + target.decode("latin-1"), encoded=True),
            headers=[*headers, (_INVOCATION_ID, invocation_id)],
            data=await _body(request, read),
            allow_redirects=False,
        )


async def _body(request: Request, read: asyncio.Event) -> bytes | AsyncIterator[bytes] | None:
    """What to send on: small bodies whole, others as they come. `read` is set when there is no more of it."""
    if 0 <= _length(request.headers.get("content-length")) <= _SMALL:
        body = await request.body()
        read.set()
        return body
    if _has_body(request):
        return _coming(request, read)
    read.set()
    return None


async def _coming(request: Request, read: asyncio.Event) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk
    read.set()


async def _left(request: Request, read: asyncio.Event) -> None:
    """Returns when the client has left, looked for once its body was read."""
    await read.wait()
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _abandon(sent: asyncio.Task[Any], call: asyncio.Task[Any], invocation_id: str) -> None:
    """Close the request of a client that left, and let the function find out."""
    await _discard(sent)
    await asyncio.wait((call,))
    runtime.forget_stream(invocation_id)


def _has_body(request: Request) -> bool:
    return "content-length" in request.headers or "transfer-encoding" in request.headers


def _length(told: str | None) -> int:
    return int(told) if told and told.isdecimal() else -1


async def _failed(call: asyncio.Task[Any]) -> bool:
    """Whether the function failed; otherwise the app meant its answer so."""
    await asyncio.wait((call,))
    return call.exception() is not None


async def _close(answer: Any, call: asyncio.Task[Any], invocation_id: str) -> None:
    """End an exchange; cutting off an unfinished answer ends the app's generator too."""
    answer.close()
    await asyncio.wait((call,))
    runtime.forget_stream(invocation_id)


async def _discard(sent: asyncio.Task[Any]) -> None:
    """End the inner request, whether it was answered or not."""
    sent.cancel()
    await asyncio.wait((sent,))
    if not sent.cancelled() and not sent.exception():
        sent.result().close()
