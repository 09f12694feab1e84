"""Answers: every shape that deployments have, and their events, whole or in any pieces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.azure.answers import AnswerText, UnknownAnswer, events, read, read_piece, read_stream

# Failures that containers answer with status 200; `boom` is what they say where they say anything.
FAILURES_IN_200 = {
    "{}": b"{}",
    "None": b'{"output": "None"}',
    "error": b'{"error": {"message": "boom"}}',
    "error as text": b'{"error": "boom"}',
    "error in a list": b'[{"error": "boom"}]',
    "error beside a text": b'{"error": {"code": 500, "message": "boom"}, "content": "so far"}',
    "error object": b'{"object": "error", "message": "boom", "code": 400}',
    "engine gave up": b'{"choices": [{"message": {"content": "boom"}, "finish_reason": "error"}], "error": "boom"}',
}


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
    assert read(body.encode()).text == "hello"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"\xff\xfe",
        b"null",
        b"5",
        b"true",
        b"[]",
        b'["a", "b"]',
        b'{"output": null}',
        b'{"output": 5}',
        b'{"output": {"a": 1}}',
        b'{"output": "It is on the tab',
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": null}}]}',
        b'{"choices": [{"message": {"content": null, "tool_calls": [{"id": "1"}]}, "finish_reason": "tool_calls"}]}',
        b'{"detail": "Not Found"}',
        b"[" * 100_000,
        b"[" * 900 + b"]" * 900,
    ],
)
def test_any_other_shape_is_told_with_the_start_of_the_body(body: bytes) -> None:
    with pytest.raises(UnknownAnswer) as unknown:
        read(body)
    assert body[:20].decode("utf-8", "replace") in str(unknown.value)
    assert len(str(unknown.value)) < 400


@pytest.mark.parametrize(("name", "body"), FAILURES_IN_200.items())
def test_a_failure_that_comes_with_status_200_is_no_answer_and_says_what_to_do(name: str, body: bytes) -> None:
    with pytest.raises(UnknownAnswer) as failed:
        read(body)
    assert {"{}": "content safety", "None": "shorten them"}.get(name, "boom") in str(failed.value)
    assert len(str(failed.value)) < 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"output": "None."}',
        b'{"output": "None", "tokens": 1}',
        b'["None"]',
        b'{"error": null, "output": "x"}',
        b'{"choices": [{"message": {"content": "None"}, "finish_reason": "stop"}]}',
    ],
)
def test_what_only_resembles_a_failure_is_an_answer(body: bytes) -> None:
    assert read(body).text


def test_a_chat_completion_tells_why_it_ended_and_what_it_took() -> None:
    body = {
        "choices": [{"message": {"content": "hello"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }
    assert read(json.dumps(body).encode()) == AnswerText("hello", "length", (3, 4))
    assert read(b'{"output": "hello"}') == AnswerText("hello")


@pytest.mark.parametrize(
    ("data", "piece"),
    [
        ({"choices": [{"delta": {"role": "assistant", "content": ""}}]}, AnswerText("")),
        ({"choices": [{"delta": {"content": "he"}, "finish_reason": None}]}, AnswerText("he")),
        ({"choices": [{"delta": {}, "finish_reason": "length"}]}, AnswerText("", "length")),
        ({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, AnswerText("", "", (1, 2))),
        ({"token": {"id": 5, "text": "llo"}}, AnswerText("llo")),
        ({"output": "llo"}, AnswerText("llo")),
        ("llo", AnswerText("llo")),
    ],
)
def test_every_known_event_gives_its_piece(data: object, piece: AnswerText) -> None:
    assert read_piece(json.dumps(data)) == piece


@pytest.mark.parametrize("data", ["{", "5", '{"output": null}'])
def test_any_other_event_is_told(data: str) -> None:
    with pytest.raises(UnknownAnswer, match="an event"):
        read_piece(data)


@pytest.mark.parametrize("data", FAILURES_IN_200.values())
def test_an_event_may_be_a_failure(data: bytes) -> None:
    with pytest.raises(UnknownAnswer, match=r"boom|its serving image says"):
        read_piece(data.decode())


def _events(body: bytes, cuts: list[int]) -> list[str]:
    async def chunks() -> AsyncIterator[bytes]:
        places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
        for begin, end in pairwise(places):
            yield body[begin:end]

    async def all_of_them() -> list[str]:
        return [event async for event in events(chunks())]

    return asyncio.run(all_of_them())


@given(st.lists(st.integers(0, 200), max_size=8))
def test_events_are_the_same_however_the_bytes_arrive(cuts: list[int]) -> None:
    body = b": comment\r\n\r\nevent: x\ndata: one\n\ndata:two\ndata: lines\n\n\ndata: last\r\n\r\n"
    body += b"data: [DONE]\n\ndata: not read any more\n\n"
    assert _events(body, cuts) == ["one", "two\nlines", "last", "[DONE]"]


def test_an_event_that_nothing_follows_is_one_too() -> None:
    assert _events(b"data: one\n\ndata: two\n", []) == ["one", "two"]
    assert _events(b"data: one\n\ndata: [DONE]\n", []) == ["one", "[DONE]"]


# --- whole streams -------------------------------------------------------------------------------------------------


def _stream(*data: object, end: bytes = b"data: [DONE]\n\n") -> list[AnswerText]:
    """What a stream of these events gives."""
    lines = [f"data: {each if isinstance(each, str) else json.dumps(each)}\n\n".encode() for each in data]

    async def chunks() -> AsyncIterator[bytes]:
        for line in [*lines, end]:
            yield line

    async def run() -> list[AnswerText]:
        return [piece async for piece in read_stream(chunks())]

    return asyncio.run(run())


def _chunk(content: str | None, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}]}


_ONE_PIECE = '{"choices": [{"delta": {"content": "PIECE"}}]}'


def _said(pieces: list[AnswerText]) -> str:
    return "".join(piece.text for piece in pieces)


def test_a_stream_of_chunks_without_an_end_was_cut() -> None:
    with pytest.raises(UnknownAnswer, match="ended before the answer did"):
        _stream(_chunk("Hello"), _chunk(" wor"), end=b"")


@pytest.mark.parametrize(
    ("data", "end"),
    [
        ([_chunk("Hello", "stop")], b""),
        ([_chunk("Hello"), {"choices": [{"delta": None, "finish_reason": "stop"}]}], b""),
        ([_chunk("Hello"), {"choices": [{"finish_reason": "length"}]}], b""),
        ([_chunk("Hello"), {"choices": None, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}], b"data: [DONE]"),
        ([_chunk("Hello")], b"data: [DONE]\n\n"),
        ([_chunk("Hello"), _chunk(None, "stop")], b""),
        ([{"error": None, **_chunk("Hello", "stop")}], b""),
        (["", ": ", _chunk("Hello", "stop")][2:], b": ping\n\n"),
        ([{"output": "Hel"}, {"output": "lo"}], b""),
        ([{"choices": [{"text": "Hello", "finish_reason": "stop"}]}], b""),
        ([{"token": {"text": "Hello"}, "details": {"finish_reason": "eos_token"}}], b""),
    ],
)
def test_a_stream_that_tells_its_end_is_whole_however_it_tells_it(data: list[object], end: bytes) -> None:
    assert _said(_stream(*data, end=end)) == "Hello"


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([r"Look \ud83d", r"\ude42!"], "Look 🙂!"),
        ([r"Look \ud83d", "!"], "Look \ufffd!"),
        ([r"Look \ud83d"], "Look \ufffd"),
        ([r"\ude42", "x"], "\ufffdx"),
        ([r"\ud83d\ud83d", r"\ude42"], "\ufffd🙂"),
    ],
)
def test_the_halves_of_a_character_in_two_events_are_put_together_or_replaced(pieces: list[str], text: str) -> None:
    sent = [_ONE_PIECE.replace("PIECE", piece) for piece in pieces]
    found = _said(_stream(*sent))
    assert found == text
    found.encode()


def test_half_a_character_in_a_whole_answer_is_replaced() -> None:
    assert read(rb'{"output": "Look \ud83d"}').text == "Look \ufffd"
    assert read(rb'{"output": "\ud83d\ude42"}').text == "🙂"


def test_bytes_of_a_character_in_two_chunks_are_put_together() -> None:
    body = "data: 🙂\n\n".encode()
    assert [_events(body, [cut]) for cut in range(len(body))] == [["🙂"]] * len(body)
    assert _events(b"data: \xf0\x9f\n\n", []) == ["\ufffd"]


@pytest.mark.parametrize(
    ("reason", "ended"),
    [("stop", "stop"), ("length", "length"), ("max_tokens", "length"), ("content_filter", "content_filter"),
     ("eos_token", "stop"), ("LENGTH", "length"), ("tool_calls", "other"), (None, "")],
)  # fmt: skip
def test_the_reason_of_an_end_is_one_of_the_protocols(reason: str | None, ended: str) -> None:
    choice = {"message": {"content": "x"}, "finish_reason": reason}
    assert read(json.dumps({"choices": [choice]}).encode()).ended == ended


def test_a_filtered_answer_is_one_though_it_is_empty() -> None:
    body = {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]}
    assert read(json.dumps(body).encode()) == AnswerText("", "content_filter")


def test_an_error_in_a_stream_is_told() -> None:
    with pytest.raises(UnknownAnswer, match="boom"):
        _stream(_chunk("x"), {"object": "error", "message": "boom"})


_TOKEN: dict[str, Any] = {"token": {"text": "Hello"}, "generated_text": None}
_STOPPED: dict[str, Any] = {"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([_TOKEN], id="tokens without an end"),
        pytest.param([{"choices": [{"delta": {"content": "so far"}, "finish_reason": "abort"}]}], id="given up"),
        pytest.param([{"choices": [{"delta": {}, "finish_reason": "ERROR"}]}], id="an error"),
    ],
)
def test_a_stream_that_has_no_end_of_its_own_is_broken(events: list[Any]) -> None:
    with pytest.raises(UnknownAnswer):
        _stream(*events, end=b"")


@pytest.mark.parametrize(
    ("sent", "end"),
    [
        ([_TOKEN | {"generated_text": "Hello"}], b""),
        ([_TOKEN, {"token": {"text": ""}, "generated_text": "Hello", "details": {"finish_reason": "eos_token"}}], b""),
        (
            [{"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}, {"usage": {"prompt_tokens": 1}}],
            b"",
        ),
        ([{"choices": [{"delta": {"content": "Hello"}}]}], b"data:\n\ndata: [DONE] \n\n"),
    ],
)
def test_what_servers_send_besides_does_not_break_a_good_stream(sent: list[Any], end: bytes) -> None:
    assert _said(_stream(*sent, end=end)) == "Hello"


def test_mlflows_own_server_is_understood() -> None:
    assert read(b'{"predictions": ["Hello"]}').text == read(b'{"predictions": [{"0": "Hello"}]}').text == "Hello"
