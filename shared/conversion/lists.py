"""Shapes whose rows hold a list: of turns under any name, of exchanges, of texts that take turns, Gemini's contents."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from shared.conversion.values import Fields, Reading, Row, Turns, Unusable, turn, with_system

LISTS = (
    *("messages", "conversations", "conversation", "dialogue", "dialog", "dialogs", "turns", "chat", "chat_history"),
    *("history", "data", "items", "thread", "utterances"),
)
SPEAKERS = ("from", "speaker", "author", "sender", "role")
TEXTS = ("content", "body", "message", "text", "value")
_EXCHANGES = (
    *(("input", "output"), ("human", "assistant"), ("user", "assistant"), ("question", "answer")),
    *(("prompt", "response"), ("instruction", "output"), ("human", "bot"), ("user", "bot")),
)
_NO_DIALOGUES = {"chosen", "rejected", "preferred_output", "non_preferred_output", "tools", "functions", "contents"}
_LONGEST_TEXT = 2**23
_NUMPY = re.compile(
    r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|\}\s{1,40}\{|array\(|,\s{0,40}dtype=object\)""", re.DOTALL
)


def speaker_and_text(turns: Any) -> tuple[str, str] | None:
    """The names that the first turn of a list has for who speaks and what; None if it is no turn.

    Turns written by column, `{"role": [...], "content": [...]}`, have them too.
    """
    first = turns[0] if isinstance(turns, list) and turns else turns
    if not isinstance(first, dict):
        return None
    speaker = next((name for name in SPEAKERS if name in first), None)
    text = next((name for name in TEXTS if name in first), None)
    if speaker is None or text is None or (isinstance(turns, dict) and not isinstance(turns[speaker], list)):
        return None
    return speaker, text


def unpacked(value: Any) -> Any:
    """A list or an object that was written as a text (in a CSV, or by mistake) as what it is; others as they are."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        pass
    if len(value) < _LONGEST_TEXT:
        for write in (str, _without_numpy):  # pandas writes lists as Python or numpy does
            try:
                return ast.literal_eval(write(value))
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
    return value


def _without_numpy(text: str) -> str:
    return _NUMPY.sub(_as_python_writes, text)


def _as_python_writes(found: re.Match[str]) -> str:
    """A piece of what numpy writes: texts as they are, commas between objects, lists in place of arrays."""
    piece = found[0]
    return piece if piece[0] in "'\"" else "}, {" if piece[0] == "}" else "" if piece[0] == "a" else ","


def find_turn_lists(fields: Fields) -> Iterator[Reading]:
    """Columns that hold turns. A column `messages` that does is meant, whatever else there is."""
    found = list(_turn_lists(fields))
    yield from [reading for reading in found if reading.column("turns") == "messages"] or found


def _turn_lists(fields: Fields) -> Iterator[Reading]:
    lists_of_both = all(isinstance(fields.values.get(name), list) for name in ("prompt", "completion"))
    for lower, value in fields.values.items():
        if lower in _NO_DIALOGUES or (lists_of_both and lower in ("prompt", "completion")):
            continue
        turns = unpacked(value)
        names = speaker_and_text(turns)
        if names is None or (lower not in LISTS and names not in (("role", "content"), ("from", "value"))):
            continue
        shape = "sharegpt" if names == ("from", "value") else "messages"
        yield Reading(shape, fields.columns(turns=lower, system=fields.system))


def turns_of_list(row: Row, reading: Reading) -> Turns:
    """The turns of a row, by the names that we have for role and content."""
    turns = unpacked(row.get(reading.column("turns")))
    if isinstance(turns, dict):
        turns = _by_row(turns)
    if isinstance(turns, str):
        raise Unusable("dialogue-unreadable")
    if not isinstance(turns, list):
        raise Unusable("turns-missing")
    return with_system(row, reading, [_renamed(one) for one in turns])


def _renamed(one: Any) -> Any:
    if not isinstance(one, dict) or ("role" in one and "content" in one):
        return one
    names = speaker_and_text([one])
    if names is None:
        return one
    rest = {name: value for name, value in one.items() if name not in names}
    return {"role": one[names[0]], "content": one[names[1]], **rest}


def _by_row(columns: Mapping[str, Any]) -> list[Any]:
    """Turns that are written by column, which is how `datasets` shows a Sequence of objects."""
    lists = {name: values for name, values in columns.items() if isinstance(values, list)}
    length = max(map(len, lists.values()), default=0)
    return [{name: values[at] for name, values in lists.items() if at < len(values)} for at in range(length)]


def find_exchanges(fields: Fields) -> Iterator[Reading]:
    """Columns that hold questions with their answers."""
    for lower in LISTS:
        exchanges = unpacked(fields.values.get(lower))
        if isinstance(exchanges, list) and exchanges and _exchange(exchanges[0]) is not None:
            if lower == "history" and "instruction" in fields:
                continue
            yield Reading("exchanges", fields.columns(turns=lower, system=fields.system))


def _exchange(one: Any) -> tuple[Any, Any] | None:
    if isinstance(one, dict):
        return next(((one[asked], one[said]) for asked, said in _EXCHANGES if asked in one and said in one), None)
    if isinstance(one, list) and len(one) == 2 and all(isinstance(text, str) for text in one):
        return one[0], one[1]
    return None


def turns_of_exchanges(row: Row, reading: Reading) -> Turns:
    """A question and an answer of each exchange; the first may have a system turn with it."""
    exchanges = unpacked(row.get(reading.column("turns")))
    if not isinstance(exchanges, list):
        raise Unusable("turns-missing")
    turns: Turns = []
    for one in exchanges:
        found = _exchange(one)
        if found is None:
            raise Unusable("answer-missing")
        if not turns and isinstance(one, dict) and one.get("system"):
            turns.append(turn("system", one["system"]))
        turns += (turn("user", found[0]), turn("assistant", found[1]))
    return with_system(row, reading, turns)


def find_texts(fields: Fields) -> Iterator[Reading]:
    """Columns that hold texts of two who take turns."""
    for lower in LISTS:
        texts = unpacked(fields.values.get(lower))
        if isinstance(texts, list) and len(texts) > 1 and all(isinstance(text, str) for text in texts):
            yield Reading("texts", fields.columns(turns=lower, system=fields.system))


def turns_of_texts(row: Row, reading: Reading) -> Turns:
    """The texts in turn: the first is the user's."""
    texts = unpacked(row.get(reading.column("turns")))
    if not isinstance(texts, list):
        raise Unusable("turns-missing")
    turns = [turn("assistant" if at % 2 else "user", text) for at, text in enumerate(texts)]
    return with_system(row, reading, turns)


def find_contents(fields: Fields) -> Iterator[Reading]:
    """Gemini's rows."""
    contents = unpacked(fields.values.get("contents"))
    if isinstance(contents, list) and contents and isinstance(contents[0], dict) and "parts" in contents[0]:
        system = fields.first(("systeminstruction", "system_instruction"))
        yield Reading("gemini", fields.columns(turns="contents", system=system))


def turns_of_contents(row: Row, reading: Reading) -> Turns:
    """The parts of each content are those of a turn."""
    contents = unpacked(row.get(reading.column("turns")))
    if not isinstance(contents, list):
        raise Unusable("turns-missing")
    turns = [turn(one.get("role", "user"), one.get("parts")) for one in contents if isinstance(one, dict)]
    system = row.get(reading.column("system")) if reading.column("system") else None
    parts = system.get("parts") if isinstance(system, dict) else system
    return [turn("system", parts), *turns] if parts else turns


def find_trees(fields: Fields) -> Iterator[Reading]:
    """ChatGPT's own export: each chat is a tree, since answers may be asked for again."""
    mapping = fields.values.get("mapping")
    if isinstance(mapping, dict) and any(isinstance(node, dict) and "message" in node for node in mapping.values()):
        yield Reading("chatgpt", fields.columns(turns="mapping", last=fields.first(("current_node",))))


def turns_of_tree(row: Row, reading: Reading) -> Turns:
    """The turns on the way from the root to the node that is shown last."""
    mapping = row.get(reading.column("turns"))
    if not isinstance(mapping, dict):
        raise Unusable("turns-missing")
    at = row.get(reading.column("last")) or next(reversed(mapping), None)
    turns: Turns = []
    for _ in range(len(mapping)):
        node = mapping.get(at) if isinstance(at, str) else None
        if not isinstance(node, dict):
            break
        at = node.get("parent")
        if (one := _shown_turn(node.get("message"))) is not None:
            turns.append(one)
    return turns[::-1]


def _shown_turn(message: Any) -> Any:
    """A message of a tree as a turn; None for what is not shown."""
    author, content = (
        (message.get(name) for name in ("author", "content")) if isinstance(message, dict) else (None, None)
    )
    role = author.get("role") if isinstance(author, dict) else None
    parts = content.get("parts") if isinstance(content, dict) else None
    if role not in ("user", "assistant") or not isinstance(parts, list) or not any(parts):
        return None
    texts = all(isinstance(part, str) for part in parts)
    return turn(role, "\n".join(parts) if texts else parts)
