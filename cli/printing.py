"""What the commands print: lines and tables for people, JSON for programs. Text of others is shown as it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.chatdata.formats import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_LONGEST = 2000
# How wide a table is that goes to a file or a pipe.
_WIDE = 200
GOOD = frozenset({"LIVE", "ASLEEP", "RETIRED"})
BAD = frozenset(
    {
        "REJECTED",
        "DUPLICATE",
        "SUPERSEDED",
        "TRAINING_FAILED",
        "REGISTER_FAILED",
        "WITHHELD",
        "DEPLOY_FAILED",
        "ROLLED_BACK",
        "CANCELED",
        "CLEANING",
        "CLEANED",
        "DAMAGED",
        "NEEDS_ATTENTION",
    }
)


@cache
def console() -> Console:
    """Standard output, for people."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)


def print_json(value: Any) -> None:
    """One value, for programs: the only thing on standard printing."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_line(value: Any) -> None:
    """One of many values, for programs that read them as they come."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_result(value: Any, text: str, as_json: bool) -> None:
    """What came of a command: the value for programs, or the text for people."""
    if as_json:
        print_json(value)
    else:
        print_line(text)


def print_line(*parts: str | Text) -> None:
    """One line of text; strings are shown as they are, whatever characters they have."""
    from rich.text import Text

    console().print(Text.assemble(*(one_line(part) if isinstance(part, str) else part for part in parts)))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """A table without lines. The last column is folded where the window is too narrow, the others, which have names to
    be copied, never are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) if isinstance(cell, str) else cell for cell in row))
    Console(highlight=False, width=max(console().width, _width(rows))).print(table)


def _width(rows: Sequence[Sequence[str | Text]]) -> int:
    """What all columns but the last need, and some room for that one."""
    return sum(max(len(row[n]) + 2 for row in rows) for n in range(len(rows[0]) - 1)) + 30


def one_line(text: object) -> str:
    """Text of others on one line, without characters that would move the cursor."""
    return printable(str(text), _LONGEST)


def state(name: str) -> Text:
    """A state in its colour; the word alone says it as well."""
    from rich.text import Text

    style = "green" if name in GOOD else "red" if name in BAD else "cyan"
    return Text(name, style=f"bold {style}")


def ago(moment: str | None, now: datetime | None = None) -> str:
    """How long ago a moment of the API was, in the largest unit that fits."""
    if not moment:
        return "-"
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= size:
            return _past(f"{abs(seconds) / size:.0f} {unit}", seconds)
    return _past(f"{abs(seconds):.0f} s", seconds)


def duration(seconds: float) -> str:
    """So long, in the two largest units that fit."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _past(text: str, seconds: float) -> str:
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def money(amount: float | None, currency: str = "") -> str:
    """An amount with what it is in; a question mark where it is not known."""
    return "?" if amount is None else f"{amount:,.2f} {currency}".rstrip()


def count(number: int, thing: str) -> str:
    """A number of things, such as `1 machine` and `2 machines`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def print_next(page: dict[str, Any]) -> None:
    """Says how the list goes on, if it does."""
    if page.get("next"):
        print_line(f"there are more: add --before {page['next']}")
