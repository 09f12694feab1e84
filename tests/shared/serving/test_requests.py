"""What may be asked: the recipe's payload and chat completions; anything else is refused, not ignored."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.serving.bodies import cleaned
from shared.serving.fields import HintField, NeutralField, RequestExtras, TakenField, marked
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
        {"top_logprobs": 2},
        {"temprature": 1},
        {"messages": [{**TURN, "tool_calls": [{"id": "x"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
        {"messages": []},
        {"messages": [{"role": "tool"}]},
        {"n": True},
        {"frequency_penalty": "much"},
        {"logprobs": True},
        {"stop": ["a"] * 5},
        {"stream": True, "stream_options": {"x": 1}},
    ],
)
def test_what_cannot_be_done_is_refused_instead_of_ignored(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChatRequest.model_validate({"model": DATASET, "messages": [TURN], **wrong})


# --- the one table of fields -------------------------------------------------------------------------------------

NEUTRAL = [
    {name: value} for name, mark in marked(ChatRequest) if isinstance(mark, NeutralField) for value in mark.values
] + [{name: value} for name, mark in marked(ChatRequest) if isinstance(mark, HintField) for value in mark.neutral]


TAKEN = [name for name, mark in marked(ChatRequest) if isinstance(mark, TakenField)]


def _chat(**more: Any) -> ChatRequest:
    return ChatRequest.model_validate(cleaned({"model": DATASET, "messages": [TURN], **more}))


@pytest.mark.parametrize("field", NEUTRAL, ids=str)
def test_what_changes_nothing_is_taken_and_not_named(field: dict[str, Any]) -> None:
    assert _chat(**field).extras() == RequestExtras()


def test_zero_is_no_more_than_no_where_probabilities_are_asked_for() -> None:
    # Named here as well: a table that loses a value passes a test that is read from the table.
    assert _chat(top_logprobs=0, logprobs=False, n=1, tools=[], logit_bias={}, store=False).extras() == RequestExtras()


@pytest.mark.parametrize("value", [5, "x", True, 1.5, ["x"], {"a": [1]}], ids=str)
@pytest.mark.parametrize("name", TAKEN)
def test_what_says_nothing_to_the_model_is_taken_at_any_value(name: str, value: Any) -> None:
    assert _chat(**{name: value}).extras() == RequestExtras()


@pytest.mark.parametrize("name", [name for name in ChatRequest.model_fields if name not in ("model", "messages")])
def test_null_is_a_field_that_is_left_out(name: str) -> None:
    assert _chat(**{name: None}) == _chat()


DEMANDS = {name: mark for name, mark in marked(ChatRequest) if isinstance(mark, NeutralField)}


@pytest.mark.parametrize("name", [name for name, mark in DEMANDS.items() if not mark.passed])
def test_what_the_caller_counts_on_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _chat(**{name: {"something": ["else"]}})
    ((problem),) = refused.value.errors()
    assert (problem["loc"], problem["type"]) == ((name,), "unsupported")


def test_hints_without_effect_are_taken_and_named() -> None:
    asked = _chat(seed=1, top_k=40, frequency_penalty=0.5, presence_penalty=0, user="ada", metadata={"a": 1})
    assert asked.extras() == RequestExtras(hints={"seed": 1, "frequency_penalty": 0.5, "top_k": 40})
    options = {"include_usage": True, "include_obfuscation": True}
    unused = _chat(stream=True, stream_options=options, verbosity="low").extras().unused
    assert unused == ("verbosity", "stream_options.include_obfuscation")


@pytest.mark.parametrize("name", [name for name, mark in DEMANDS.items() if mark.passed])
def test_what_only_an_openai_route_can_do_is_kept_for_it_with_the_refusal_for_others(name: str) -> None:
    found = _chat(**{name: {"something": ["else"]}}).extras()
    assert found.more == {name: {"something": ["else"]}}
    assert "is not supported here (only" in found.demands[name][1]


@pytest.mark.parametrize(
    ("stop", "stops"),
    [("", ()), ([], ()), (["", "a"], ("a",)), ("a", ("a",)), (["a", "b", "c", "d"], ("a", "b", "c", "d"))],
)
def test_an_empty_stop_stops_nothing(stop: Any, stops: tuple[str, ...]) -> None:
    assert _chat(stop=stop).stops() == stops


# --- turns ---------------------------------------------------------------------------------------------------------

OWN: dict[str, Any] = {
    "role": "assistant",
    "content": "Because.",
    "refusal": None,
    "annotations": [],
    "tool_calls": None,
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"function_call": None, "provider_specific_fields": {"refusal": None}},
        {"tool_calls": [], "reasoning_content": None, "id": "msg-1", "name": "bot"},
        {"type": "message", "content": [{"type": "output_text", "text": "Because.", "annotations": []}]},
        {"prefix": False},
    ],
)
def test_a_client_can_send_back_the_message_it_was_answered(more: dict[str, Any]) -> None:
    asked = _chat(messages=[TURN, {**OWN, **more}, {"role": "user", "content": "And then?", "name": "ada"}])
    assert [turn.content for turn in asked.turns()] == ["Why?", "Because.", "And then?"]


def _contents(*turns: tuple[str, Any]) -> list[tuple[str, str]]:
    asked = _chat(messages=[{"role": role, "content": content} for role, content in turns])
    return [(turn.role, turn.content) for turn in asked.turns()]


def test_leading_system_turns_become_one_and_blank_ones_none() -> None:
    assert _contents(("system", "Be kind."), ("developer", "Be brief."), ("user", "Why?")) == [
        ("system", "Be kind.\n\nBe brief."),
        ("user", "Why?"),
    ]
    assert _contents(("system", " \n"), ("user", "Why?")) == [("user", "Why?")]


def test_a_blank_answer_that_a_client_kept_is_left_out() -> None:
    blanks: list[Any] = ["", " ", None, []]
    for blank in blanks:
        turns: tuple[tuple[str, Any], ...] = (("system", None), ("user", "a"), ("assistant", blank), ("user", "b"))
        assert _contents(*turns) == [("user", "a"), ("user", "b")]


def test_a_question_without_content_is_refused_and_calls_of_tools_by_their_own_name() -> None:
    with pytest.raises(ValidationError, match="turn 0 is blank"):
        _chat(messages=[{"role": "user", "content": None}])
    with pytest.raises(ValidationError) as refused:
        _chat(messages=[TURN, {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}, TURN])
    assert [problem["loc"] for problem in refused.value.errors()] == [("messages", 1, "tool_calls")]


def test_parts_may_have_marks_for_other_services() -> None:
    part = {"type": "text", "text": "Why?", "cache_control": {"type": "ephemeral"}, "annotations": None}
    assert _contents(("user", [part, {"type": "text", "text": "Now."}])) == [("user", "Why?\nNow.")]


def test_the_native_payload_takes_nulls_stops_and_hints() -> None:
    parameters = {"temperature": 0, "do_sample": None, "stop": ["END"], "top_k": 50, "num_beams": 1}
    body = {"input_data": {"input_string": [TURN], "parameters": parameters}, "params": None}
    asked = NativeRequest.model_validate(cleaned(body))
    assert (asked.parameters(), asked.stops()) == ({"temperature": 0}, ("END",))
    assert asked.extras() == RequestExtras(hints={"top_k": 50})
    no_parameters = {"input_data": {"input_string": [TURN], "parameters": None}}
    assert NativeRequest.model_validate(cleaned(no_parameters)).parameters() == {}
