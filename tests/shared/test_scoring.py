"""Asking a model: the payload, every shape of answer, and one question for one call, over a real HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from shared import scoring
from shared.scoring import Answer, Scorer, UnknownAnswer, payload, text_of

KEY = "the-secret-key"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.mark.parametrize(
    "body",
    [
        '"hello"',
        '{"output": "hello"}',
        '{"output": ["hello"]}',
        '{"output": {"content": "hello"}}',
        '["hello"]',
        '[["hello"]]',
        '[{"0": "hello"}]',
        '{"0": "hello"}',
        '[{"generated_text": "hello"}]',
        '[{"generated_text": "hello", "score": 1}, {"generated_text": "second"}]',
        '{"generated_text": "hello"}',
        '{"content": "hello"}',
        '[{"output": "hello"}]',
        '{"choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}}], "usage": {}}',
    ],
)
def test_every_known_shape_gives_its_text(body: str) -> None:
    assert text_of(body.encode()) == "hello"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"\xff\xfe",
        b"null",
        b"5",
        b"true",
        b"{}",
        b"[]",
        b'["a", "b"]',
        b'{"output": null}',
        b'{"output": {"a": 1}}',
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": null}}]}',
        b'{"error": {"message": "boom"}}',
        b"[" * 100_000,
        b"[" * 900 + b"]" * 900,
    ],
)
def test_any_other_shape_is_told_with_the_start_of_the_body(body: bytes) -> None:
    with pytest.raises(UnknownAnswer) as unknown:
        text_of(body)
    assert body[:20].decode("utf-8", "replace") in str(unknown.value)
    assert len(str(unknown.value)) < 400


def test_an_empty_text_is_a_known_shape_but_no_good_answer() -> None:
    assert text_of(b'{"output": ""}') == ""
    assert not Answer(200, "  \n").good
    assert not Answer(200, None).good
    assert not Answer(424, "text").good
    assert Answer(200, " yes").good


def test_the_payload_is_the_recipes_with_a_flat_list_of_turns() -> None:
    turns = [{"role": "user", "content": "Name three rivers."}]
    assert payload(turns, {"max_new_tokens": 200}) == {
        "input_data": {
            "input_string": turns,
            "parameters": {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "max_new_tokens": 200},
        }
    }
    assert payload(turns, {"temperature": 0})["input_data"]["parameters"]["temperature"] == 0


class Endpoint:
    """A scoring address that answers as the test says and keeps what it was asked."""

    def __init__(self, status: int = 200, body: bytes = b'{"output": "hi"}', **headers: str) -> None:
        self.status, self.body, self.headers = status, body, headers
        self.asked: list[tuple[dict[str, str], Any]] = []
        self.held = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.headers), await request.json()))
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    async def hold(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.headers), None))
        await self.held.wait()
        return web.Response()

    async def cut(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.headers), None))
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


def _ask(handler: Handler, *, timeout: float = 10, **more: str) -> Answer:
    """One question to a server of the test's own."""

    async def run() -> Answer:
        app = web.Application()
        app.router.add_post("/score", handler)
        async with TestServer(app) as server:
            scorer = Scorer()
            try:
                return await scorer.ask(str(server.make_url("/score")), KEY, {"a": "ü"}, timeout, **more)
            finally:
                await scorer.close()

    return asyncio.run(run())


def test_a_question_carries_key_deployment_and_request_id() -> None:
    endpoint = Endpoint(200, b'{"output": "hi"}', **{"azureml-model-deployment": "r2"})
    answer = _ask(endpoint.handle, deployment="r2", request_id="x" * 50)
    assert answer == Answer(200, "hi", "r2")
    ((headers, body),) = endpoint.asked
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["azureml-model-deployment"] == "r2"
    assert headers["x-ms-client-request-id"] == "x" * 40
    assert body == {"a": "ü"}


def test_a_question_to_whoever_has_the_traffic_names_no_deployment() -> None:
    endpoint = Endpoint()
    _ask(endpoint.handle)
    assert "azureml-model-deployment" not in {name.lower() for name in endpoint.asked[0][0]}


@pytest.mark.parametrize("status", [401, 404, 408, 424, 429, 500, 502, 503])
def test_any_other_status_comes_back_with_the_start_of_its_body_after_one_question(status: int) -> None:
    endpoint = Endpoint(status, b"x" * 5000, **{"Retry-After": "7"})
    answer = _ask(endpoint.handle)
    assert (answer.status, answer.text, answer.retry_after) == (status, None, "7")
    assert answer.detail == "x" * scoring._START_OF_BODY
    assert len(endpoint.asked) == 1


def test_an_answer_in_no_known_shape_has_no_text_but_says_what_came() -> None:
    answer = _ask(Endpoint(body=b'{"weird": 1}').handle)
    assert (answer.status, answer.text) == (200, None)
    assert '{"weird": 1}' in answer.detail


def test_no_answer_in_time_is_status_0_and_is_not_asked_again() -> None:
    async def run() -> tuple[Answer, int]:
        endpoint = Endpoint()
        app = web.Application()
        app.router.add_post("/score", endpoint.hold)
        async with TestServer(app) as server:
            scorer = Scorer()
            answer = await scorer.ask(str(server.make_url("/score")), KEY, {}, 0.2)
            endpoint.held.set()
            await scorer.close()
            return answer, len(endpoint.asked)

    answer, asked = asyncio.run(run())
    assert (answer.status, answer.text, asked) == (0, None, 1)
    assert "no answer within" in answer.detail


def test_a_connection_that_is_cut_is_status_0_and_is_not_asked_again() -> None:
    """The model may have answered: a second question would be paid for twice."""
    endpoint = Endpoint()
    answer = _ask(endpoint.cut)
    assert (answer.status, len(endpoint.asked)) == (0, 1)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/score", "http://no.such.host.invalid/score", "not an address"])
def test_an_endpoint_that_cannot_be_reached_is_status_0_without_the_key(uri: str) -> None:
    async def run() -> Answer:
        scorer = Scorer()
        try:
            return await scorer.ask(uri, KEY, {}, 5)
        finally:
            await scorer.close()

    answer = asyncio.run(run())
    assert answer.status == 0
    assert "could not be reached" in answer.detail
    assert KEY not in repr(answer)


def test_connections_are_kept_within_a_loop_and_never_shared_between_loops() -> None:
    scorer = Scorer()
    pools: list[ClientSession] = []

    async def run() -> None:
        pools.append(scorer._pool())
        assert scorer._pool() is pools[-1]
        await scorer.close()
        await scorer.close()

    asyncio.run(run())
    asyncio.run(run())
    assert pools[0] is not pools[1]
    assert all(pool.closed for pool in pools)
