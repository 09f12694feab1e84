"""The client that asks deployed models.

Used by the HTTP functions for callers, by the gate for candidates, and by the probe of a deployment. A call is sent
once; the answer tells whether trying again could ask twice. Keys are held in memory only and never leave it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from shared.azure import answers, failed_answers
from shared.azure.answers import AnswerText, UnknownAnswer
from shared.errors import PipelineError

if TYPE_CHECKING:
    import aiohttp

_CONNECT_SECONDS = 10.0
_REFUSAL_BYTES = 4096
_EVENTS = "text/event-stream"
# The status of the container itself, where the endpoint's front says 424.
_CONTAINER_STATUS = "ms-azureml-model-error-statuscode"
# Has the serving image of Phi-4's models pass fields on that it does not know; others take no notice.
_PASS_THROUGH = {"extra-parameters": "pass-through"}

type Lost = Literal["unsent", "late", "cut"]


class StreamBroken(PipelineError):
    """A streamed answer that does not go on. `late`: nothing came for too long."""

    def __init__(self, message: str, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """What came back: HTTP status, the text when there is one, who answered, and the start of any other body.

    Status 0 is no answer: `lost` says whether the call was never sent, no answer came in time, or the connection
    was cut after it was sent. `ended` and `tokens` are those of `AnswerText`. `pieces` is an answer that is
    still coming, instead of `text`; reading it raises StreamBroken, and `aclose` ends it. `container_status`: what the
    container itself answered, where the endpoint says 424; 0: not known.
    """

    status: int
    text: str | None
    deployment: str = ""
    detail: str = ""
    retry_after: str = ""
    lost: Lost | None = None
    ended: str = ""
    tokens: tuple[int, int] | None = None
    container_status: int = 0
    pieces: AsyncIterator[AnswerText] | None = None
    hang_up: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    @property
    def usable(self) -> bool:
        """An answer with something in it, or one that is still coming."""
        return self.status == 200 and (self.pieces is not None or self.good)

    async def aclose(self) -> None:
        """Ends an answer that is still coming. Repeated: nothing more happens."""
        if self.hang_up is not None:
            self.hang_up()

    @property
    def good(self) -> bool:
        """An answer with something in it."""
        return self.status == 200 and bool(self.text and self.text.strip())


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
        """One call to one endpoint, its whole answer. `deployment` picks one whatever the traffic says.

        Returns the answer for any HTTP status. Any deployment may take `timeout` seconds in all.
        """
        answer = await self._post(uri, key, body, (timeout, None), deployment, request_id, "application/json")
        async with aclosing(answer):
            return await _whole(answer)

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
    ) -> EndpointAnswer:
        """The same, with `pieces` in the answer where the deployment streams; else its whole answer.

        `pause`: how long it may be silent, s. Closing the answer ends it, wherever it is.
        """
        accept = f"{_EVENTS}, application/json"
        return await self._post(uri, key, body, (timeout, pause), deployment, request_id, accept)

    async def probe(self, uri: str, key: str, deployment: str, timeout: float) -> EndpointAnswer:
        """The answer to an empty object, which asks no model anything. As `ask`, at any path of the endpoint."""
        return await self.ask(uri, key, {}, timeout, deployment=deployment)

    async def _post(
        self,
        uri: str,
        key: str,
        body: Mapping[str, Any],
        limits: tuple[float, float | None],
        deployment: str,
        request_id: str,
        accept: str,
    ) -> EndpointAnswer:
        import aiohttp

        headers = {"Authorization": f"Bearer {key}", "Accept": accept, **_PASS_THROUGH}
        if deployment:
            headers["azureml-model-deployment"] = deployment
        if request_id:
            headers["x-ms-client-request-id"] = request_id[:40]
        total, pause = limits
        timeout = aiohttp.ClientTimeout(total=total, sock_connect=_CONNECT_SECONDS, sock_read=pause)
        open_response = None
        try:
            response = open_response = await self._pool().post(uri, json=body, headers=headers, timeout=timeout)
            answer = await _read(response, limits)
            if answer.pieces is not None:
                open_response = None  # whoever has the answer closes it
            return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            return _lost(error, limits)
        finally:
            if open_response is not None:
                open_response.close()

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
    headers = response.headers
    deployment = headers.get("azureml-model-deployment", "")
    if response.status != 200:
        detail = failed_answers.refusal(await response.content.read(_REFUSAL_BYTES))
        container = headers.get(_CONTAINER_STATUS, "")
        return EndpointAnswer(
            response.status,
            None,
            deployment,
            detail,
            headers.get("Retry-After", ""),
            container_status=int(container) if container.isdecimal() else 0,
        )
    if response.content_type == _EVENTS:
        return EndpointAnswer(200, None, deployment, pieces=_pieces(response, limits), hang_up=response.close)
    return answered(await response.read(), deployment)


def answered(body: bytes, deployment: str = "") -> EndpointAnswer:
    """What a whole body with status 200 says; an answer without a text says why it is none."""
    try:
        found = answers.read(body)
    except UnknownAnswer as error:
        return EndpointAnswer(200, None, deployment, str(error))
    return EndpointAnswer(200, found.text, deployment, ended=found.ended, tokens=found.tokens)


async def _pieces(response: aiohttp.ClientResponse, limits: tuple[float, float | None]) -> AsyncIterator[AnswerText]:
    import aiohttp

    try:
        async for piece in answers.read_stream(response.content.iter_any()):
            yield piece
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
    return replace(answer, pieces=None, hang_up=None, text="".join(p.text for p in found), ended=ended, tokens=tokens)


def _lost(error: Exception, limits: tuple[float, float | None]) -> EndpointAnswer:
    """No answer, and why: a connection that was never made has carried no call."""
    import aiohttp

    name = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL):
        return EndpointAnswer(0, None, detail=f"the endpoint could not be reached ({name})", lost="unsent")
    if isinstance(error, TimeoutError):
        seconds = limits[1] if limits[1] and isinstance(error, aiohttp.SocketTimeoutError) else limits[0]
        return EndpointAnswer(0, None, detail=f"no answer within {seconds:.0f} s", lost="late")
    return EndpointAnswer(0, None, detail=f"the connection was cut ({name})", lost="cut")
