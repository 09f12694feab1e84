"""Asking a deployed model: the payload the serving code wants, and the client that asks.

Used by the HTTP functions for callers and by the gate for candidates. A question is sent once; the answer tells whether
trying again could ask twice. Keys are held in memory only and never leave it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from shared.azure import answers
from shared.azure.answers import AnswerText, UnknownAnswer
from shared.errors import PipelineError

if TYPE_CHECKING:
    import aiohttp

# The notebook's parameters, used where the caller gives none.
DEFAULTS: Mapping[str, Any] = {"temperature": 0.6, "top_p": 0.9, "do_sample": True}
_CONNECT_SECONDS = 10.0
_EVENTS = "text/event-stream"

type Lost = Literal["unsent", "late", "cut"]


class StreamBroken(PipelineError):
    """A streamed answer that does not go on. `late`: nothing came for too long."""

    def __init__(self, message: str, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """What came back: HTTP status, the text when there is one, who answered, and the start of any other body.

    Status 0 is no answer: `lost` says whether the question was never sent, no answer came in time, or the connection
    was cut after the question was sent. `ended` and `tokens` are those of `answers.Text`. `pieces` is an answer that is
    still coming, instead of `text`; reading it raises Broken.
    """

    status: int
    text: str | None
    deployment: str = ""
    detail: str = ""
    retry_after: str = ""
    lost: Lost | None = None
    ended: str = ""
    tokens: tuple[int, int] | None = None
    pieces: AsyncIterator[AnswerText] | None = None

    @property
    def good(self) -> bool:
        """An answer with something in it."""
        return self.status == 200 and bool(self.text and self.text.strip())


def payload(messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's request body: a flat list of turns and the generation parameters.

    Without sampling there is no temperature to sample at: the serving code complains of one.
    """
    sampling = {} if parameters.get("do_sample") is False else DEFAULTS
    return {"input_data": {"input_string": list(messages), "parameters": {**sampling, **parameters}}}


class InferenceClient:
    """Pooled connections to scoring addresses, one pool per event loop."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession]
        self._pools = weakref.WeakKeyDictionary()

    async def ask(
        self,
        uri: str,
        key: str,
        body: Mapping[str, Any],
        timeout: float,
        *,
        deployment: str = "",
        request_id: str = "",
    ) -> EndpointAnswer:
        """One question to one endpoint, its whole answer. `deployment` picks one whatever the traffic says.

        Returns the answer for any HTTP status. Any deployment may take `timeout` seconds in all.
        """
        async with self._asked(uri, key, body, (timeout, None), deployment, request_id, "application/json") as answer:
            return await _whole(answer)

    @asynccontextmanager
    async def stream(
        self,
        uri: str,
        key: str,
        body: Mapping[str, Any],
        timeout: float,
        *,
        pause: float,
        deployment: str = "",
        request_id: str = "",
    ) -> AsyncIterator[EndpointAnswer]:
        """The same, with `pieces` in the answer where the deployment streams; else its whole answer.

        `pause`: how long it may be silent, s. Leaving the block ends the answer, wherever it is.
        """
        accept = f"{_EVENTS}, application/json"
        async with self._asked(uri, key, body, (timeout, pause), deployment, request_id, accept) as answer:
            yield answer

    @asynccontextmanager
    async def _asked(
        self,
        uri: str,
        key: str,
        body: Mapping[str, Any],
        limits: tuple[float, float | None],
        deployment: str,
        request_id: str,
        accept: str,
    ) -> AsyncIterator[EndpointAnswer]:
        import aiohttp

        headers = {"Authorization": f"Bearer {key}", "Accept": accept}
        if deployment:
            headers["azureml-model-deployment"] = deployment
        if request_id:
            headers["x-ms-client-request-id"] = request_id[:40]
        total, pause = limits
        timeout = aiohttp.ClientTimeout(total=total, sock_connect=_CONNECT_SECONDS, sock_read=pause)
        call = self._pool().post(uri, json=body, headers=headers, timeout=timeout)
        try:
            response = await call
            answer = await _read(response, limits)
        except (aiohttp.ClientError, TimeoutError) as error:
            call.close()
            yield _lost(error, limits)
            return
        try:
            yield answer
        finally:
            response.close()

    def _pool(self) -> aiohttp.ClientSession:
        import aiohttp

        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.closed:
            pool = self._pools[loop] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self._limit))
        return pool

    async def close(self) -> None:
        """Closes the pool of the running loop."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()


async def _read(response: aiohttp.ClientResponse, limits: tuple[float, float | None]) -> EndpointAnswer:
    """The answer that a response holds; one that streams is not read yet."""
    deployment = response.headers.get("azureml-model-deployment", "")
    if response.status != 200:
        detail = answers.start(await response.content.read(1200))
        return EndpointAnswer(response.status, None, deployment, detail, response.headers.get("Retry-After", ""))
    if response.content_type == _EVENTS:
        return EndpointAnswer(200, None, deployment, pieces=_pieces(response, limits))
    try:
        found = answers.read(await response.read())
    except UnknownAnswer as error:
        return EndpointAnswer(200, None, deployment, str(error))
    return EndpointAnswer(200, found.text, deployment, ended=found.ended, tokens=found.tokens)


async def _pieces(response: aiohttp.ClientResponse, limits: tuple[float, float | None]) -> AsyncIterator[AnswerText]:
    import aiohttp

    try:
        async for data in answers.events(response.content.iter_any()):
            yield answers.read_piece(data)
    except UnknownAnswer as error:
        raise StreamBroken(str(error)) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        lost = _lost(error, limits)
        raise StreamBroken(lost.detail, late=lost.lost == "late") from error


async def _whole(answer: EndpointAnswer) -> EndpointAnswer:
    """An answer with all its pieces put together."""
    if answer.pieces is None:
        return answer
    try:
        found = [piece async for piece in answer.pieces]
    except StreamBroken as broken:
        return EndpointAnswer(0, None, answer.deployment, str(broken), lost="late" if broken.late else "cut")
    ended = next((piece.ended for piece in reversed(found) if piece.ended), "")
    tokens = next((piece.tokens for piece in reversed(found) if piece.tokens), None)
    return replace(answer, pieces=None, text="".join(p.text for p in found), ended=ended, tokens=tokens)


def _lost(error: Exception, limits: tuple[float, float | None]) -> EndpointAnswer:
    """No answer, and why: a connection that was never made has carried no question."""
    import aiohttp

    name = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL):
        return EndpointAnswer(0, None, detail=f"the endpoint could not be reached ({name})", lost="unsent")
    if isinstance(error, TimeoutError):
        seconds = limits[1] if limits[1] and isinstance(error, aiohttp.SocketTimeoutError) else limits[0]
        return EndpointAnswer(0, None, detail=f"no answer within {seconds:.0f} s", lost="late")
    return EndpointAnswer(0, None, detail=f"the connection was cut ({name})", lost="cut")
