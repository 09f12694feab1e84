"""Asking a deployed model: the payload the serving code wants, the shapes it answers in, and the client that asks.

Used by the HTTP functions for callers and by the gate for candidates. A question is sent once: a model that may have
answered is not asked again. Keys are held in memory only and never leave it.
"""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import PipelineError

if TYPE_CHECKING:
    import aiohttp

# The notebook's parameters, used where the caller gives none.
DEFAULTS: Mapping[str, Any] = {"temperature": 0.6, "top_p": 0.9, "do_sample": True}
_START_OF_BODY = 300


class UnknownAnswer(PipelineError):
    """The deployment answered in a shape nobody knows; the text holds the start of the body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status, the text when there is one, who answered, and the start of any other body."""

    status: int
    text: str | None
    deployment: str = ""
    detail: str = ""
    retry_after: str = ""

    @property
    def good(self) -> bool:
        """An answer with something in it."""
        return self.status == 200 and bool(self.text and self.text.strip())


def payload(messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's request body: a flat list of turns and the generation parameters."""
    return {"input_data": {"input_string": list(messages), "parameters": {**DEFAULTS, **parameters}}}


def text_of(body: bytes) -> str:
    """The answer's text, whatever the model's flavour wraps it in. Raises UnknownAnswer.

    Known: an object with `output`, a list with one text, a list of records, and a chat completion.
    """
    try:
        text = _text(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise UnknownAnswer(f"not JSON: {_start(body)}") from error
    if text is None:
        raise UnknownAnswer(f"none of the known shapes: {_start(body)}")
    return text


def _text(found: Any) -> str | None:
    match found:
        case str():
            return found
        case {"output": output}:
            return _text(output)
        case {"choices": [{"message": {"content": str(content)}}, *_]}:
            return content
        case [{"0": str(text)}, *_] | [{"generated_text": str(text)}, *_]:
            return text
        case [first]:
            return _text(first)
        case {"generated_text": str(text)} | {"0": str(text)} | {"content": str(text)}:
            return text
    return None


class Scorer:
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
    ) -> Answer:
        """One question to one endpoint. `deployment` picks a deployment whatever the traffic says.

        Returns the answer for any HTTP status; status 0 means that no answer came (`detail` says why).
        """
        import aiohttp

        headers = {"Authorization": f"Bearer {key}"}
        if deployment:
            headers["azureml-model-deployment"] = deployment
        if request_id:
            headers["x-ms-client-request-id"] = request_id[:40]
        try:
            async with self._pool().post(
                uri, json=body, headers=headers, timeout=aiohttp.ClientTimeout(total=timeout)
            ) as answer:
                return _read(answer, await answer.read())
        except TimeoutError:
            return Answer(0, None, detail=f"no answer within {timeout:.0f} s")
        except aiohttp.ClientError as error:
            return Answer(0, None, detail=f"the endpoint could not be reached ({type(error).__name__})")

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


def _read(answer: aiohttp.ClientResponse, body: bytes) -> Answer:
    deployment = answer.headers.get("azureml-model-deployment", "")
    retry_after = answer.headers.get("Retry-After", "")
    if answer.status != 200:
        return Answer(answer.status, None, deployment, _start(body), retry_after)
    try:
        return Answer(200, text_of(body), deployment)
    except UnknownAnswer as error:
        return Answer(200, None, deployment, str(error))


def _start(body: bytes) -> str:
    return body[:_START_OF_BODY].decode("utf-8", "replace")
