"""Answers: every shape that deployments have, and their events, whole or in any pieces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.azure.answers import AnswerText, UnknownAnswer, events, read, read_piece


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
        read(body)
    assert body[:20].decode("utf-8", "replace") in str(unknown.value)
    assert len(str(unknown.value)) < 400


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


@pytest.mark.parametrize("data", ["{", "5", "{}", '{"error": {"message": "boom"}}', '{"output": null}'])
def test_any_other_event_is_told(data: str) -> None:
    with pytest.raises(UnknownAnswer, match="an event"):
        read_piece(data)


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
