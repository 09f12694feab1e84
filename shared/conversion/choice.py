"""The one way to read some rows, or which ways there are to choose from. Used by `droptune prepare` and by imports."""

from __future__ import annotations

from collections.abc import Sequence

from shared.chatdata.split_choice import Undecided
from shared.conversion.recognition import SHAPES, ColumnChoice, recognise, undecided_context
from shared.conversion.values import Reading, Row


def decided_reading(name: str, rows: Sequence[Row], choice: ColumnChoice) -> Reading:
    """How the rows are read, told by the first of them. Raises Undecided, UnknownColumn: the text says what decides."""
    columns = list(dict.fromkeys(str(column) for row in rows for column in row))
    found = recognise(rows, choice)
    if not found:
        raise Undecided(
            f"{name}: the columns {', '.join(columns[:20])} are in no shape that is known; "
            "name them with --user COLUMN --assistant COLUMN, and --system COLUMN if there is one"
        )
    if len(found) > 1:
        raise Undecided(_choices(name, found))
    (reading,) = found
    if SHAPES[reading.shape].only_if_asked and choice.shape != reading.shape:
        raise Undecided(
            f"{name}: the rows are preferences; --shape {reading.shape} trains on the answer in "
            f"{reading.column('answer')}, and not on the others"
        )
    if not choice.user and (context := undecided_context(reading, rows)):
        asked, answer = reading.column("user"), reading.column("answer")
        raise Undecided(
            f"{name}: is {context} part of the question? --user {context},{asked} --assistant {answer} puts it "
            f"before it, --user {asked} --assistant {answer} leaves it out"
        )
    return reading


def _choices(name: str, found: Sequence[Reading]) -> str:
    ways = []
    for one in found:
        columns = ", ".join(one.used)
        if one.shape == "question-answer":
            how = f"--user {one.column('user')} --assistant {one.column('answer')}"
        else:
            how = f"--shape {one.shape}" + (f" --turns {one.column('turns')}" if one.column("turns") else "")
        ways.append(f"{SHAPES[one.shape].title} ({columns}): {how}")
    return f"{name}: the rows may be read in {len(found)} ways; choose one. " + "; ".join(ways)
