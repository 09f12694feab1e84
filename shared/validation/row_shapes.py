"""What rows are in place of a dialogue under `messages`, and what makes dialogues of them. Asked by `turns`, `jsonl`
and `parquet`.

Rows without messages, or whose messages or turns are of another form, are in a format of somebody's: it is said which,
with the command that converts them. Where all first rows of a file are, the file is refused as a whole, once. Only
names, and the types of a few values, are looked at; what a row says never becomes part of a finding.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.chatdata.formats import printable
from shared.conversion import Reading
from shared.conversion.foreign import PLAIN_TEXT, foreign_rows
from shared.conversion.lists import speaker_and_text
from shared.conversion.recognition import SHAPES, recognise_fields
from shared.conversion.roles import ALIASES
from shared.conversion.values import Fields

FEWEST_ALIKE = 3
"""So many first rows in one shape are no accident."""


class RowShape(NamedTuple):
    """The format a row is in, and how it becomes messages."""

    found: str
    fix: str


def prepare_command(path: str = "") -> str:
    """The command that makes a snapshot of a file of another shape; FILE stands for one whose name is not known."""
    return named_in("`droptune prepare FILE --out FOLDER`", path)


def named_in(text: str, path: str) -> str:
    """A text with the name of a file in the command, so that it can be pasted."""
    name = shlex.quote(printable(path.rpartition("/")[2], 80)) if path else "FILE"
    return text.replace("droptune prepare FILE ", f"droptune prepare {name} ")


def row_shape(row: Mapping[str, Any]) -> RowShape | None:
    """The format of a row that has no messages, if it is a known one."""
    fields = Fields([row])
    if foreign := _without_dialogue(fields):
        return foreign
    found = recognise_fields(fields)
    return RowShape(titles(found, [row]), conversion(found, [row])) if found else _document(fields)


def rows_shape(rows: Sequence[Any], path: str) -> RowShape | None:
    """The format that all of the first rows of a file are in, if it is a known one and not ours."""
    if len(rows) < FEWEST_ALIKE or not all(isinstance(row, dict) and not _has_turns(row) for row in rows):
        return None
    fields = Fields(rows)
    if foreign := _without_dialogue(fields):
        return foreign
    found = recognise_fields(fields)
    return RowShape(f"rows that look like {titles(found, rows)}", conversion(found, rows, path)) if found else None


def _has_turns(row: Mapping[str, Any]) -> bool:
    """Whether there are messages in our form, or in one that is refused turn by turn."""
    messages = row.get("messages")
    return isinstance(messages, list) and (not messages or speaker_and_text(messages) in (None, ("role", "content")))


def titles(found: Sequence[Reading], rows: Sequence[Mapping[str, Any]]) -> str:
    """What the readings are called, with the columns that each takes."""
    return " or ".join(dict.fromkeys(_title(reading, rows) for reading in found))


def _title(reading: Reading, rows: Sequence[Mapping[str, Any]]) -> str:
    names = ", ".join(map(printable, reading.used))
    if reading.shape == "messages":
        return f"{_turns(rows, reading.column('turns'))} under {printable(reading.column('turns'))}"
    template = f", in the template of {reading.template}" if reading.template else ""
    return f"{SHAPES[reading.shape].title}{template} ({names})"


def _turns(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """How turns are written that are not ours, or stand elsewhere."""
    turns = next((row[name] for row in rows if row.get(name)), None)
    if isinstance(turns, str):
        return "turns written as a text"
    names = speaker_and_text(turns)
    if isinstance(turns, dict):
        return "turns written by column"
    return "turns" if names in (None, ("role", "content")) else f"turns with {' and '.join(names)}"


def conversion(found: Sequence[Reading], rows: Sequence[Mapping[str, Any]], path: str = "") -> str:
    """The command that converts rows that have these readings, and what it makes of them."""
    shapes = list(dict.fromkeys(reading.shape for reading in found))
    command, title = prepare_command(path), titles(found, rows)
    if len(shapes) > 1:
        choices = " or ".join(f"--shape {shape}" for shape in shapes)
        return f"{command} makes messages of {title}, once it is told which: {choices}."
    shape = SHAPES[shapes[0]]
    asked = f" with --shape {shape.name}" if shape.only_if_asked else ""
    return f"{command}{asked} makes messages of {title}. {shape.becomes}"


def list_shape(value: Any) -> RowShape | None:
    """What a row that is no object is."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "role" in value[0]:
        return RowShape("a list of turns", f"{prepare_command()} makes a snapshot of rows that are their turns.")
    if isinstance(value, str) and value[:1] == "{":
        return RowShape("JSON inside a text", f"{prepare_command()} makes a snapshot of rows that were written twice.")
    return None


def messages_shape(value: Any) -> RowShape | None:
    """What messages are that are no list."""
    if isinstance(value, str) and value[:1] == "[":
        return RowShape("JSON inside a text", f"{prepare_command()} makes a snapshot: it reads lists written as text.")
    if speaker_and_text(value) is not None:
        found = "an object with lists of roles and contents"
        return RowShape(found, f"{prepare_command()} makes a snapshot: it reads turns written by column.")
    return None


def turn_shape(turn: Mapping[str, Any]) -> RowShape | None:
    """What a turn is that lacks role or content, if its fields are known by other names."""
    names = speaker_and_text([turn])
    if names is None or names == ("role", "content"):
        return None
    found = " and ".join(names) + (", as ShareGPT writes" if names == ("from", "value") else "")
    how = f"{names[0]} becomes role (human: user, gpt: assistant) and {names[1]} becomes content"
    return RowShape(found, f"{prepare_command()} makes a snapshot of them: {how}.")


ROLES_FIX = f"{prepare_command()} renames the roles: " + ", ".join(f"{name}: {role}" for name, role in ALIASES.items())
PARTS_FIX = f"{prepare_command()} writes the text parts as one text, and leaves dialogues about images out."


def _without_dialogue(fields: Fields) -> RowShape | None:
    """Rows of which no dialogue can be made, such as requests without their answers."""
    if found := foreign_rows(fields):
        return RowShape(*found)
    is_text = fields.names.keys() == {"text"} and not recognise_fields(fields)
    return RowShape(*PLAIN_TEXT) if is_text else None


def _document(fields: Fields) -> RowShape | None:
    """All rows in one object."""
    for lower in ("rows", "data", "train", "examples", "records", "samples", "dialogues"):
        rows = fields.values.get(lower)
        if isinstance(rows, list) and rows and isinstance(rows[0], dict):
            found = f"one JSON document, with its rows under {printable(fields.names[lower])}"
            return RowShape(found, f"{prepare_command()} makes a snapshot of the rows in it.")
    return None
