"""What a deployment is sent, by what its container speaks."""

from __future__ import annotations

from typing import Any

import pytest

from shared.azure.payloads import address, alternating, body, chat_address
from tests.builders import URI

TURNS = [{"role": "user", "content": "Why?"}]


@pytest.mark.parametrize(
    "uri", ["https://e.example.net/score", "https://e.example.net/score/", "https://e.example.net"]
)
def test_the_openai_route_stands_beside_the_scoring_address(uri: str) -> None:
    assert chat_address(uri) == "https://e.example.net/v1/chat/completions"


def test_only_a_container_with_the_openai_route_is_asked_there() -> None:
    found = {api: address(URI, api) for api in ("", "score", "mlflow", "openai")}
    assert found.pop("openai") == chat_address(URI)
    assert set(found.values()) == {URI}


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [
        ({}, {"temperature": 0.6, "top_p": 0.9}),
        ({"max_new_tokens": 7}, {"temperature": 0.6, "top_p": 0.9, "max_tokens": 7}),
        ({"temperature": 0.1, "top_p": 1}, {"temperature": 0.1, "top_p": 1}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0}, {"temperature": 0}),
        ({"do_sample": False, "temperature": 0.5}, {"temperature": 0}),
        ({"repetition_penalty": 1.1}, {"temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.1}),
    ],
)
def test_the_openai_route_gets_its_own_names_and_no_sampling_by_a_temperature_of_0(
    parameters: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert body("openai", TURNS, parameters) == {"messages": TURNS, **sent}


def test_what_only_the_openai_route_takes_is_not_sent_to_score() -> None:
    more = {"seed": 7, "response_format": {"type": "json_object"}}
    assert more.items() <= body("openai", TURNS, {}, more).items()
    assert body("score", TURNS, {}, more) == body("score", TURNS, {})


def test_the_generic_image_gets_turns_that_alternate() -> None:
    turns = [
        {"role": role, "content": text}
        for role, text in (("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "d"), ("user", "e"))
    ]
    joined = [("user", "a\n\nb"), ("assistant", "c\n\nd"), ("user", "e")]
    assert [(turn["role"], turn["content"]) for turn in alternating(turns)] == joined
    assert body("mlflow", turns, {})["input_data"]["input_string"] == alternating(turns)
    assert body("score", turns, {})["input_data"]["input_string"] == turns
    assert turns[0]["content"] == "a"
