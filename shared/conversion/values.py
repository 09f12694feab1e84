"""What recognition and the mappers pass to each other: the columns of some rows, a way to read them, and why not."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

Row = Mapping[str, Any]
Turns = list[Any]
"""What a mapper makes of a row: turns with role and content, and weights where there are some; not looked at yet."""

_MOST_NAMES = 64
_NAME = re.compile(r"[A-Za-z_][\w .-]{0,60}")
SYSTEM = ("system", "system_prompt", "system_message", "system_instruction")
"""Columns that hold a system turn beside the dialogue."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read rows: a shape, and the columns that it takes, by the part that each plays."""

    shape: str
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    template: str = ""
    """The chat template of texts."""

    def column(self, part: str) -> str:
        """The column that plays a part; empty where none does."""
        found = self.columns.get(part, ())
        return found[0] if found else ""

    @property
    def used(self) -> list[str]:
        """The columns that become part of the dialogue."""
        return [name for names in self.columns.values() for name in names]


class Unusable(Exception):
    """A row makes no dialogue; the text is one of REASONS."""


REASONS = {
    "answer-missing": "there is no answer in it",
    "answer-not-wanted": "its answer is marked as one that is not wanted",
    "dialogue-unreadable": "its turns stand in a text that is neither JSON nor a Python list",
    "template-missing": "its text is not in the chat template of the other rows",
    "turns-missing": "it has no list of turns where the other rows have theirs",
}
"""Why a row makes no dialogue, beyond the rules that are checked of every dialogue."""


class UnknownColumn(ValueError):
    """A column that somebody named is not there; the text has those that are, and the nearest name."""

    def __init__(self, name: str, columns: Iterable[str]) -> None:
        known = sorted(columns)
        near = difflib.get_close_matches(name.lower(), [column.lower() for column in known], n=1, cutoff=0.5)
        hint = next((f"; did you mean {column}?" for column in known if near and column.lower() == near[0]), "")
        super().__init__(f"there is no column {name}, only {', '.join(known[:20]) or 'none'}{hint}")


class Fields:
    """The columns of some rows: their names by lower case, and the first value of each that says something."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        for row in rows:
            for name in islice(row, _MOST_NAMES):
                lower = str(name).lower()
                if not _NAME.fullmatch(str(name)):
                    continue
                self.names.setdefault(lower, str(name))
                if self.values.get(lower) in (None, "", [], {}):
                    self.values[lower] = row[name]

    def __contains__(self, lower: str) -> bool:
        return lower in self.names

    def first(self, choices: Iterable[str]) -> str:
        """The first of these columns that is there; empty if none is."""
        return next((choice for choice in choices if choice in self.names), "")

    def columns(self, **parts: str) -> dict[str, tuple[str, ...]]:
        """Columns by the part that each plays, under their own names; without parts that nothing plays."""
        return {part: (self.names[lower],) for part, lower in parts.items() if lower}

    @property
    def system(self) -> str:
        """A column with a system turn, in lower case."""
        found = self.first(SYSTEM)
        return found if isinstance(self.values.get(found), str | list) else ""


def turn(role: str, content: Any) -> dict[str, Any]:
    """A turn, whose content is looked at later."""
    return {"role": role, "content": content}


def with_system(row: Row, reading: Reading, turns: Turns) -> Turns:
    """The turns, after the system turn that the row has in a column of its own."""
    system = row.get(reading.column("system")) if "system" in reading.columns else None
    return [turn("system", system), *turns] if system else turns
