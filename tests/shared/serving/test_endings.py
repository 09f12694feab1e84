"""Why an answer ended, and what it took, where the deployment tells all, some or none of it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.azure.answers import AnswerText
from shared.serving.endings import AnswerEnd, answer_end, answer_usage
from shared.serving.turns import ChatTurn

TURNS = [ChatTurn(role="user", content="Why?")]
SENTENCE = "Put it into the container named snapshots, please."


@pytest.mark.parametrize(
    ("told", "tokens", "text", "longest", "reason"),
    [
        ("stop", None, "one two", 2, "stop"),
        ("length", None, "one", 200, "length"),
        ("content_filter", None, "", 200, "content_filter"),
        ("", (5, 7), "anything", 7, "length"),
        ("", (5, 6), "anything", 7, "stop"),
        ("", (5, 0), "one two", 2, "length"),
        ("", None, "You can", 2, "length"),
        ("other", None, "I", 2, None),
        ("", None, "I", 2, None),
        ("", None, SENTENCE, 200, None),
        ("", None, SENTENCE, 10, "length"),
        ("", None, "word " * 200, 200, "length"),
        ("", None, "word " * 140 + "and then", 200, "length"),
        ("", None, "word " * 140 + "at last.", 200, None),
        ("", None, "漢字" * 100, 150, "length"),
    ],
)
def test_an_answer_says_that_it_ended_by_itself_only_where_the_deployment_tells(
    told: str, tokens: tuple[int, int] | None, text: str, longest: int, reason: Any
) -> None:
    known = told in ("stop", "length", "content_filter") or bool(tokens and tokens[1])
    assert answer_end(AnswerText("", told, tokens), text, longest) == AnswerEnd(reason, estimated=not known)


@pytest.mark.parametrize(
    ("text", "counted", "completion", "estimated"),
    [
        ("yes", (7, 3), 3, False),
        ("", (7, 0), 0, False),
        ("yes", (7, 0), 1, True),
        ("yes", (0, 3), 1, True),
        ("a", None, 1, True),
        ("!", None, 1, True),
        ("one two three", None, 3, True),
        ("x" * 400, None, 100, True),
    ],
)
def test_a_text_has_at_least_one_token(
    text: str, counted: tuple[int, int] | None, completion: int, estimated: bool
) -> None:
    usage = answer_usage(TURNS, text, counted)
    assert (usage.completion_tokens, usage.estimated) == (completion, estimated)
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
