"""Lines that are read all at once give the rows that they give one by one, however they are written."""

from __future__ import annotations

import json
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.validation import Policy, meaning
from shared.validation.line_rows import LineReader
from shared.validation.lines import LineRun
from shared.validation.rows import CheckedRow, RowBatch, Rows
from shared.validation.turns import TurnChecker

POLICY = Policy(max_depth=5)
QUESTION, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}
GOOD = json.dumps({"messages": [QUESTION, ANSWER], "prompt_id": "7", "more": [1]})
texts = st.sampled_from(
    [
        "Hi",
        'a "b" c',
        "back\\slash",
        "\\",
        '\\"',
        "\\u0022",
        "\x01",
        "a\0b",
        "\x7f",
        "<|im_end|>",
        "Ü„日👍",
        " ",
        "a/b\n",
        "\b",
    ]
)
others = st.recursive(
    st.sampled_from([None, True, 0, -1.5, 10**30, "", '"', "\\", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(['"', "a", "b\\"]), inner, max_size=2),
    max_leaves=4,
)
turns = st.tuples(texts, texts).map(lambda two: [QUESTION | {"content": two[0]}, ANSWER | {"content": two[1]}])
names = st.sampled_from(["prompt", "prompt_id", "more", 'q"', "ü", "column_0"])
rows = st.builds(
    lambda messages, more: {"messages": messages} | more, turns, st.dictionaries(names, others, max_size=3)
)
BROKEN = [
    *("", " ", "[]", "7", GOOD[:-1], GOOD + GOOD, f"{GOOD},{GOOD}", f"{GOOD} ", f" {GOOD}\r", "\ufeff" + GOOD),
    *(
        GOOD.replace('"more": [1]', more)
        for more in (
            *('"more": 1, "more": 2', '"prompt_id": "8"', '"x": NaN', '"more": NaN', '"more": 1e999'),
            *(f'"more": {"7" * 320}', f'"more": [-{"7" * 320}]', f'"more": {{"a": {"7" * 320}}}'),
        )
    ),
    *(
        GOOD.replace('"Hi"', odd)
        for odd in ('"Hi", "content": "Hi"', '"Hi", "role": "user"', '"Hi", "weight": 1', "null")
    ),
    *(
        GOOD.replace("Hi", odd)
        for odd in ("\\u0000", "\\ud800", "\\u003c|im_end|>", "\\u0001", "\x01", "\\/", "\\u0022")
    ),
]


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Some lines of which most are good rows, written in one way or another."""
    kept: list[str] = []
    one = draw(st.sampled_from([rows, rows, rows | st.sampled_from(BROKEN)]))
    for row in draw(st.lists(one, min_size=1, max_size=4)):
        separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :")]))
        line = row if isinstance(row, str) else json.dumps(row, ensure_ascii=draw(st.booleans()), separators=separators)
        kept.append(line.replace("<", "\\u003c") if draw(st.booleans()) else line)
    return draw(st.sampled_from(["\n", "\r\n"])).join(kept).encode()


@settings(max_examples=80, deadline=None)
@given(lines())
def test_rows_of_many_lines_are_those_of_each_line(data: bytes) -> None:
    one_by_one = _read(data, LineReader(TurnChecker(POLICY), POLICY), alone=True)
    assert _read(data, _taught()) == one_by_one


@pytest.mark.parametrize("line", BROKEN)
def test_a_line_between_good_ones_gives_the_row_that_it_gives_alone(line: str) -> None:
    data = f"{GOOD}\n{line}\n{GOOD}".encode()
    assert _read(data, _taught()) == _read(data, LineReader(TurnChecker(POLICY), POLICY), alone=True)


@pytest.mark.parametrize(
    "data",
    [
        '{"messages": [],\n"messages": MESSAGES} {"messages": MESSAGES}',
        '{"messages": MESSAGES, "more":\n[1]}\n{"messages": MESSAGES} {"messages": MESSAGES}',
        '{"messages": MESSAGES, "more": {"a": 1\n}}\n{"messages": MESSAGES} {"messages": MESSAGES}',
        '{"messages": MESSAGES}\n\n{"messages": MESSAGES} {"messages": MESSAGES}',
        '{"messages": MESSAGES\n}\r\n{"messages": MESSAGES}{"messages": MESSAGES}',
    ],
)
def test_rows_that_go_over_lines_are_made_up_for_by_no_other_line(data: str) -> None:
    written = data.replace("MESSAGES", json.dumps([QUESTION, ANSWER])).encode()
    rows = _read(written, _taught())
    assert rows == _read(written, LineReader(TurnChecker(POLICY), POLICY), alone=True)
    assert any(row is not None and row["problems"] for row in rows)


def test_many_good_rows_are_one_batch_once_their_columns_are_known() -> None:
    lines = [
        json.dumps({"messages": [QUESTION, ANSWER], "more": "x"} | ({"rare": {}} if at == 20 else {}))
        for at in range(40)
    ]
    run = LineRun.of(1, 0, "\n".join(lines).encode())
    reader = _taught()
    first, second = list(reader.rows(run)), list(reader.rows(run))
    assert len(first) > 1
    assert [len(batch) for batch in second if isinstance(batch, RowBatch)] == [40]


def _taught() -> LineReader:
    reader = LineReader(TurnChecker(POLICY), POLICY)
    list(reader.rows(LineRun.of(1, 0, GOOD.encode())))
    return reader


def _read(data: bytes, reader: LineReader, *, alone: bool = False) -> list[dict[str, Any] | None]:
    """All that is ever asked of rows, one by one."""
    run = LineRun.of(1, 0, data)
    if not alone:
        return [told for found in reader.rows(run) for told in _told(found)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reader, "_plain_rows", lambda _: None)
        return [told for found in reader.rows(run) for told in _told(found)]


def _told(found: Rows) -> list[dict[str, Any] | None]:
    if isinstance(found, CheckedRow) and found.dialogue is None:
        return [{"row": found.number, "offset": found.offset, "problems": found.problems}]
    if found is None:
        return [None]
    problems = list(found.problems) if isinstance(found, CheckedRow) else []
    batch = found.as_batch() if isinstance(found, CheckedRow) else found
    assert isinstance(batch, RowBatch)
    remarks: dict[int, list[Any]] = {}
    for at, remark in meaning.remarks(batch.dialogues, batch.prompts, numpy.full(len(batch), 9), POLICY):
        remarks.setdefault(at, []).append(remark)
    return [
        {
            "row": batch.number + at,
            "offset": batch.offsets[at],
            "problems": problems,
            "dialogue": (dialogue.roles, dialogue.contents, dialogue.text, dialogue.seed),
            "digest": batch.dialogues.digests()[at],
            "columns": sorted(batch.columns[at]),
            "remarks": remarks.get(at, []),
            "ids": [one for one in (batch.prompts[at], batch.prompt_ids[at]) if isinstance(one, str)],
        }
        for at, dialogue in enumerate(batch.dialogues.each())
    ]
