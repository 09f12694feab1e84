"""What containers say of a call that they refuse, in their own words and without what was sent."""

from __future__ import annotations

import json

import pytest

from shared.azure.failed_answers import refusal

# As the serving image of Phi-4's models refuses a field, and as it wraps what its engine says.
FIELD = {"loc": ["body", "temperature"], "msg": "Input should be less than or equal to 1", "input": "SENT"}
ENGINE = {"error": {"message": "This model's maximum context length is 4 tokens.", "type": "BadRequestError"}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"error": {"code": "Invalid input", "status": 422, "message": "invalid input error", "details": [FIELD]}},
            "invalid input error: temperature: Input should be less than or equal to 1",
        ),
        ({"error": {"status": 400, "message": json.dumps(ENGINE)}}, ENGINE["error"]["message"]),
        (ENGINE, ENGINE["error"]["message"]),
        ({"object": "error", "message": "no", "code": 400}, "no"),
        ({"detail": "Tools and tool_choice are not supported."}, "Tools and tool_choice are not supported."),
        ({"detail": [FIELD]}, "temperature: Input should be less than or equal to 1"),
        ({"error": "boom"}, "boom"),
        ({"message": "use {a: b}"}, "use {a: b}"),
        ({"a": 1}, '{"a": 1}'),
        ([], "[]"),
    ],
)
def test_a_refusal_is_told_in_its_own_words(body: object, words: str) -> None:
    assert refusal(json.dumps(body).encode()) == words


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[" * 100_000, b"\xff" * 9999])
def test_of_anything_else_the_start_is_told(body: bytes) -> None:
    assert refusal(body) == body[:300].decode("utf-8", "replace")


def test_errors_within_errors_end_somewhere() -> None:
    body = "boom"
    for _ in range(12):
        body = json.dumps({"error": {"message": body}})
    assert len(refusal(body.encode())) <= 300
