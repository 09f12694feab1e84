"""What may be asked: the recipe's payload and chat completions; anything else is refused, not ignored."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.serving.requests import ChatRequest, NativeRequest
from tests.builders import DATASET

TURN = {"role": "user", "content": "Why?"}


def test_the_recipes_own_payload_is_taken() -> None:
    parameters = {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "max_new_tokens": 200}
    asked = NativeRequest.model_validate({"input_data": {"input_string": [TURN], "parameters": parameters}})
    assert asked.parameters() == parameters
    least = NativeRequest.model_validate({"input_data": {"input_string": [TURN]}})
    assert least.parameters() == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"input_data": {}},
        {"input_data": {"input_string": []}},
        {"input_data": {"input_string": [[TURN], [TURN]]}},
        {"input_data": {"input_string": [[[TURN]]]}},
        {"input_data": {"input_string": [{"role": "bot", "content": "x"}]}},
        {"input_data": {"input_string": [{"role": "user", "content": ""}]}},
        {"input_data": {"input_string": [TURN], "parameters": {"max_new_tokens": 0}}},
        {"input_data": {"input_string": [TURN], "parameters": {"max_new_tokens": 16_385}}},
        {"input_data": {"input_string": [TURN], "parameters": {"temperature": 3}}},
        {"input_data": {"input_string": [TURN], "parameters": {"num_beams": 3}}},
        {"input_data": {"input_string": [TURN]}, "more": 1},
    ],
)
def test_any_other_payload_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NativeRequest.model_validate(wrong)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_new_tokens": 5}),
        ({"max_completion_tokens": 7}, {"max_new_tokens": 7}),
        ({"max_tokens": 5, "max_completion_tokens": 7}, {"max_new_tokens": 7}),
        ({"temperature": 0.5, "top_p": 1, "n": 1, "stream": False, "user": "u"}, {"temperature": 0.5, "top_p": 1.0}),
        ({"temperature": 0, "top_p": 0.5, "max_tokens": 9}, {"temperature": 0, "top_p": 0.5, "max_new_tokens": 9}),
        ({"stop": None, "tools": None, "max_tokens": None, "frequency_penalty": 0, "logprobs": False}, {}),
    ],
)
def test_chat_parameters_get_the_serving_codes_names(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert ChatRequest.model_validate({"model": DATASET, "messages": [TURN], **given}).parameters() == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 2},
        {"tools": [{"type": "function"}]},
        {"tool_choice": "required"},
        {"logit_bias": {"50256": -100}},
        {"top_logprobs": 2},
        {"temprature": 1},
        {"messages": [{**TURN, "tool_calls": [{"id": "x"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
        {"messages": []},
        {"messages": [{"role": "tool"}]},
        {"n": True},
        {"frequency_penalty": "much"},
        {"response_format": {"type": "json_object"}},
        {"logprobs": True},
        {"stop": ["a"] * 5},
        {"stream": True, "stream_options": {"x": 1}},
    ],
)
def test_what_cannot_be_done_is_refused_instead_of_ignored(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChatRequest.model_validate({"model": DATASET, "messages": [TURN], **wrong})
