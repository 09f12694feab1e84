"""What is wrong with one row, before anybody knows in which file it stands; and how findings are shown.

Nothing here ever carries the content of a turn: a found value is a type, a length, or a short bounded name.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.chatdata.formats import printable


class Problem(NamedTuple):
    """One broken rule in a row. `shift` is where in the line it is (bytes), where that is known."""

    rule: str
    path: str | None
    found: str
    expected: str
    shift: int = 0


def shown(value: object, limit: int = 40) -> str:
    """Show a name in quotes, with its length if it was cut."""
    text = value if isinstance(value, str) else repr(value)[: 4 * limit]
    kept = f'"{printable(text, limit)}"'
    return kept if len(text) <= limit else f"{kept} ({len(text)} characters)"


def kind_of(value: object) -> str:
    """Name a JSON value by its type and size, never by its content."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return f"a text of {len(value)} characters"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object with {len(value)} fields"
    return type(value).__name__
