"""Asking a model: the payload, every shape of answer, and one question for one call, over a real HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from shared.azure.inference import EndpointAnswer, InferenceClient, StreamBroken
from shared.azure.payloads import native_body as payload

KEY = "the-secret-key"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def test_an_empty_text_is_no_good_answer() -> None:
    assert not EndpointAnswer(200, "  \n").good
    assert not EndpointAnswer(200, None).good
    assert not EndpointAnswer(424, "text").good
    assert EndpointAnswer(200, " yes").good


def test_the_payload_is_the_recipes_with_a_flat_list_of_turns() -> None:
    turns = [{"role": "user", "content": "Name three rivers."}]
    assert payload(turns, {"max_new_tokens": 200}) == {
        "input_data": {
            "input_string": turns,
            "parameters": {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "max_new_tokens": 200},
        }
    }
    assert payload(turns, {"temperature": 0.1})["input_data"]["parameters"]["temperature"] == 0.1


def test_without_sampling_no_temperature_is_sent() -> None:
    assert payload([], {"do_sample": False})["input_data"]["parameters"] == {"do_sample": False}


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


def _ask(handler: Handler, *, timeout: float = 10, **more: str) -> EndpointAnswer:
    """One question to a server of the test's own."""

    async def run() -> EndpointAnswer:
        app = web.Application()
        app.router.add_post("/score", handler)
        async with TestServer(app) as server:
            inference = InferenceClient()
            try:
                return await inference.ask(str(server.make_url("/score")), KEY, {"a": "ü"}, timeout, **more)
            finally:
                await inference.close()

    return asyncio.run(run())


def test_a_question_carries_key_deployment_and_request_id() -> None:
    endpoint = Endpoint(200, b'{"output": "hi"}', **{"azureml-model-deployment": "r2"})
    answer = _ask(endpoint.handle, deployment="r2", request_id="x" * 50)
    assert answer == EndpointAnswer(200, "hi", "r2")
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
    assert answer.detail == "x" * 300
    assert len(endpoint.asked) == 1


def test_an_answer_in_no_known_shape_has_no_text_but_says_what_came() -> None:
    answer = _ask(Endpoint(body=b'{"weird": 1}').handle)
    assert (answer.status, answer.text) == (200, None)
    assert '{"weird": 1}' in answer.detail


def test_no_answer_in_time_is_status_0_and_is_not_asked_again() -> None:
    async def run() -> tuple[EndpointAnswer, int]:
        endpoint = Endpoint()
        app = web.Application()
        app.router.add_post("/score", endpoint.hold)
        async with TestServer(app) as server:
            inference = InferenceClient()
            answer = await inference.ask(str(server.make_url("/score")), KEY, {}, 0.2)
            endpoint.held.set()
            await inference.close()
            return answer, len(endpoint.asked)

    answer, asked = asyncio.run(run())
    assert (answer.status, answer.text, answer.lost, asked) == (0, None, "late", 1)
    assert "no answer within" in answer.detail


def test_a_connection_that_is_cut_is_status_0_and_is_not_asked_again() -> None:
    """The model may have answered: a second question would be paid for twice."""
    endpoint = Endpoint()
    answer = _ask(endpoint.cut)
    assert (answer.status, answer.lost, len(endpoint.asked)) == (0, "cut", 1)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/score", "http://no.such.host.invalid/score", "not an address"])
def test_an_endpoint_that_cannot_be_reached_is_status_0_without_the_key(uri: str) -> None:
    async def run() -> EndpointAnswer:
        inference = InferenceClient()
        try:
            return await inference.ask(uri, KEY, {}, 5)
        finally:
            await inference.close()

    answer = asyncio.run(run())
    assert (answer.status, answer.lost) == (0, "unsent")
    assert "could not be reached" in answer.detail
    assert KEY not in repr(answer)


class Streaming:
    """A scoring address whose answer comes in events, each when the test says so; `end` is how it ends."""

    def __init__(self, *pieces: bytes, end: str = "well") -> None:
        self.pieces, self.end = pieces, end
        self.goes_on = asyncio.Semaphore(0)
        self.left = asyncio.Event()
        self.accepted = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.accepted = request.headers["Accept"]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "azureml-model-deployment": "r2"})
        await response.prepare(request)
        try:
            for piece in self.pieces:
                await self.goes_on.acquire()
                await response.write(b"data: " + piece + b"\n\n")
            if self.end == "hanging":
                await asyncio.Event().wait()
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise
        if self.end == "cut":
            assert request.transport is not None
            request.transport.abort()
        return response


@contextlib.asynccontextmanager
async def _serving(streaming: Streaming) -> AsyncIterator[tuple[InferenceClient, str]]:
    app = web.Application()
    app.router.add_post("/score", streaming.handle)
    async with TestServer(app, handler_cancellation=True) as server:
        inference = InferenceClient()
        try:
            yield inference, str(server.make_url("/score"))
        finally:
            await inference.close()


ONE = b'{"choices": [{"delta": {"content": "one"}}]}'
TWO = b'{"choices": [{"delta": {"content": " two"}, "finish_reason": "stop"}]}'


def test_an_answer_that_streams_is_read_piece_by_piece_as_it_comes() -> None:
    async def run() -> None:
        streaming = Streaming(ONE, TWO)
        async with (
            _serving(streaming) as (inference, uri),
            aclosing(await inference.stream(uri, KEY, {}, 10, pause=10)) as answer,
        ):
            assert (answer.status, answer.text, answer.deployment) == (200, None, "r2")
            assert answer.pieces is not None
            for text in ("one", " two"):  # the next one is made only once this one was read
                streaming.goes_on.release()
                assert (await anext(answer.pieces)).text == text
            assert [piece async for piece in answer.pieces] == []
            assert streaming.accepted == "text/event-stream, application/json"

    asyncio.run(run())


def test_a_reader_who_leaves_ends_the_answer() -> None:
    async def run() -> None:
        streaming = Streaming(ONE, end="hanging")
        async with _serving(streaming) as (inference, uri):
            async with aclosing(await inference.stream(uri, KEY, {}, 10, pause=10)) as answer:
                streaming.goes_on.release()
                assert answer.pieces is not None
                await anext(answer.pieces)
            await asyncio.wait_for(streaming.left.wait(), 10)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("pieces", "end", "late", "said"),
    [
        ([ONE], "cut", False, "the connection was cut"),
        ([ONE], "hanging", True, "no answer within"),
        ([ONE, b'{"error": {"message": "out of memory"}}'], "well", False, "out of memory"),
    ],
)
def test_a_stream_that_breaks_says_how(pieces: list[bytes], end: str, late: bool, said: str) -> None:
    async def run() -> None:
        streaming = Streaming(*pieces, end=end)
        for _ in pieces:
            streaming.goes_on.release()
        async with _serving(streaming) as (inference, uri):
            async with aclosing(await inference.stream(uri, KEY, {}, 10, pause=0.3)) as answer:
                assert answer.pieces is not None
                assert (await anext(answer.pieces)).text == "one"
                with pytest.raises(StreamBroken, match=said) as broken:
                    await anext(answer.pieces)
            assert broken.value.late == late
            for _ in pieces:
                streaming.goes_on.release()
            whole = await inference.ask(uri, KEY, {}, 0.3)  # the gate does not read piece by piece
            assert (whole.status, whole.lost) == (0, "late" if late else "cut")

    asyncio.run(run())


def test_an_answer_that_streams_unasked_is_put_together() -> None:
    async def run() -> EndpointAnswer:
        streaming = Streaming(ONE, b'{"output": " two"}', b'{"choices": [{"delta": null, "finish_reason": "length"}]}')
        for _ in streaming.pieces:
            streaming.goes_on.release()
        async with _serving(streaming) as (inference, uri):
            return await inference.ask(uri, KEY, {}, 10)

    assert asyncio.run(run()) == EndpointAnswer(200, "one two", "r2", ended="length")


def test_an_answer_that_does_not_stream_is_there_at_once() -> None:
    async def run() -> None:
        app = web.Application()
        app.router.add_post("/score", Endpoint().handle)
        async with TestServer(app) as server:
            inference = InferenceClient()
            answer = await inference.stream(str(server.make_url("/score")), KEY, {}, 10, pause=10)
            assert (answer.text, answer.pieces) == ("hi", None)
            await inference.close()

    asyncio.run(run())


def test_connections_are_kept_within_a_loop_and_never_shared_between_loops() -> None:
    inference = InferenceClient()
    pools: list[ClientSession] = []

    async def run() -> None:
        pools.append(inference._pool())
        assert inference._pool() is pools[-1]
        await inference.close()
        await inference.close()

    asyncio.run(run())
    asyncio.run(run())
    assert pools[0] is not pools[1]
    assert all(pool.closed for pool in pools)


def test_the_containers_own_status_comes_with_its_words() -> None:
    async def act(request: web.Request) -> web.Response:
        assert request.headers["extra-parameters"] == "pass-through"
        headers = {"ms-azureml-model-error-statuscode": "422"}
        return web.Response(status=424, body=b'{"error": {"message": "too high"}}', headers=headers)

    answer = _ask(act)
    assert (answer.status, answer.container_status, answer.detail) == (424, 422, "too high")
