"""What a row is in place of a dialogue under `messages`, and the command that makes it one. Asked by `turns`.

A row without messages, or whose messages or turns are of another form, is in a format of somebody's: it is said which,
once, with a line of `jq` that mends the whole file. Only names, and the types of a few values, are looked at; what a
row says never becomes part of a finding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

_MOST_NAMES = 64
_NAME = re.compile(r"[A-Za-z_]\w{0,40}")


class RowShape(NamedTuple):
    """The format a row is in, and how it becomes messages."""

    found: str
    fix: str


_QUESTIONS = (
    *("prompt", "question", "query", "instruction", "input", "inputs", "input_text", "inputtext", "text_input"),
    *("user", "human", "source", "request", "problem"),
)
_ANSWERS = (
    *("completion", "response", "answer", "output", "targets", "target", "output_text", "outputtext", "assistant"),
    *("chosen", "bot", "gpt", "reply", "solution"),
)
_LISTS = (
    *("conversations", "conversation", "messages", "dialogue", "dialog", "dialogs", "turns", "chat", "chat_history"),
    *("history", "data", "items", "thread", "utterances"),
)
_SPEAKERS, _TEXTS = ("from", "speaker", "author", "sender", "role"), ("value", "text", "message", "body", "content")
_SHAREGPT = '{messages: (%s[.%s[] | {role: ({human: "user", gpt: "assistant"}[.%s] // .%s), content: .%s}])}'
_PAIR = '{role: "user", content: .input}, {role: "assistant", content: .output}'
_IN_TURN = '{role: (if .key % 2 == 0 then "user" else "assistant" end), content: .value}'
_MARKS = (
    ("[INST]", "Llama 2"),
    ("<|im_start|>", "ChatML"),
    ("### Human", "Guanaco"),
    ("\n\nHuman:", "Human/Assistant"),
)


def row_shape(row: Mapping[str, Any]) -> RowShape | None:
    """The format of a row that has no messages, if it is a known one."""
    names = {str(name).lower(): str(name) for name in islice(row, _MOST_NAMES) if _NAME.fullmatch(str(name))}
    fields = {lower: row[name] for lower, name in names.items()}
    for look in (_of_a_service, _preference, _list_of_turns, _documents, _alpaca, _pair, _text):
        if (shape := look(names, fields)) is not None:
            return shape
    return None


def list_shape(value: Any) -> RowShape | None:
    """What a row that is no object is, or what messages are that are no list."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "role" in value[0]:
        return RowShape("a list of turns", _jq("The row is its turns", "{messages: .}"))
    if isinstance(value, str) and value[:1] == "{":
        return RowShape("JSON inside a text", _jq("Each row is JSON written as a text", "fromjson"))
    return None


def messages_shape(value: Any) -> RowShape | None:
    """What messages are that are no list."""
    if isinstance(value, str) and value[:1] == "[":
        return RowShape("JSON inside a text", _jq("The list is written as a text", ".messages |= fromjson"))
    if isinstance(value, dict) and isinstance(value.get("role"), list) and isinstance(value.get("content"), list):
        how = ".messages |= ([.role, .content] | transpose | map({role: .[0], content: .[1]}))"
        return RowShape("an object with lists of roles and contents", _jq("The turns are written by column", how))
    return None


def turn_shape(turn: Mapping[str, Any]) -> RowShape | None:
    """What a turn is that lacks role or content, if its fields are known by other names."""
    speaker = next((name for name in _SPEAKERS if name in turn), None)
    text = next((name for name in reversed(_TEXTS) if name in turn), None)
    if speaker is None or text is None or (speaker, text) == ("role", "content"):
        return None
    found = f"{speaker} and {text}" + (", as ShareGPT writes" if (speaker, text) == ("from", "value") else "")
    role = f'({{human: "user", gpt: "assistant", bot: "assistant"}}[.{speaker}] // .{speaker})'
    return RowShape(found, _jq("The turns have other names", f".messages |= map({{role: {role}, content: .{text}}})"))


ALIASES = {
    "human": "user",
    "person": "user",
    "customer": "user",
    "prompter": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
    "developer": "system",
}
"""What others call the roles."""
ROLES_FIX = (
    'The roles have other names. With jq: jq -c \'.messages |= map(.role |= (ascii_downcase | gsub("^ +| +$"; "") | {'
    + ", ".join(f'{name}: "{role}"' for name, role in ALIASES.items())
    + "}[.] // .))' FILE > ROWS.jsonl"
)
PARTS_FIX = (
    "Write the text parts as one text, and leave dialogues about images out. With jq: jq -c '.messages |= "
    'map(.content |= if type == "array" then map(.text) | join("") else . end)\' FILE > ROWS.jsonl'
)


def _jq(what: str, how: str) -> str:
    return f"{what}. With jq: jq -c '{how}' FILE > ROWS.jsonl"


def _of_a_service(names: Mapping[str, str], fields: Mapping[str, Any]) -> RowShape | None:
    """Requests and answers of services."""
    if fields.keys() >= {"custom_id", "body"}:
        fix = "A batch of requests holds no answers: put each request's body.messages together with its answer."
        return RowShape("requests of a batch, without their answers", fix)
    if fields.keys() >= {"custom_id", "response"} or fields.keys() >= {"choices"}:
        fix = "An answer alone is no dialogue: put the messages that were asked before choices[0].message."
        return RowShape("answers of a service, without their questions", fix)
    if fields.keys() == {"error"}:
        return RowShape("an error of a service", "The download failed: its error was saved instead. Download it again.")
    if isinstance(fields.get("contents"), list):
        system = '[.systemInstruction // empty | {role: "system", content: ([.parts[].text] | join(""))}] + '
        how = (
            f"{{messages: ({system if 'systeminstruction' in names else ''}"
            '[.contents[] | {role: (if .role == "model" then "assistant" else .role end), '
            'content: ([.parts[].text] | join(""))}])}'
        )
        return RowShape("contents with parts, as Gemini writes", _jq("The rows are Gemini's", how))
    if fields.keys() >= {"input_ids"}:
        return RowShape("tokens", "The rows are tokenized already: drop the dialogues that they were made of.")
    if fields.keys() >= {"message_id", "parent_id"}:
        fix = (
            "The rows are single messages of a tree, as OASST writes: follow each parent_id from an answer to the "
            "first message, and write those as one row (prompter: user)."
        )
        return RowShape("one message a row, as OASST writes", fix)
    return None


def _preference(names: Mapping[str, str], fields: Mapping[str, Any]) -> RowShape | None:
    """A preferred answer and a rejected one: the preferred is trained on."""
    if isinstance(fields.get("preferred_output"), list):
        return RowShape(
            "a preferred answer and another",
            _jq("The rows are preferences", "{messages: (.input.messages + .preferred_output)}"),
        )
    chosen, prompt = fields.get("chosen"), fields.get("prompt")
    if isinstance(chosen, list):
        how = f".{names['chosen']}"
        if len(chosen) == 1 and isinstance(prompt, str):
            how = f'([{{role: "user", content: .{names["prompt"]}}}] + {how})'
        return RowShape("chosen and rejected answers", _jq("The rows are preferences", f"{{messages: {how}}}"))
    text = chosen if isinstance(chosen, str) else prompt
    if isinstance(text, str) and text.lstrip("\n").startswith("Human:"):
        field = names["chosen"] if text is chosen else names["prompt"]
        more = f" + .{names['completion']}" if text is prompt and "completion" in names else ""
        how = (
            f'{{messages: [.{field}{more} | split("\\n\\n")[] | select(test("^(Human|Assistant):")) | '
            '{role: (if startswith("Human:") then "user" else "assistant" end), '
            'content: sub("^(Human|Assistant): ?"; "")}]}'
        )
        found = "dialogues as text, with Human: and Assistant:"
        return RowShape(found, _jq("The rows are texts as Anthropic wrote them", how))
    return None


def _list_of_turns(names: Mapping[str, str], fields: Mapping[str, Any]) -> RowShape | None:
    """The turns under another name, or in another form."""
    for lower in _LISTS:
        name, turns = names.get(lower, ""), fields.get(lower)
        if not isinstance(turns, list):
            continue
        first = turns[0] if turns else None
        if isinstance(first, dict):
            if "role" in first and "content" in first:
                return RowShape(
                    f"turns under {name}", _jq("The turns are under another name", f"{{messages: .{name}}}")
                )
            if "input" in first and "output" in first:
                how = f"{{messages: [.{name}[] | {_PAIR}]}}"
                return RowShape(f"inputs and outputs under {name}", _jq("Each turn is a question and its answer", how))
            if turn_shape(first) is not None:
                return _sharegpt(name, first, _system(fields))
        if isinstance(first, str) and len(turns) > 1:
            how = f"{{messages: [.{name} | to_entries[] | {_IN_TURN}]}}"
            return RowShape(f"a list of texts under {name}", _jq("The turns are texts that take turns", how))
    return None


def _sharegpt(name: str, turn: Mapping[str, Any], system: str) -> RowShape:
    speaker = next(field for field in _SPEAKERS if field in turn)
    text = next(field for field in reversed(_TEXTS) if field in turn)
    how = _SHAREGPT % (system, name, speaker, speaker, text)
    if (speaker, text) != ("from", "value"):
        return RowShape(f"turns with {speaker} and {text} under {name}", _jq("The turns have other names", how))
    what = (
        f"The rows are ShareGPT: {name} becomes messages, from becomes role (human: user, gpt: assistant, "
        f"system: system) and value becomes content"
    )
    return RowShape(f"{name}, as ShareGPT writes", _jq(what, how))


def _documents(names: Mapping[str, str], fields: Mapping[str, Any]) -> RowShape | None:
    """All rows in one object."""
    for lower in ("rows", "data", "train", "examples", "records", "samples", "dialogues"):
        rows = fields.get(lower)
        if isinstance(rows, list) and rows and isinstance(rows[0], dict):
            inner = ".row" if "row" in rows[0] else ""
            how = f".{names[lower]}[]{inner}"
            return RowShape(
                f"one JSON document, with its rows under {names[lower]}", _jq("All rows are in one object", how)
            )
    return None


def _alpaca(names: Mapping[str, str], fields: Mapping[str, Any]) -> RowShape | None:
    answer = next((names[name] for name in ("output", "response") if name in names), None)
    if "instruction" not in names or answer is None:
        return None
    inner = next((names[name] for name in ("input", "context") if name in names), "input")
    before = _system(fields)
    if "history" in names:
        before += '(.history // [] | map({role: "user", content: .[0]}, {role: "assistant", content: .[1]})) + '
    asked = f'[.{names["instruction"]}, .{inner} // ""] | map(select(. != "")) | join("\\n\\n")'
    turns = f'[{{role: "user", content: ({asked})}}, {{role: "assistant", content: .{answer}}}]'
    what = (
        f"The rows are Alpaca: instruction, with {inner} after it where there is one, becomes the user turn of "
        f"messages, and {answer} the assistant turn"
    )
    return RowShape(f"instruction and {answer}, as Alpaca writes", _jq(what, f"{{messages: ({before}{turns})}}"))


def _system(fields: Mapping[str, Any]) -> str:
    """The system turn that a row has in a field of its own, as the start of a sum of lists."""
    return '[{role: "system", content: .system}] + ' if isinstance(fields.get("system"), str) else ""


def _pair(names: Mapping[str, str], fields: Mapping[str, Any]) -> RowShape | None:
    """A question and its answer, each in a field."""
    question = next((name for name in _QUESTIONS if name in names), None)
    answer = next((name for name in (*_ANSWERS, "answers", "completions", "responses") if name in names), None)
    if question is None or answer is None or question == answer:
        return None
    asked, answered = f".{names[question]}", f".{names[answer]}"
    if isinstance(fields[question], list) and isinstance(fields[answer], list):
        return RowShape(
            f"lists of turns under {names[question]} and {names[answer]}",
            _jq("The turns are in two lists", f"{{messages: ({asked} + {answered})}}"),
        )
    answered += _first_of(fields[answer])
    turns = f'[{{role: "user", content: {asked}}}, {{role: "assistant", content: {answered}}}]'
    how = f"{{messages: ({_system(fields)}{turns})}}"
    what = f"{names[question]} becomes the user turn of messages, and {names[answer]} the assistant turn"
    kind = "prompt and completion" if question == "prompt" else "a question and its answer"
    return RowShape(kind if question == "prompt" else f"{kind} ({names[question]}, {names[answer]})", _jq(what, how))


def _first_of(answers: Any) -> str:
    """The way to the first of several answers."""
    if isinstance(answers, dict) and isinstance(answers.get("text"), list):
        return ".text[0]"
    if isinstance(answers, list):
        inner = answers[0] if answers else None
        return "[0]" + next(
            (f".{name}" for name in ("response", "text", "content") if isinstance(inner, dict) and name in inner), ""
        )
    return ""


def _text(names: Mapping[str, str], fields: Mapping[str, Any]) -> RowShape | None:
    if "text" not in names:
        return None
    text = fields["text"]
    kind = next((kind for mark, kind in _MARKS if isinstance(text, str) and mark in text[:4096]), "")
    fix = "The rows are plain text: cut each dialogue into its turns, and write them as messages with role and content."
    return RowShape(f"text with the template of {kind}" if kind else "text", fix)
