"""Rows of every shape become the dialogues that they were made of; whatever is in them, nothing fails."""

# ruff: noqa: E501

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.conversion import ColumnChoice, Converter, Reading, UnknownColumn, recognise
from shared.conversion.marked_text import TEXT_TEMPLATES, TextTemplate, turns_in_text
from shared.conversion.recognition import SHAPES
from shared.conversion.values import REASONS, Unusable

type Turns = list[tuple[str, str]]


def converted(row: dict[str, Any], shape: str = "") -> Turns:
    """The turns that a row becomes by the only reading that it has."""
    (reading,) = recognise([row], ColumnChoice(shape=shape))
    found = Converter(reading).convert(row)
    assert found.messages is not None, found
    return [(turn["role"], turn["content"]) for turn in found.messages]


@pytest.mark.parametrize("name", SHAPES)
def test_the_example_of_a_shape_is_read_as_that_shape_alone(name: str) -> None:
    row = json.loads(SHAPES[name].example)
    (reading,) = recognise([row])
    assert reading.shape == name
    assert [turn["role"] for turn in Converter(reading).convert(row).messages or ()][-2:] == ["user", "assistant"]


def renamed(turns: Turns, role: str, content: str, names: dict[str, str] | None = None) -> list[dict[str, str]]:
    return [{role: (names or {}).get(name, name), content: text} for name, text in turns]


SHAREGPT = {"user": "human", "assistant": "gpt"}
GEMINI = {"assistant": "model"}
MARKS = {
    "ChatML": "<|im_start|>{role}\n{text}<|im_end|>\n",
    "Phi-4": "<|im_start|>{role}<|im_sep|>{text}<|im_end|>",
    "Phi-3": "<|{role}|>\n{text}<|end|>\n",
    "Zephyr": "<|{role}|>\n{text}</s>\n",
    "Llama 3": "<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>",
    "Gemma": "<start_of_turn>{role}\n{text}<end_of_turn>\n",
}


def marked(template: str, turns: Turns) -> str:
    names = GEMINI if template == "Gemma" else {}
    return "".join(MARKS[template].format(role=names.get(role, role), text=text) for role, text in turns)


def llama_2(turns: Turns) -> str:
    text, system = "", ""
    for role, content in turns:
        if role == "system":
            system = f"<<SYS>>\n{content}\n<</SYS>>\n\n"
        elif role == "user":
            text += f"<s>[INST] {system}{content} [/INST]"
            system = ""
        else:
            text += f" {content} </s>"
    return text


def exchanges(turns: Turns) -> list[dict[str, str]]:
    spoken = [text for role, text in turns if role != "system"]
    found = [{"input": asked, "output": said} for asked, said in zip(spoken[::2], spoken[1::2], strict=True)]
    return [{"system": turns[0][1], **found[0]}, *found[1:]] if turns[0][0] == "system" else found


def alpaca(turns: Turns) -> dict[str, Any]:
    spoken = [text for role, text in turns if role != "system"]
    history = [list(pair) for pair in zip(spoken[:-2:2], spoken[1:-2:2], strict=True)]
    system = turns[0][1] if turns[0][0] == "system" else ""
    return {"instruction": spoken[-2], "input": "", "output": spoken[-1], "history": history, "system": system}


def by_column(turns: Turns) -> dict[str, list[str]]:
    return {"role": [role for role, _ in turns], "content": [text for _, text in turns]}


ROWS: dict[str, Any] = {
    "messages": lambda turns: {"messages": renamed(turns, "role", "content")},
    "another name": lambda turns: {"conversation": renamed(turns, "role", "content")},
    "speakers": lambda turns: {"dialogue": renamed(turns, "speaker", "text", SHAREGPT)},
    "text": lambda turns: {"messages": json.dumps(renamed(turns, "role", "content"))},
    "python": lambda turns: {"messages": str(renamed(turns, "role", "content"))},
    "numpy": lambda turns: {"messages": "[" + " ".join(map(str, renamed(turns, "role", "content"))) + "]"},
    "columns": lambda turns: {"messages": by_column(turns)},
    "parts": lambda turns: {
        "messages": [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
    },
    "sharegpt": lambda turns: {"conversations": renamed(turns, "from", "value", SHAREGPT)},
    "exchanges": lambda turns: {"conversation": exchanges(turns)},
    "alpaca": alpaca,
    "prompt and completion": lambda turns: {
        "prompt": renamed(turns[:-1], "role", "content"),
        "completion": renamed(turns[-1:], "role", "content"),
    },
    "gemini": lambda turns: {
        "contents": [{"role": GEMINI.get(role, role), "parts": [{"text": text}]} for role, text in turns]
    },
    "Llama 2": lambda turns: {"text": llama_2(turns)},
    **{name: lambda turns, name=name: {"text": marked(name, turns)} for name in MARKS},
}

# Texts as people write them: marks of templates are no part of these, nor is white space at the ends.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=40).map(
    lambda text: f"a{text}z".replace("<", "(").replace("[", "(").replace("#", "+")
)


@st.composite
def dialogues(draw: st.DrawFn) -> Turns:
    count = draw(st.integers(1, 3))
    spoken = [("assistant" if at % 2 else "user", draw(TEXTS)) for at in range(2 * count)]
    return [("system", draw(TEXTS)), *spoken] if draw(st.booleans()) else spoken


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=12, deadline=None)
@given(turns=dialogues())
def test_a_row_becomes_the_dialogue_that_it_was_made_of(name: str, turns: Turns) -> None:
    assert converted(ROWS[name](turns)) == turns


@pytest.mark.parametrize("template", TEXT_TEMPLATES, ids=lambda template: template.name)
def test_a_text_without_the_marks_of_the_others_is_left_out(template: TextTemplate) -> None:
    with pytest.raises(Unusable, match="template-missing"):
        turns_in_text("nothing of it", template.name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "text", "parts", "input"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
NAMES = ["messages", "conversations", "instruction", "output", "prompt", "completion", "chosen", "rejected", "text"]


@settings(max_examples=100, deadline=None)
@given(
    row=st.dictionaries(
        st.sampled_from([*NAMES, "history", "contents", "data", "label", "system", "mapping", "current_node"]),
        JSON,
        max_size=4,
    )
)
def test_whatever_a_row_holds_it_is_converted_or_has_a_reason(row: dict[str, Any]) -> None:
    """By its own readings, and by those of other rows in the same file."""
    others = [Reading(reading.shape, reading.columns, reading.template) for one in SHAPES.values() for reading in recognise([json.loads(one.example)])]  # fmt: skip
    for reading in (*recognise([row]), *others):
        found = Converter(reading).convert(row)
        assert (found.messages is None) == (found.reason in REASONS)


def test_columns_that_somebody_names_count() -> None:
    row = {"frage": "q", "zusatz": "z", "antwort": "a", "regel": "s"}
    (reading,) = recognise([row], ColumnChoice(user=("zusatz", "frage"), assistant="antwort", system="regel"))
    assert [turn["content"] for turn in Converter(reading).convert(row).messages or ()] == ["s", "z\n\nq", "a"]
    with pytest.raises(UnknownColumn, match="did you mean antwort"):
        recognise([row], ColumnChoice(user=("frage",), assistant="antwor"))


@pytest.mark.parametrize(
    ("row", "shape", "turns"),
    [
        ({"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "x"}, "preference", [("user", "q"), ("assistant", "a")]),
        ({"prompt": "\n\nHuman: q\n\nAssistant:", "completion": " a"}, "", [("user", "q"), ("assistant", "a")]),
        ({"text": "### Human: q### Assistant: a"}, "", [("user", "q"), ("assistant", "a")]),
        (
            {"text": "A chat between two. USER: q ASSISTANT: a</s>USER: r ASSISTANT: b</s>"},
            "",
            [("system", "A chat between two."), ("user", "q"), ("assistant", "a"), ("user", "r"), ("assistant", "b")],
        ),
        (
            {"text": "Below is an instruction that describes a task.\n\n### Instruction:\nq\n\n### Input:\ni\n\n### Response:\na"},
            "",
            [("user", "q\n\ni"), ("assistant", "a")],
        ),
        ({"question": "q", "answers": {"text": ["a", "b"]}}, "", [("user", "q"), ("assistant", "a")]),
        ({"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a"}, "rejected": {"from": "gpt", "value": "b"}}, "preference", [("user", "q"), ("assistant", "a")]),
    ],
)  # fmt: skip
def test_rows_of_known_data_sets(row: dict[str, Any], shape: str, turns: Turns) -> None:
    assert converted(row, shape) == turns


def test_a_chat_that_was_exported_is_the_way_that_was_shown_last() -> None:
    def node(parent: str | None, role: str, *parts: Any) -> dict[str, Any]:
        return {"parent": parent, "message": {"author": {"role": role}, "content": {"parts": list(parts)}}}

    mapping = {
        "root": {"parent": None, "message": None},
        "s": node("root", "system", ""),
        "q": node("s", "user", "q"),
        "first": node("q", "assistant", "not liked"),
        "again": node("q", "assistant", "a", "more"),
        "tool": node("again", "tool", "found"),
        "r": node("tool", "user", "r"),
        "end": node("r", "assistant", "b"),
    }
    expected = [("user", "q"), ("assistant", "a\nmore"), ("user", "r"), ("assistant", "b")]
    assert converted({"title": "t", "mapping": mapping, "current_node": "end"}) == expected
    mapping["root"]["parent"] = "end"  # a circle ends
    assert converted({"title": "t", "mapping": mapping, "current_node": "end"}) == expected


def test_a_list_of_texts_is_no_content_in_parts() -> None:
    """A column of texts would become one turn otherwise."""
    reading = Reading("question-answer", {"user": ("q",), "answer": ("a",)})
    found = Converter(reading).convert({"q": ["one", "two"], "a": "b"}).messages
    assert found is not None
    assert found[0]["content"] == ["one", "two"]  # which validation refuses


def test_messages_are_meant_where_a_row_has_them_and_more() -> None:
    """ultrachat_200k and ultrafeedback_binarized have both."""
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    row = {"prompt": "q", "messages": turns, "chosen": turns, "rejected": turns}
    (reading,) = recognise([row])
    assert (reading.shape, reading.used) == ("messages", ["messages"])
    (asked,) = recognise([row], ColumnChoice(shape="preference"))
    assert asked.column("answer") == "chosen"
