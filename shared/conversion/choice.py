"""The one way to read some rows, or which ways there are to choose from. Used by `droptune prepare` and by imports."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from shared.chatdata.split_choice import Undecided
from shared.conversion.foreign import PLAIN_TEXT, foreign_rows
from shared.conversion.recognition import SHAPES, ColumnChoice, recognise, undecided_context
from shared.conversion.values import Fields, Reading, Row

_QUESTION_WORDS = {
    "question",
    "questions",
    "query",
    "prompt",
    "ask",
    "asked",
    "request",
    "input",
    "instruction",
    "frage",
}
_ANSWER_WORDS = {"answer", "answers", "reply", "response", "completion", "output", "solution", "antwort"}


def decided_reading(name: str, rows: Sequence[Row], choice: ColumnChoice) -> Reading:
    """How the rows are read, told by the first of them. Raises Undecided, UnknownColumn: the text says what decides."""
    columns = list(dict.fromkeys(str(column) for row in rows for column in row))
    found = recognise(rows, choice)
    if not found:
        raise Undecided(_unknown(name, columns, rows))
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


def _unknown(name: str, columns: Sequence[str], rows: Sequence[Row]) -> str:
    fields = Fields([row for row in rows if isinstance(row, dict)])
    foreign = foreign_rows(fields) or (PLAIN_TEXT if fields.names.keys() == {"text"} else None)
    if foreign:
        return f"{name}: the rows are {foreign.found}. {foreign.fix}"
    asked, answer = _likely(columns)
    how = f"--user {shlex.quote(asked or 'COLUMN')} --assistant {shlex.quote(answer or 'COLUMN')}"
    return (
        f"{name}: the columns {', '.join(columns[:20])} are in no shape that is known; name those of the question and "
        f"the answer, {'perhaps ' if asked and answer else ''}{how}, and --system COLUMN if there is one"
    )


def _likely(columns: Sequence[str]) -> tuple[str, str]:
    """Columns whose names have a word for a question, and one for an answer; empty where there is not just one."""
    words = {column: set(re.findall(r"[a-z]+", column.lower())) for column in columns}
    found = ([column for column, own in words.items() if own & kind] for kind in (_QUESTION_WORDS, _ANSWER_WORDS))
    asked, answer = (some[0] if len(some) == 1 else "" for some in found)
    return asked, answer


def _choices(name: str, found: Sequence[Reading]) -> str:
    ways = []
    for one in found:
        columns = ", ".join(one.used)
        if one.shape == "question-answer":
            how = f"--user {shlex.quote(one.column('user'))} --assistant {shlex.quote(one.column('answer'))}"
        else:
            how = f"--shape {one.shape}" + (f" --turns {one.column('turns')}" if one.column("turns") else "")
        ways.append(f"{SHAPES[one.shape].title} ({columns}): {how}")
    return f"{name}: the rows may be read in {len(found)} ways; choose one. " + "; ".join(ways)
