"""Bodies as clients send them: encodings, nulls, halves of characters, and what is no JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.serving.bodies import parse_body
from shared.serving.protocol import ApiError

VALUE = {"model": "support-bot", "messages": [{"role": "user", "content": "Où? 🙂"}]}
TEXT = json.dumps(VALUE, ensure_ascii=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_any_unicode_encoding_is_read_with_or_without_its_mark(encoding: str) -> None:
    assert parse_body(TEXT.encode(encoding)) == VALUE


def test_fields_that_are_null_are_left_out_at_every_depth() -> None:
    given = {"a": None, "b": {"c": None, "d": [{"e": None, "f": 1}, None]}}
    assert parse_body(json.dumps(given).encode()) == {"b": {"d": [{"f": 1}, None]}}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (rb'"Look \ud83d"', "Look \ufffd"),
        (rb'"\ude42 first"', "\ufffd first"),
        (rb'"\ud83d\ude42"', "🙂"),
        (rb'{"\ud83d": "\ude42"}', {"\ufffd": "\ufffd"}),
    ],
)
def test_half_a_character_is_replaced_and_a_whole_one_kept(body: bytes, found: Any) -> None:
    assert parse_body(body) == found


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "Expecting value at line 1"),
        (b"{", "Expecting property name"),
        (b"\x1f\x8b\x08rest", "it is compressed"),
        (b'{"a": "\xff"}', "it is not UTF-8"),
        (b'{"a": NaN}', "a number that nothing can take"),
        (b'{"a": -Infinity}', "a number that nothing can take"),
        (b"9" * 5000, "a number that nothing can take"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
        (b"SECRET", "Expecting value"),
    ],
)
def test_what_is_no_json_says_why_and_nothing_of_what_was_sent(body: bytes, why: str) -> None:
    with pytest.raises(ApiError, match=why) as refused:
        parse_body(body)
    assert (refused.value.status, refused.value.code) == (400, "invalid_json")
    assert "SECRET" not in str(refused.value)
