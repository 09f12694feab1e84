"""Whatever an endpoint does, over real connections: what the caller of each route gets, and how often it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from starlette.requests import Request

from functions.chat_requested import chat_completions, score
from shared.azure.inference import InferenceClient
from tests.answers_sent import sent
from tests.builders import DATASET, DEPLOYMENT, ENDPOINT, SNAPSHOT, a_dataset
from tests.fakes import KEY, World
from tests.no_answers import NO_ANSWERS

Make = Callable[..., Request]
TURN = {"role": "user", "content": "Why?"}
NATIVE = {"input_data": {"input_string": [TURN]}}
CHAT = {"model": DATASET, "messages": [TURN]}
ASKED = {
    "score": (score, NATIVE),
    "chat": (chat_completions, CHAT),
    "stream": (chat_completions, {**CHAT, "stream": True}),
}
ROUTES = pytest.mark.parametrize("route", list(ASKED))
ENDPOINT_KEY = f"key-of-{ENDPOINT}"
RELEASE = {"azureml-model-deployment": DEPLOYMENT}


class Endpoint:
    """A scoring address that does the same with every question, and counts them."""

    def __init__(self, act: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        self._act, self.asked = act, 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        assert request.headers["Authorization"] == f"Bearer {ENDPOINT_KEY}"
        return await self._act(request)


def answering(status: int, body: bytes = b"", retry_after: str = "") -> Endpoint:
    """An endpoint that answers so."""
    headers = {**RELEASE, "Retry-After": retry_after} if retry_after else RELEASE

    async def act(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, body=body, headers=headers)

    return Endpoint(act)


def cutting(after: bytes | None) -> Endpoint:
    """An endpoint that cuts the connection, before its answer or when so much of it was sent."""

    async def act(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers=RELEASE)
        response.content_length = 1000
        if after is not None:
            await response.prepare(request)
            await response.write(after)
        assert request.transport is not None
        request.transport.abort()
        return response

    return Endpoint(act)


async def _silent(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


@dataclass(frozen=True)
class Got:
    """What a caller got: for a stream that began, its events stand for the body."""

    status: int
    body: Any
    headers: Any

    @property
    def text(self) -> str:
        """The text of a good answer."""
        if isinstance(self.body, list):
            return "".join(c["choices"][0]["delta"].get("content") or "" for c in self.body)
        return str(self.body["output"] if "output" in self.body else self.body["choices"][0]["message"]["content"])


@asynccontextmanager
async def _served(world: World, endpoint: Endpoint | None) -> AsyncIterator[None]:
    """The dataset behind this endpoint, or behind an address where nobody is."""
    app = web.Application()
    if endpoint:
        app.router.add_post("/score", endpoint.handle)
    async with TestServer(app, handler_cancellation=True) as server:
        uri = str(server.make_url("/score")) if endpoint else f"http://127.0.0.1:{unused_port()}/score"
        world.services.ledger.create(a_dataset(scoring_uri=uri))
        world.workspace.endpoints.write(ENDPOINT, {}, {})
        inference: Any = InferenceClient()
        world.services.inference = inference
        try:
            yield
        finally:
            await inference.close()


def _asked(world: World, request_of: Make, endpoint: Endpoint | None, route: str) -> Got:
    """One question by this route."""
    act, body = ASKED[route]

    async def run() -> Got:
        async with _served(world, endpoint):
            response = await act(request_of(body, route={"dataset": DATASET}))
            found = await sent(response)
            if not found.streamed:
                return Got(found.status, json.loads(found.body), found.headers)
            return Got(200, [event for event in found.events if event != "[DONE]"], found.headers)

    got = asyncio.run(run())
    told = json.dumps(got.body) + repr(dict(got.headers))
    assert KEY not in told
    assert ENDPOINT_KEY not in told
    assert "Traceback" not in told
    return got


SHAPES = {
    "object": b'{"output": " because"}',
    "texts": b'["because\\n"]',
    "records": b'[{"0": "because"}]',
    "generated": b'[{"generated_text": "because"}]',
    "completion": b'{"choices": [{"message": {"role": "assistant", "content": "because"}}]}',
    "text": b'"because"',
}


@ROUTES
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_of_answer_is_translated(world: World, request_of: Make, route: str, shape: bytes) -> None:
    got = _asked(world, request_of, answering(200, shape), route)
    assert (got.status, got.text) == (200, "because")


@ROUTES
@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[]", b'{"output": ""}', b'{"output": 5}', b"\xff" * 999])
def test_any_other_body_is_502_with_its_start(world: World, request_of: Make, route: str, body: bytes) -> None:
    endpoint = answering(200, body)
    got = _asked(world, request_of, endpoint, route)
    assert (got.status, got.body["error"]["code"], endpoint.asked) == (502, "bad_answer", 1)
    assert body[:20].decode("utf-8", "replace") in got.body["error"]["message"] or body == b'{"output": ""}'
    assert len(got.body["error"]["message"]) < 500


@ROUTES
@pytest.mark.parametrize(("body", "told"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_an_answer_with_status_200_that_is_none_is_502_and_counts_as_failed(
    world: World, request_of: Make, route: str, body: bytes, told: str
) -> None:
    endpoint = answering(200, body)
    got = _asked(world, request_of, endpoint, route)
    assert (got.status, got.body["error"]["code"], endpoint.asked) == (502, "bad_answer", 1)
    assert told in got.body["error"]["message"]
    assert got.headers["x-should-retry"] == "false"
    world.services.counts.flush()
    tally = world.services.counts.since(DATASET, DEPLOYMENT, 0)
    assert (tally.asked, tally.failed, tally.answered) == (1, 1, 0)


# What the endpoint answers, what the caller is told, and how often the endpoint was asked.
STATUSES = [
    (400, 502, "endpoint_error", 1),
    (401, 502, "endpoint_error", 2),
    (403, 502, "endpoint_error", 1),
    (404, 503, "unavailable", 2),
    (408, 504, "timeout", 1),
    (409, 502, "endpoint_error", 1),
    (413, 413, "too_large", 1),
    (422, 502, "endpoint_error", 1),
    (424, 502, "model_error", 1),
    (429, 429, "rate_limit", 1),
    (500, 502, "endpoint_error", 1),
    (502, 502, "endpoint_error", 1),
    (503, 503, "unavailable", 1),
    (504, 504, "timeout", 1),
]


@ROUTES
@pytest.mark.parametrize(("answered", "status", "code", "times"), STATUSES)
@pytest.mark.parametrize(
    "body", [b"", b'{"error": {"message": "boom"}}', SHAPES["object"]], ids=["empty", "error", "answer"]
)
def test_every_status_of_the_endpoint_has_one_for_the_caller(
    world: World, request_of: Make, route: str, answered: int, status: int, code: str, times: int, body: bytes
) -> None:
    endpoint = answering(answered, body)
    got = _asked(world, request_of, endpoint, route)
    assert (got.status, got.body["error"]["code"], endpoint.asked) == (status, code, times)
    assert set(got.body["error"]) == {"message", "type", "param", "code"}
    assert ("x-should-retry" in got.headers) == (status in (502, 504))
    assert ("retry-after" in got.headers) == (status in (429, 503))
    world.services.counts.flush()
    tally = world.services.counts.since(DATASET, DEPLOYMENT, 0)
    failed = answered >= 500 or answered in (408, 424)
    refused = not failed and answered != 429
    assert (tally.asked, tally.refused, tally.failed) == (1, int(refused), int(failed))


@ROUTES
def test_a_busy_endpoint_that_says_when_is_asked_once_more(world: World, request_of: Make, route: str) -> None:
    endpoint = answering(429, retry_after="0")
    got = _asked(world, request_of, endpoint, route)
    assert (got.status, endpoint.asked) == (429, 2)


@ROUTES
def test_one_who_is_busy_for_longer_than_the_call_may_take_is_not_waited_for(
    world: World, request_of: Make, route: str
) -> None:
    endpoint = answering(429, retry_after="300")
    got = _asked(world, request_of, endpoint, route)
    assert (got.status, got.headers["retry-after"], endpoint.asked) == (429, "300", 1)


@ROUTES
def test_where_nobody_listens_nobody_was_asked(world: World, request_of: Make, route: str) -> None:
    got = _asked(world, request_of, None, route)
    assert (got.status, got.body["error"]["code"]) == (503, "unavailable")
    assert "nobody was asked" in got.body["error"]["message"]
    assert "x-should-retry" not in got.headers


@ROUTES
@pytest.mark.parametrize("after", [None, b'{"output": "be'], ids=["before the answer", "within it"])
def test_a_question_whose_connection_was_cut_is_not_asked_again(
    world: World, request_of: Make, route: str, after: bytes | None
) -> None:
    """The model may have answered: a second question would be paid for twice."""
    endpoint = cutting(after)
    got = _asked(world, request_of, endpoint, route)
    assert (got.status, got.body["error"]["code"], endpoint.asked) == (502, "connection_lost", 1)
    assert got.headers["x-should-retry"] == "false"


@ROUTES
def test_an_answer_that_does_not_come_in_time_is_504_and_not_asked_for_again(
    world: World, request_of: Make, route: str
) -> None:
    world.services.settings = world.services.settings.model_copy(update={"scoring_timeout_seconds": 1})
    endpoint = Endpoint(_silent)
    got = _asked(world, request_of, endpoint, route)
    assert (got.status, got.body["error"]["code"], endpoint.asked) == (504, "timeout", 1)


def test_a_wrong_key_is_renewed_once(world: World, request_of: Make) -> None:
    keys = iter(["old", ENDPOINT_KEY])
    world.workspace.endpoints.key = lambda name: next(keys)  # type: ignore[method-assign]

    async def act(request: web.Request) -> web.Response:
        return web.Response(body=SHAPES["object"])

    endpoint = Endpoint(act)

    async def checking(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] == "Bearer old":
            endpoint.asked += 1
            return web.Response(status=401)
        return await Endpoint.handle(endpoint, request)

    endpoint.handle = checking  # type: ignore[method-assign]
    got = _asked(world, request_of, endpoint, "chat")
    assert (got.status, got.text, endpoint.asked) == (200, "because", 2)
    assert got.body["model"] == f"{DATASET}@{SNAPSHOT}"
