"""Questions over HTTP: both payloads, streams, what is refused before anybody is asked; nothing sent is echoed."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions import event_stream
from functions.chat_requested import chat_completions, get_model, list_models, score
from shared.azure.answers import AnswerText
from shared.azure.inference import EndpointAnswer, StreamBroken
from shared.ledger.states import DatasetState as D
from tests.answers_sent import Sent, sent
from tests.builders import DATASET, DEPLOYMENT, ENDPOINT, SNAPSHOT, a_dataset, an_answer
from tests.fakes import KEY, World

Make = Callable[..., Request]
TURN = {"role": "user", "content": "Why?"}
NATIVE = {"input_data": {"input_string": [TURN], "parameters": {"temperature": 0.6, "max_new_tokens": 50}}}
CHAT = {"model": DATASET, "messages": [TURN]}
ROUTE = {"dataset": DATASET}
BOTH = pytest.mark.parametrize("act", [score, chat_completions], ids=["score", "chat"])


def _gzip(plain: bytes) -> bytes:
    return gzip.compress(plain, mtime=0)


class Endpoint:
    """Answers every question alike, in `pieces` if it has any, and keeps what it was asked."""

    def __init__(self, answer: EndpointAnswer) -> None:
        self.answer, self.asked = answer, list[dict[str, Any]]()
        self.pieces: list[AnswerText | Exception] = []
        self.closed = 0

    async def ask(self, uri: str, key: str, body: Any, timeout: float, **more: str) -> EndpointAnswer:
        self.asked.append({"body": body, **more})
        return self.answer

    async def stream(self, uri: str, key: str, body: Any, timeout: float, **more: Any) -> EndpointAnswer:
        self.asked.append({"body": body, **more})
        return replace(self.answer, pieces=self._coming() if self.pieces else None, hang_up=self._hang_up)

    def _hang_up(self) -> None:
        self.closed += 1

    async def _coming(self) -> AsyncIterator[AnswerText]:
        for piece in self.pieces:
            await asyncio.sleep(0)
            if isinstance(piece, Exception):
                raise piece
            yield piece


def _live(world: World, answer: EndpointAnswer | None = None, **changes: Any) -> Endpoint:
    endpoint: Any = Endpoint(answer or an_answer(text="Because."))
    world.services.inference = endpoint
    world.services.ledger.create(a_dataset(**changes))
    world.workspace.endpoints.write(ENDPOINT, {}, {})
    made: Endpoint = endpoint
    return made


def _answered(act: Any, request: Request) -> tuple[int, Any, Any]:
    answer: Response = asyncio.run(act(request))
    assert answer.media_type == "application/json"
    return answer.status_code, json.loads(bytes(answer.body)), answer.headers


def test_the_recipes_payload_is_answered_with_the_text_and_who_gave_it(world: World, request_of: Make) -> None:
    endpoint = _live(world)
    status, body, _ = _answered(score, request_of(NATIVE, route=ROUTE))
    assert status == 200
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "estimated": True}
    assert body == {
        "output": "Because.",
        "dataset": DATASET,
        "release": SNAPSHOT,
        "deployment": DEPLOYMENT,
        "finish_reason": None,
        "finish_reason_estimated": True,
        "usage": usage,
    }
    parameters = endpoint.asked[0]["body"]["input_data"]["parameters"]
    assert parameters == {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "max_new_tokens": 50}


def test_a_chat_completion_has_the_shape_that_clients_know(world: World, request_of: Make) -> None:
    endpoint = _live(world)
    status, body, _ = _answered(chat_completions, request_of({**CHAT, "max_tokens": 7}))
    assert status == 200
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert isinstance(body["created"], int)
    assert body["model"] == f"{DATASET}@{SNAPSHOT}"
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Because.", "refusal": None}
    assert (choice["index"], choice["finish_reason"], choice["finish_reason_estimated"]) == (0, None, True)
    assert endpoint.asked[0]["body"]["input_data"]["parameters"]["max_new_tokens"] == 7


@pytest.mark.parametrize(("given", "kept"), [("abc-DEF_1", True), ("x" * 41, False), ("a b", False), ("", False)])
def test_a_callers_request_id_is_passed_on_if_azure_takes_it(
    world: World, request_of: Make, given: str, kept: bool
) -> None:
    endpoint = _live(world)
    _answered(score, request_of(NATIVE, route=ROUTE, headers={"X-Request-Id": given}))
    found = endpoint.asked[0]["request_id"]
    assert (found == given) == kept
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", found)


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"SECRET-CONTENT",
        b'{"a": SECRET-CONTENT}',
        b'"SECRET-CONTENT"',
        b"\xff\xfeSECRET-CONTENT",
        b"[" * 10_000,
        b"null",
        b"[]",
        b'{"model": 5, "messages": "SECRET-CONTENT", "input_data": "SECRET-CONTENT"}',
        b'{"model": "x", "messages": [{"role": "SECRET-CONTENT", "content": "y"}]}',
        b'{"input_data": {"input_string": [{"role": "user", "content": [["SECRET-CONTENT"]], "x": 1}]}}',
    ],
)
def test_a_malformed_body_is_400_that_names_the_place_and_echoes_nothing(
    world: World, request_of: Make, act: Any, body: bytes
) -> None:
    endpoint = _live(world)
    status, found, _ = _answered(act, request_of(body, route=ROUTE))
    assert status == 400
    assert found["error"]["type"] == "invalid_request_error"
    assert found["error"]["code"] in ("invalid_json", "invalid_value", "missing_parameter", "unsupported_parameter")
    assert found["error"]["message"]
    assert "SECRET" not in json.dumps(found)
    assert not endpoint.asked


def test_a_wrong_field_is_named(world: World, request_of: Make) -> None:
    _, found, _ = _answered(chat_completions, request_of({**CHAT, "temperature": 9, "n": 2, "tools": [{}]}))
    assert "temperature: Input should be less than or equal to 2" in found["error"]["message"]
    assert "n: is not supported here (only 1): there is one answer to a call" in found["error"]["message"]
    assert "tools: is not supported here (only []): the model calls no tools" in found["error"]["message"]
    assert (found["error"]["param"], found["error"]["code"]) == ("temperature", "invalid_value")


def test_a_field_that_is_not_supported_is_named(world: World, request_of: Make) -> None:
    _, found, _ = _answered(chat_completions, request_of({**CHAT, "temprature": 1}))
    assert (found["error"]["param"], found["error"]["code"]) == ("temprature", "unsupported_parameter")
    _, found, _ = _answered(chat_completions, request_of({**CHAT, "messages": [{**TURN, "tool_calls": [1]}]}))
    assert (found["error"]["param"], found["error"]["code"]) == ("messages[0].tool_calls", "unsupported_parameter")


@BOTH
def test_a_body_with_thousands_of_mistakes_gets_a_short_answer(world: World, request_of: Make, act: Any) -> None:
    turns = [{"role": "bot", "content": ""}] * 900
    body = {"model": "x", "messages": turns, "input_data": {"input_string": turns}, "k" * 100_000: 1}
    status, found, _ = _answered(act, request_of(body, route=ROUTE))
    assert status == 400
    assert len(found["error"]["message"]) < 3000


def test_an_endless_field_name_is_cut(world: World, request_of: Make) -> None:
    _, found, _ = _answered(chat_completions, request_of({**CHAT, "k" * 100_000: 1}))
    assert "kkk" in found["error"]["message"]
    assert len(found["error"]["message"]) < 200


@BOTH
def test_a_body_that_is_too_large_is_413_before_it_is_read(world: World, request_of: Make, act: Any) -> None:
    endpoint = _live(world)
    status, found, _ = _answered(act, request_of(b"x" * (world.services.settings.call_max_bytes + 1), route=ROUTE))
    assert (status, found["error"]["code"]) == (413, "too_large")
    assert not endpoint.asked


@BOTH
@pytest.mark.parametrize("name", ["suport-bot", "../x", "ü"])
def test_an_unknown_dataset_is_404(world: World, request_of: Make, act: Any, name: str) -> None:
    _live(world)
    body = NATIVE if act is score else {**CHAT, "model": name}
    status, found, _ = _answered(act, request_of(body, route={"dataset": name}))
    assert (status, found["error"]["code"]) == (404, "model_not_found")
    assert ("did you mean support-bot" in found["error"]["message"]) == (name == "suport-bot")


@BOTH
@pytest.mark.parametrize(
    ("answer", "status", "kind", "retry"),
    [
        (an_answer(429, retry_after="9"), 429, "rate_limit_error", "9"),
        (an_answer(424, detail="boom"), 502, "server_error", None),
        (an_answer(0), 504, "server_error", None),
        (an_answer(503), 503, "server_error", "10"),
    ],
)
def test_an_endpoint_that_does_not_answer_has_its_status_and_patience(
    world: World, request_of: Make, act: Any, answer: EndpointAnswer, status: int, kind: str, retry: str | None
) -> None:
    _live(world, answer)
    found = _answered(act, request_of(NATIVE if act is score else CHAT, route=ROUTE))
    assert (found[0], found[1]["error"]["type"]) == (status, kind)
    assert found[2].get("Retry-After") == retry


@BOTH
def test_a_sleeping_dataset_is_woken_and_the_caller_told_when_to_come_back(
    world: World, request_of: Make, act: Any
) -> None:
    world.services.ledger.create(a_dataset(D.ASLEEP))
    status, found, headers = _answered(act, request_of(NATIVE if act is score else CHAT, route=ROUTE))
    assert (status, found["error"]["code"], headers["Retry-After"]) == (503, "waking", "30")
    assert world.services.ledger.read(f"dataset/{DATASET}").row.requested.what == "wake"


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([("user", "a"), ("assistant", "b")], "must end with a user turn"),
        ([("user", "a"), ("system", "b"), ("user", "c")], "system turns can only be the first ones"),
        ([("user", "  ")], "blank"),
    ],
)
def test_turns_no_model_can_answer_are_400_before_any_model_is_asked(
    world: World, request_of: Make, turns: list[tuple[str, str]], said: str
) -> None:
    endpoint = _live(world)
    messages = [{"role": role, "content": content} for role, content in turns]
    status, found, _ = _answered(chat_completions, request_of({**CHAT, "messages": messages}))
    assert status == 400
    assert said in found["error"]["message"]
    assert not endpoint.asked


# --- keys, ids, models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [score, chat_completions, list_models, get_model])
@pytest.mark.parametrize("headers", [{"x-functions-key": ""}, {"x-functions-key": "", "Authorization": "Bearer no"}])
def test_without_a_right_key_nothing_is_looked_at(
    world: World, request_of: Make, act: Any, headers: dict[str, str]
) -> None:
    endpoint = _live(world)
    status, found, answered = _answered(act, request_of(b"{", route=ROUTE, headers=headers))
    assert (status, found["error"]["code"], found["error"]["type"]) == (401, "invalid_api_key", "authentication_error")
    assert answered["WWW-Authenticate"] == "Bearer"
    assert KEY not in json.dumps(found)
    assert not endpoint.asked


def test_the_key_of_a_chat_client_opens(world: World, request_of: Make) -> None:
    _live(world)
    headers = {"x-functions-key": "", "Authorization": f"Bearer {KEY}"}
    assert _answered(chat_completions, request_of(CHAT, headers=headers))[0] == 200
    assert (
        _answered(chat_completions, request_of(CHAT, headers={"x-functions-key": ""}, params={"code": KEY}))[0] == 200
    )


@BOTH
@pytest.mark.parametrize("body", [NATIVE, CHAT, b"{"])
def test_every_answer_has_the_request_id(world: World, request_of: Make, act: Any, body: Any) -> None:
    _live(world)
    headers = _answered(act, request_of(body, route=ROUTE, headers={"X-Request-Id": "abc-1"}))[2]
    assert headers["x-request-id"] == "abc-1"


def test_the_log_has_the_request_id_and_neither_a_key_nor_what_was_said(
    world: World, request_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint = _live(world, an_answer(text="a-secret-answer"))
    turns = [{"role": "user", "content": "a-secret-question"}]
    for number, body in enumerate(
        [CHAT, {**CHAT, "messages": turns}, {**CHAT, "messages": turns, "n": 2}, b"{a-secret"]
    ):
        _answered(chat_completions, request_of(body, headers={"x-request-id": f"id-{number}"}))
        assert f"request id-{number}" in caplog.text
    endpoint.answer = an_answer(424)
    _answered(chat_completions, request_of(CHAT))
    for secret in (KEY, f"key-of-{ENDPOINT}", "a-secret"):
        assert secret not in caplog.text


def test_the_models_are_the_datasets_that_have_a_release(world: World, request_of: Make) -> None:
    _live(world)
    world.services.ledger.dataset("not-trained-yet")
    status, found, _ = _answered(list_models, request_of(method="GET"))
    name = f"{DATASET}@{SNAPSHOT}"
    expected = {
        "id": DATASET,
        "object": "model",
        "owned_by": "droptune",
        "state": "LIVE",
        "releases": [name],
        "api": "score",
    }
    assert (status, found["object"]) == (200, "list")
    (model,) = found["data"]
    assert model == {**expected, "created": model["created"]}
    for asked in (DATASET, name):
        one = _answered(get_model, request_of(method="GET", route={"model": asked}))
        assert (one[0], one[1]) == (200, {**model, "id": asked})
    for unknown in ("nobody", "not-trained-yet", f"{DATASET}@x", ""):
        assert _answered(get_model, request_of(method="GET", route={"model": unknown}))[0] == 404


# --- streams --------------------------------------------------------------------------------------------------


def _streamed(request: Request, take: int | None = None) -> tuple[list[Any], Sent]:
    """The events of a streamed answer; after `take` of them the caller leaves."""

    async def run() -> Sent:
        return await sent(await chat_completions(request), take)

    found = asyncio.run(run())
    assert found.streamed
    return found.events, found


def _texts(events: list[Any]) -> list[str]:
    return [e["choices"][0]["delta"].get("content") or "" for e in events if e != "[DONE]" and e.get("choices")]


STREAM = {**CHAT, "stream": True}


def test_an_answer_is_passed_on_piece_by_piece(world: World, request_of: Make) -> None:
    endpoint = _live(world)
    endpoint.pieces = [AnswerText(""), AnswerText(" Be"), AnswerText("cause "), AnswerText("so.", "stop", (7, 3))]
    usage = {"stream_options": {"include_usage": True}}
    events, response = _streamed(request_of({**STREAM, **usage}, headers={"x-request-id": "id-1"}))
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-request-id"] == "id-1"
    *chunks, closing, told, done = events
    assert _texts(chunks) == ["Be", "cause", " so."]
    assert {(c["object"], c["id"], c["model"]) for c in [*chunks, closing, told]} == {
        ("chat.completion.chunk", events[0]["id"], f"{DATASET}@{SNAPSHOT}")
    }
    assert [c["choices"][0]["finish_reason"] for c in [*chunks, closing]] == [None, None, None, "stop"]
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert (told["choices"], done) == ([], "[DONE]")
    assert told["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "estimated": False}
    assert endpoint.closed == 1


def test_an_answer_that_does_not_stream_is_one_piece(world: World, request_of: Make) -> None:
    _live(world)
    events, _ = _streamed(request_of(STREAM))
    assert _texts(events) == ["Because.", ""]
    assert [e["usage"] for e in events[:-1]] == [None, None]


def test_a_stop_ends_the_question_as_well(world: World, request_of: Make) -> None:
    endpoint = _live(world)
    endpoint.pieces = [AnswerText("one E"), AnswerText("ND two"), AssertionError("nobody reads on")]
    events, _ = _streamed(request_of({**STREAM, "stop": ["END"]}))
    assert _texts(events) == ["one", "", ""][: len(_texts(events))]
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert endpoint.closed == 1


def test_a_stop_is_applied_to_whole_answers_too(world: World, request_of: Make) -> None:
    _live(world, an_answer(text=" one END two"))
    _, found, _ = _answered(chat_completions, request_of({**CHAT, "stop": "END"}))
    assert found["choices"][0]["message"]["content"] == "one"


def test_a_caller_who_leaves_ends_the_question(world: World, request_of: Make) -> None:
    endpoint = _live(world)
    endpoint.pieces = [AnswerText("one "), AnswerText("two"), AssertionError("nobody reads on")]
    _streamed(request_of(STREAM), take=1)
    assert endpoint.closed == 1
    world.services.counts.flush()
    tally = world.services.counts.since(DATASET, DEPLOYMENT, 0)
    assert (tally.asked, tally.failed) == (1, 0)


@pytest.mark.parametrize(
    ("answer", "pieces", "status"),
    [
        (an_answer(429), [], 429),
        (an_answer(0, lost="late"), [], 504),
        (an_answer(), [StreamBroken("cut")], 502),
        (an_answer(), [AnswerText(" "), StreamBroken("late", late=True)], 504),
        (an_answer(), [AnswerText(" "), AnswerText("\n")], 502),
    ],
)
def test_before_its_first_piece_a_stream_that_fails_is_an_ordinary_error(
    world: World, request_of: Make, answer: EndpointAnswer, pieces: Any, status: int
) -> None:
    endpoint = _live(world, answer)
    endpoint.pieces = pieces
    found = _answered(chat_completions, request_of(STREAM))
    assert found[0] == status
    assert found[1]["error"]["code"]
    assert endpoint.closed == 1


def test_after_its_first_piece_a_stream_that_fails_ends_with_the_error(world: World, request_of: Make) -> None:
    endpoint = _live(world)
    endpoint.pieces = [AnswerText("one"), StreamBroken("the connection was cut")]
    events, _ = _streamed(request_of(STREAM))
    assert _texts(events[:1]) == ["one"]
    assert (events[-1]["error"]["type"], events[-1]["error"]["code"]) == ("server_error", "answer_broken_off")


def test_a_caller_who_leaves_before_the_answer_ends_the_question(world: World) -> None:
    endpoint = _live(world)
    asked, ended = asyncio.Event(), asyncio.Event()

    async def never(*_: Any, **__: Any) -> Any:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    endpoint.ask = never  # type: ignore[method-assign]
    body = {"type": "http.request", "body": json.dumps(CHAT).encode(), "more_body": False}

    async def receive() -> Any:
        if body:
            return {key: body.pop(key) for key in list(body)}
        await asked.wait()
        return {"type": "http.disconnect"}

    headers = [(b"x-functions-key", KEY.encode())]
    scope = {"type": "http", "method": "POST", "path": "/api", "query_string": b"", "headers": headers}
    response = asyncio.run(chat_completions(Request(scope, receive)))
    assert response.status_code == 499
    assert ended.is_set()


# --- what clients really send -------------------------------------------------------------------------------------


def test_hints_are_named_in_the_header_whole_and_streamed(world: World, request_of: Make) -> None:
    _live(world)
    body = {**CHAT, "seed": 7, "top_k": 40, "store": False, "tools": []}
    assert _answered(chat_completions, request_of(body))[2]["x-droptune-ignored"] == "seed, top_k"
    assert _streamed(request_of({**body, "stream": True}))[1].headers["x-droptune-ignored"] == "seed, top_k"
    assert "x-droptune-ignored" not in _answered(chat_completions, request_of(CHAT))[2]
    native = {"input_data": {"input_string": [TURN], "parameters": {"top_k": 40}}}
    assert _answered(score, request_of(native, route=ROUTE))[2]["x-droptune-ignored"] == "top_k"


@BOTH
@pytest.mark.parametrize("parameters", [{"temperature": 0}, {"top_p": 0}, {"temperature": 0, "top_p": 0.5}])
def test_nothing_is_sampled_at_a_temperature_of_0(
    world: World, request_of: Make, act: Any, parameters: dict[str, Any]
) -> None:
    endpoint = _live(world)
    native = {"input_data": {"input_string": [TURN], "parameters": parameters}}
    _answered(act, request_of(native if act is score else {**CHAT, **parameters}, route=ROUTE))
    assert endpoint.asked[0]["body"]["input_data"]["parameters"] == {"do_sample": False, "max_new_tokens": 200}


@BOTH
@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", _gzip),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("identity, gzip", _gzip),
        pytest.param("deflate", lambda plain: zlib.compress(plain, wbits=-15), id="deflate without a frame"),
        pytest.param("gzip", lambda plain: _gzip(plain[:20]) + _gzip(plain[20:]), id="gzip of two members"),
    ],
)
def test_a_compressed_body_is_read(
    world: World, request_of: Make, act: Any, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    _live(world)
    plain = b"\xef\xbb\xbf" + json.dumps(NATIVE if act is score else CHAT).encode()
    body = compress(plain)
    assert _answered(act, request_of(body, route=ROUTE, headers={"Content-Encoding": encoding}))[0] == 200


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (b"{}", "br", 415, "unsupported_encoding"),
        (b"{}", "gzip", 400, "invalid_body"),
        (gzip.compress(b"{}", mtime=0)[:-9], "gzip", 400, "invalid_body"),
        (gzip.compress(b" " * 2_000_000, mtime=0), "gzip", 413, "too_large"),
        (gzip.compress(b" " * 600_000, mtime=0) * 2, "gzip", 413, "too_large"),
        (gzip.compress(b"", mtime=0) * 1000, "gzip", 400, "invalid_body"),
        (b"{}", "gzip, deflate", 415, "unsupported_encoding"),
        (gzip.compress(b"{}", mtime=0), "", 400, "invalid_json"),
    ],
)
def test_a_body_that_cannot_be_read_is_named(
    world: World, request_of: Make, body: bytes, encoding: str, status: int, code: str
) -> None:
    endpoint = _live(world)
    found = _answered(chat_completions, request_of(body, headers={"Content-Encoding": encoding}))
    assert (found[0], found[1]["error"]["code"]) == (status, code)
    assert not endpoint.asked


def test_only_the_first_delta_has_a_role_and_none_has_a_null(world: World, request_of: Make) -> None:
    endpoint = _live(world)
    endpoint.pieces = [AnswerText("one"), AnswerText(" two", "length")]
    deltas = [event["choices"][0]["delta"] for event in _streamed(request_of(STREAM))[0][:-1]]
    assert deltas == [{"role": "assistant", "content": "one"}, {"content": " two"}, {}]


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([AnswerText("one", "content_filter")], "content_filter"),
        ([AnswerText("", "content_filter")], "content_filter"),
        ([AnswerText("one two", "")], "length"),
        ([AnswerText("one two", "length")], "length"),
    ],
)
def test_a_stream_says_why_it_ended(world: World, request_of: Make, pieces: Any, reason: str) -> None:
    endpoint = _live(world)
    endpoint.pieces = pieces
    *_, closing, done = _streamed(request_of({**STREAM, "max_tokens": 2}))[0]
    assert (closing["choices"][0]["finish_reason"], done) == (reason, "[DONE]")


def test_a_stream_keeps_proxies_from_holding_it_back(world: World, request_of: Make) -> None:
    _live(world)
    headers = _streamed(request_of(STREAM))[1].headers
    assert (headers["x-accel-buffering"], headers["cache-control"]) == ("no", "no-cache")
    assert headers["content-type"].startswith("text/event-stream")


def test_a_model_that_thinks_for_long_gets_pings_sent(
    world: World, request_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = _live(world)
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0.05)

    async def thinks(*_: Any, **__: Any) -> EndpointAnswer:
        await asyncio.sleep(0.3)
        return an_answer(424, detail="out of memory")

    endpoint.stream = thinks  # type: ignore[method-assign]
    (event,), found = _streamed(request_of(STREAM))
    assert found.comments[0] == ": ping"
    assert event["error"]["code"] == "model_error"
    assert found.status == 200


@BOTH
@pytest.mark.parametrize("status", [400, 424])
def test_a_conversation_that_the_deployment_finds_too_long_is_the_callers_to_shorten(
    world: World, request_of: Make, act: Any, status: int
) -> None:
    _live(world, an_answer(status, detail="This model's maximum context length is 4096 tokens."))
    found = _answered(act, request_of(NATIVE if act is score else CHAT, route=ROUTE))
    assert (found[0], found[1]["error"]["code"]) == (400, "context_length_exceeded")
    assert "maximum context length" in found[1]["error"]["message"]
    world.services.counts.flush()
    tally = world.services.counts.since(DATASET, DEPLOYMENT, 0)
    assert (tally.refused, tally.failed) == (1, 0)
