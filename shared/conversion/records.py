"""Shapes whose rows hold a question and an answer in columns: Alpaca, prompts and completions, pairs, preferences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.conversion.lists import turns_of_list, unpacked
from shared.conversion.marked_text import template_of_text, turns_in_text
from shared.conversion.values import Fields, Reading, Row, Turns, Unusable, turn, with_system

PAIRS = (
    *(("question", "answer"), ("question", "response"), ("query", "response"), ("query", "answer")),
    *(("prompt", "response"), ("prompt", "answer"), ("input", "output"), ("inputs", "targets"), ("input", "target")),
    *(("input_text", "output_text"), ("inputtext", "outputtext"), ("text_input", "output"), ("prompt", "output")),
    *(("user", "assistant"), ("human", "assistant"), ("human", "bot"), ("user", "bot"), ("human", "gpt")),
    *(("problem", "solution"), ("request", "response"), ("question", "answers"), ("query", "answers")),
    *(("prompt", "completions"), ("instruction", "completions"), ("instruction", "answer"), ("question", "output")),
    *(("source", "target"), ("instruction", "target"), ("request", "reply"), ("question", "solution")),
    *(("prompt", "responses"), ("user", "gpt"), ("question", "completion"), ("instruction", "completion")),
)
"""Names that a question and its answer have together; the first ones more often."""
CONTEXTS = ("context", "passage", "document", "article", "background")


def find_alpaca(fields: Fields) -> Iterator[Reading]:
    """Instruction, perhaps with an input, and the output; LLaMA-Factory adds a system turn and a history."""
    answer = fields.first(("output", "response"))
    if "instruction" in fields and answer:
        inner = fields.first(("input", "context"))
        history = "history" if "history" in fields else ""
        found = fields.columns(
            instruction="instruction", input=inner, answer=answer, system=fields.system, history=history
        )
        yield Reading("alpaca", found)


def turns_of_alpaca(row: Row, reading: Reading) -> Turns:
    """The history's turns, then the instruction with its input after an empty line, then the output."""
    asked, more = row.get(reading.column("instruction")), row.get(reading.column("input"))
    if isinstance(more, str) and more.strip():
        asked = f"{asked}\n\n{more}" if asked else more
    before: Turns = []
    history = unpacked(row.get(reading.column("history"))) or ()
    if not isinstance(history, list | tuple):
        raise Unusable("dialogue-unreadable")
    for exchange in history:
        if not isinstance(exchange, list) or len(exchange) != 2:
            raise Unusable("answer-missing")
        before += [turn("user", exchange[0]), turn("assistant", exchange[1])]
    return with_system(row, reading, [*before, turn("user", asked), turn("assistant", _answer(row, reading))])


def find_pairs(fields: Fields) -> Iterator[Reading]:
    """Prompt and completion, or a question and its answer, by the names of their columns."""
    if "prompt" in fields and "completion" in fields:
        if not isinstance(fields.values.get("label"), bool):
            found = fields.columns(user="prompt", answer="completion", system=fields.system)
            yield Reading("prompt-completion", found, _template(fields, "prompt"))
        return
    taken = set[str]()
    for asked, answer in PAIRS:
        if asked in fields and answer in fields and not {asked, answer} & taken:
            taken |= {asked, answer}
            yield Reading("question-answer", fields.columns(user=asked, answer=answer, system=fields.system))


def turns_of_pair(row: Row, reading: Reading) -> Turns:
    """The question (of several columns, with empty lines between), then the answer. Either may be a list of turns."""
    asked = [_value(row.get(name)) for name in reading.columns["user"]]
    answer = _answer(row, reading)
    if reading.template and isinstance(asked[0], str) and isinstance(answer, str):
        return turns_in_text(asked[0] + answer, reading.template)
    question = asked[0] if len(asked) == 1 else "\n\n".join(str(text) for text in asked if text not in (None, ""))
    before: Turns = question if _is_turns(question) else [turn("user", question)]  # type: ignore[assignment]
    after: Turns = answer if _is_turns(answer) else [turn("assistant", answer)]
    return with_system(row, reading, [*before, *after])


def _answer(row: Row, reading: Reading) -> Any:
    """The answer; the first one where there are several."""
    answer = _value(row.get(reading.column("answer")))
    if isinstance(answer, dict) and isinstance(answer.get("text"), list):
        answer = answer["text"]
    if isinstance(answer, list) and not _is_turns(answer):
        answer = answer[0] if answer else None
        if isinstance(answer, dict):
            answer = next((answer[name] for name in ("response", "text", "content") if name in answer), None)
    if answer is None:
        raise Unusable("answer-missing")
    return answer


def _value(value: Any) -> Any:
    """A value as it is; turns and answers that a table holds as texts, as what they are. Other JSON is a text."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        found = unpacked(value)
        if _is_turns(found) or (isinstance(found, dict) and isinstance(found.get("text"), list)):
            return found
    return value


def _is_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "role" in value[0]


def find_preferences(fields: Fields) -> Iterator[Reading]:
    """An answer that is preferred and one that is not, or answers with a label."""
    if isinstance(fields.values.get("preferred_output"), list):
        yield Reading("preference", fields.columns(user="input", answer="preferred_output"))
    elif "chosen" in fields and ("rejected" in fields or "prompt" in fields):
        asked = fields.first(("prompt", "question", "instruction", "input", "query", "conversations"))
        found = fields.columns(user=asked, answer="chosen", system=fields.system)
        yield Reading("preference", found, _template(fields, "chosen"))
    elif "prompt" in fields and "completion" in fields and isinstance(fields.values.get("label"), bool):
        found = fields.columns(user="prompt", answer="completion", label="label", system=fields.system)
        yield Reading("preference", found)


def _template(fields: Fields, lower: str) -> str:
    text = fields.values.get(lower)
    return template_of_text(text) if isinstance(text, str) else ""


def turns_of_preference(row: Row, reading: Reading) -> Turns:
    """The dialogue with the preferred answer; the other one is not trained on."""
    if reading.column("label") and row.get(reading.column("label")) is not True:
        raise Unusable("answer-not-wanted")
    chosen, asked = row.get(reading.column("answer")), row.get(reading.column("user"))
    if reading.template:
        if not isinstance(chosen, str):
            raise Unusable("answer-missing")
        return turns_in_text(chosen, reading.template)
    if isinstance(asked, dict):
        asked = asked.get("messages")
    if isinstance(chosen, dict):
        chosen = [chosen]
    if not isinstance(chosen, list):
        return turns_of_pair(row, Reading("question-answer", {**reading.columns}))
    turns = turns_of_list({"turns": chosen}, Reading("messages", {"turns": ("turns",)}))
    if isinstance(asked, list) and len(turns) == 1:
        turns = [*turns_of_list({"turns": asked}, Reading("messages", {"turns": ("turns",)})), *turns]
    elif isinstance(asked, str) and len(turns) == 1:
        turns = [turn("user", asked), *turns]
    return with_system(row, reading, turns)


def find_marked_text(fields: Fields) -> Iterator[Reading]:
    """Whole dialogues as texts in the chat template of some model."""
    for lower, value in fields.values.items():
        if isinstance(value, str) and (template := template_of_text(value)):
            yield Reading("text", fields.columns(text=lower), template)


def turns_of_marked_text(row: Row, reading: Reading) -> Turns:
    """The turns between the marks of the template."""
    text = row.get(reading.column("text"))
    if not isinstance(text, str):
        raise Unusable("template-missing")
    return turns_in_text(text, reading.template)
