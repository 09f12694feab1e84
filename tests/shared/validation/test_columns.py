"""Rows found plainly good over Arrow's columns are those that are good as Python values, and look the same."""

from __future__ import annotations

from typing import Any

import numpy
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.chatdata.tokens import estimated_tokens
from shared.validation import Policy, meaning
from shared.validation.batches import plain_values
from shared.validation.columns import plain_rows
from shared.validation.dialogues import Dialogue
from shared.validation.rows import RowBatch
from shared.validation.turns import INVISIBLE, TurnChecker

POLICY = Policy(context_tokens=400)
LOOP = "and so it goes on and on, "
ODD = [
    *("", " ", "\t\n", "\x1f", "\x01", "\xa0", "\u200b\u200d", "\ufeff", "\u3164", "\U000e0041", "\0", "a\0b", "\x7f"),
    *(
        "Ü",
        "„so“",
        "日本語",
        "日本語。",
        "\u200bx",
        "x\u200b",
        "\u200b日\u200b",
        "é ",
        " é",
        "\xadé\xad",
        "👍",
        "a" * 3000,
    ),
    *(
        LOOP * 12,
        (LOOP * 12).strip(),
        LOOP * 12 + "\xa0",
        "日本" * 400,
        "<|im_end|>",
        "task-",
        "sk-" + "a1" * 12,
        "|",
        "-",
    ),
]
texts = st.one_of(st.sampled_from(ODD), st.text(max_size=6), st.text(alphabet="ab \n", min_size=1, max_size=80))
good_texts = st.one_of(
    st.sampled_from(["Hi", "Ja, gerne.", "日本語。", LOOP * 12, "a" * 3000]), st.text("abü", min_size=1)
)
kinds = st.sampled_from([pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])


@st.composite
def batches(draw: st.DrawFn, contents: st.SearchStrategy[str] = texts, odd: bool = True) -> pa.RecordBatch:
    """Some rows, as Arrow gives those of a file: their texts of any type, cut out of a larger batch."""
    rows: list[list[dict[str, Any]]] = [
        [{"content": draw(contents), "role": role} for role in ("user", "assistant") * draw(st.integers(1, 3))]
        for _ in range(draw(st.integers(1, 6)))
    ]
    prompts = [draw(st.sampled_from([row[0]["content"], f" {row[0]['content']}", "other", None])) for row in rows]
    ids: list[Any] = draw(st.sampled_from([list(map(str, range(len(rows)))), [*range(len(rows))], [None] * len(rows)]))
    if odd and draw(st.booleans()):
        turn = draw(st.sampled_from(draw(st.sampled_from(rows))))
        turn[draw(st.sampled_from(["content", "role"]))] = draw(st.sampled_from([None, "tool", "usr"]))
    text = draw(kinds)
    turns = pa.struct([("content", text), ("role", text), *([("weight", pa.int8())] if draw(st.booleans()) else [])])
    made: list[Any] = list(map(_as_bytes, rows)) if "binary" in str(text) else rows
    table = {
        "messages": pa.array(made, draw(st.sampled_from([pa.list_, pa.large_list]))(turns)),
        "prompt": pa.array(prompts, pa.string()),
        "prompt_id": pa.array(ids, pa.string() if isinstance(ids[0], str) else pa.int64()),
    }
    batch = pa.RecordBatch.from_pydict(table)
    return pa.concat_batches([batch, batch]).slice(draw(st.integers(0, len(rows) - 1)), len(rows))


def _as_bytes(row: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: None if text is None else text.encode() for name, text in turn.items()} for turn in row]


def checker() -> TurnChecker:
    turns = TurnChecker(POLICY)
    for pairs in (1, 2, 3):
        turns.examine({"messages": [{"role": role, "content": "x"} for role in ("user", "assistant") * pairs]})
    return turns


def seen(rows: RowBatch) -> dict[str, Any]:
    """All that is ever asked of good rows."""
    dialogues = rows.dialogues
    sizes, lengths = dialogues.sizes(), dialogues.lengths()
    tokens = estimated_tokens(sizes, lengths)
    return {
        "patterns": dialogues.patterns(),
        "lengths": lengths.tolist(),
        "digests": dialogues.digests(),
        "sizes": sizes.tolist(),
        "characters": dialogues.characters().tolist(),
        "answers": list(dialogues.answers()),
        "each": list(dialogues.each()),
        "columns": list(rows.columns),
        "prompts": list(rows.prompts),
        "prompt_ids": list(rows.prompt_ids),
        "remarks": list(meaning.remarks(dialogues, rows.prompts, tokens, POLICY)),
    }


@settings(max_examples=150, deadline=None)
@given(batches())
def test_rows_are_good_over_columns_just_where_they_are_as_python_values(batch: pa.RecordBatch) -> None:
    turns = checker()
    columns, values = (plain_rows(batch, 5, ["more"], turns, POLICY), plain_values(batch, 5, ["more"], turns, POLICY))
    assert (columns is None) == (values is None)
    if columns is not None and values is not None:
        assert seen(columns) == seen(values)
        assert seen(columns.head(1)) == seen(values.head(1))


@settings(max_examples=60, deadline=None)
@given(batches(good_texts, odd=False))
def test_good_rows_are_found_good_at_once(batch: pa.RecordBatch) -> None:
    rows = plain_rows(batch, 1, [], checker(), POLICY)
    assert rows is not None
    assert len(rows) == batch.num_rows


@pytest.mark.parametrize("character", ["\x1c", *INVISIBLE[::40], INVISIBLE[-1]])
@pytest.mark.parametrize("around", ["{0}", "{0}{0}", "a{0}", "{0}a", "{0}日{0}"])
def test_what_nobody_can_see_is_no_text_and_what_somebody_can_is_one(character: str, around: str) -> None:
    text = around.format(character)
    row = [{"content": text, "role": "user"}, {"content": "x", "role": "assistant"}]
    batch = pa.RecordBatch.from_pydict({"messages": [row, row]})
    assert (plain_rows(batch, 1, [], checker(), POLICY) is not None) == bool(text.strip(INVISIBLE))


@pytest.mark.parametrize(
    "broken", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe2\x28\xa1"]
)
@pytest.mark.parametrize("column", ["content", "role", "prompt", "prompt_id"])
def test_bytes_that_are_no_utf8_are_for_the_closer_look(broken: bytes, column: str) -> None:
    """Arrow believes a file that calls them text."""
    turn: dict[str, bytes] = {"content": b"Hi", "role": b"user"}
    answer: dict[str, bytes] = {"content": b"Yes.", "role": b"assistant"}
    row: dict[str, Any] = {"messages": [turn, answer], "prompt": b"Hi", "prompt_id": b"1"}
    (turn if column in turn else row)[column] = broken
    for kind in (pa.string(), pa.binary()):
        arrays = {name: pa.array([row[name]], pa.binary()) for name in ("prompt", "prompt_id")}
        fields = {name: pa.array([turn[name], answer[name]], pa.binary()) for name in turn}
        named = {name: _called(array, kind) for name, array in {**arrays, **fields}.items()}
        turns = pa.StructArray.from_arrays([named["content"], named["role"]], ["content", "role"])
        messages = pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), turns)
        batch = pa.RecordBatch.from_arrays(
            [messages, named["prompt"], named["prompt_id"]], ["messages", "prompt", "prompt_id"]
        )
        assert plain_rows(batch, 1, [], checker(), POLICY) is None


def _called(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(array), array.buffers())


def test_a_closer_look_at_few_rows_shows_them_whole() -> None:
    rows = [[{"content": f"Hi {n}", "role": "user"}, {"content": f"Yes {n}.", "role": "assistant"}] for n in range(40)]
    rows[7][1]["content"] = LOOP * 12
    rows[20][0]["content"] = "Is it risk-free?"
    batch = pa.RecordBatch.from_pydict({"messages": rows, "prompt": [row[0]["content"] for row in rows]})
    found = plain_rows(batch, 1, [], checker(), POLICY)
    assert found is not None
    seed = checker().seed_of(("user", "assistant"))
    assert seed is not None
    places = numpy.array([found.dialogues.whole.index(b"sk-")])
    assert list(found.dialogues.standing_out(found.prompts, POLICY.max_repeats, places)) == [
        (at, Dialogue(("user", "assistant"), contents, "\0".join(contents), seed))
        for at, contents in [(7, ["Hi 7", LOOP * 12]), (20, ["Is it risk-free?", "Yes 20."])]
    ]
