"""The engine and the reference say the same of snapshots and rows that were changed at random.

`make test` tries 2,000 snapshots and 4,000 rows, `make nightly` 6,000 and 16,000.
"""

from __future__ import annotations

import gzip
import io
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from shared.chatdata.splits import Cuts, Shares, Split, split_of
from shared.validation import BadRow, Policy, Source, ValidationReport, freeze
from shared.validation.chunks import ChunkResult, cut_into_chunks
from shared.validation.freezing import count_splits, fold_of, plan_of
from shared.validation.inspect import inspect_chunk
from shared.validation.results import OrderedResults, within_limits
from shared.validation.rules import RULES
from tests.shared.validation.reference import File, Finding, Verdict, judged
from tests.shared.validation.test_planted import source

SHARES = [1, 0.3, 0.03]
SNAPSHOTS, ROWS, PARQUET = 6_000, 16_000, 24
"""The cases: so many snapshots of a few rows, rows of large files, and parquet files. A failure names the seed of its
case."""


def firsts(count: int, step: int, by_default: int) -> list[Any]:
    """Where the tests begin, of which each tries `step` cases; those from `by_default` on are nightly."""
    nightly = pytest.mark.nightly
    return [pytest.param(first, marks=[nightly] if first >= by_default else []) for first in range(0, count, step)]


TEXTS = [
    "Hi", "Ho", "Hello.", 'say "no"', "\\", 'a\\"b', "", " \n", "\u2003", "a\0b", "é\U0001f600", "\ud83d", "\x1b[0m",
    "\x7f", "a\tb\r\n\f", "x <|end|> y", "[INST]", "[inst]", "<|user", "<</SYS>>", "<start_of_turn>",
    "key AKIAIOSFODNN7EXAMPLE", "sk-" + "A1b2" * 8, "ghp_" + "a1B2" * 9, "github_pat_" + "a1B2" * 10,
    "hf_" + "a1B2" * 9, "xoxb-1234567890", "AIza" + "a1B2-" * 7, "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeK",
    "-----BEGIN RSA PRIVATE KEY-----", "AccountKey=" + "Aa0/" * 21 + "==", "on and on " * 30, "=" * 300,
    "Well, " + "so it goes, and " * 13, "long " * 200, '\\u0022', "AKIA", "eyJ.eyJ.", "a" * 191 + "b",
]  # fmt: skip
ROLES = ["user", "assistant", "system", "tool", "function", "ipython", "User", "human", "", " user", 7, None, True]
ODD: list[Any] = [
    None, True, False, 0, 1, 0.5, 1.0, -1, 10**30, 10**400, 1.7e308, float("nan"), float("-inf"), "", "Hi", "\udc00",
    [], {}, [[]], {"a": {"b": []}}, [1, "x", None], {"messages": []}, 'a "quoted" text', ["\ud800"], {"\ud800": 1},
]  # fmt: skip
SNIPPETS = [
    b'"', b",", b"{", b"}", b"[", b"]", b":", b"\\", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\t",
    b"\x0b", b"\x00", b" ", b"\n", b"\n\n", b"\r\n", b"NaN", b"-Infinity", b"1e400", b"7" * 320, b"null", b"\\u0022",
    b"\\ud800", b'"role": "user", ', b'"a":1,', b'"\\u0061":1,', b'"content": "again", ', b"[" * 40, b'{"a":' * 40,
    b"1", b"-", b"0", b"e", b'"messages": [], ', b"\\u0000", b"\xe2\x80\xa8", b"\xc2\x85", b"//", b"'",
]  # fmt: skip
POLICIES: list[dict[str, Any]] = [
    {}, {}, {}, {"max_bad_percent": 30.0}, {"max_bad_percent": 100.0}, {"system_turns": "reject"},
    {"system_turns": "fold"}, {"roles": ("user", "assistant")},
    {"roles": ("user", "assistant"), "system_turns": "fold"},
    {"roles": ("system", "user", "assistant", "tool", "ipython")}, {"max_messages": 3}, {"max_depth": 3},
    {"max_rows": 5}, {"max_line_bytes": 200}, {"max_file_bytes": 900}, {"context_tokens": 60}, {"meaning": False},
    {"max_repeats": 3},
]  # fmt: skip
ROW_POLICIES = [limits for limits in POLICIES if not {"max_rows", "max_file_bytes"} & set(limits)]
NAMES = [
    "train.jsonl", "train-1.jsonl", "test.jsonl", "validation.jsonl", "data.jsonl", "more.jsonl", "train-2.jsonl.gz",
    "test-1.jsonl.gz", "train-3.parquet", "test-2.parquet", "odd.parquet", "a.csv", "train.csv.jsonl",
    "TRAIN-4.JSONL",
]  # fmt: skip


def test_changes_break_every_rule() -> None:
    """Without this, the cases below could look at less than they seem to."""
    broken = Counter[str]()
    for seed in range(1200):
        broken.update({finding.rule for finding in judged(*a_snapshot(random.Random(seed))).findings})
    need_a_table = {"messages-column-missing", "messages-column-type"}
    told_beside_all_places = {
        "too-many-bad-rows",
        "too-few-train-rows",
    }  # here every place is asked for, and then every row is read
    of_all_rows = {"row-format"}  # no change makes all rows of a file those of another tool: see test_foreign.py
    assert set(RULES) - set(broken) == {"file-expands", *need_a_table, *told_beside_all_places, *of_all_rows}


@pytest.mark.parametrize("first", firsts(SNAPSHOTS, 500, 2_000))
def test_engine_agrees_with_the_reference_on_snapshots(first: int) -> None:
    for seed in range(first, first + 500):
        rng = random.Random(seed)
        files, policy = a_snapshot(rng)
        expected = judged(files, policy)
        found, bad_rows = by_engine(files, policy)
        assert found == expected, f"seed {seed}"
        assert bad_rows == (expected.bad_rows if policy.max_bad_percent else []), f"seed {seed}"
        if seed % 4 == 0:
            assert in_pieces(files, policy, rng.randint(1, 600)) == expected, f"seed {seed}, in pieces"


@pytest.mark.parametrize("first", firsts(ROWS, 4000, 4_000))
def test_engine_agrees_with_the_reference_on_rows(first: int) -> None:
    for seed in range(first, first + 4000, 400):
        rng = random.Random(f"rows {seed}")
        data = b"\n".join(some_lines(rng, 400))
        policy = Policy(places=0, **rng.choice(ROW_POLICIES))
        files = [File("data.jsonl", None, data)]
        expected = judged(files, policy)
        assert expected.rows + expected.blank >= 400
        assert by_engine(files, policy)[0] == expected, f"seed {seed}"
        assert in_pieces(files, policy, rng.randint(1, 30_000)) == expected, f"seed {seed}, in pieces"


@pytest.mark.parametrize("seed", firsts(PARQUET, 1, 8))
def test_engine_agrees_with_the_reference_on_rows_of_parquet(seed: int) -> None:
    rng = random.Random(f"parquet {seed}")
    share = rng.choice(SHARES)
    rows = [changed(rng, a_row(rng)) if rng.random() < share else a_row(rng) for _ in range(400)]
    policy = Policy(places=0, **rng.choice(ROW_POLICIES))
    files = [File("data.parquet", None, parquet_of(rng, rows))]
    assert by_engine(files, policy)[0] == judged(files, policy)


def some_lines(rng: random.Random, count: int) -> list[bytes]:
    """Lines of which all, some or few are changed: the engine reads what is good many at a time."""
    share = rng.choice(SHARES)
    return [
        a_line(rng, changed(rng, a_row(rng))) if rng.random() < share else json.dumps(a_row(rng)).encode()
        for _ in range(count)
    ]


ONCE_WRONG = [
    b'{"messages": [null, 1.3407807929872134e+154, [[false, -6,1000000000000004e302]]]}',
    b'{"score": 1e400, "messages": [null]}',
    b'{"messages": [], "n": -1' + b"0" * 5000 + b"}",
    b'{"score": 1e400, "score": 1, "messages": [NaN]}',
    b'{"a": ["\\ud800"], "a": NaN, "messages": []}',
    b'{"messages": [{"role": "user", "content": "github_pat_' + b"a1B2" * 10 + b'"}, '
    b'{"role": "assistant", "content": "Hi"}]}',
]
"""Lines on which the engine and the reference did not agree one day."""


def test_engine_agrees_with_the_reference_where_it_once_did_not() -> None:
    files, policy = [File("data.jsonl", None, b"\n".join(ONCE_WRONG))], Policy(places=0)
    assert by_engine(files, policy)[0] == judged(files, policy)


@pytest.mark.parametrize("long", [b" " * 300, b"{" + b" " * 300 + b"}", b"x" * 201, b" " * 200, b'"' + b"\r" * 199])
def test_engine_agrees_with_the_reference_on_long_lines_wherever_blocks_end(long: bytes) -> None:
    good = [json.dumps(a_row(random.Random(number))).encode() for number in range(12)]
    data, policy = b"\n".join([*good[:6], long, *good[6:], long]), Policy(places=0, max_line_bytes=200)
    files = [File("data.jsonl", None, data)]
    expected = judged(files, policy)
    assert by_engine(files, policy)[0] == expected
    for size in (1, 50, 190, 250, 700):
        assert in_pieces(files, policy, size) == expected, size
    for at_a_time in (1, 7, 150, 260, 500):
        assert told(freeze([source(data, at_a_time=at_a_time)], policy).report) == expected, at_a_time


# The engine


def by_engine(files: Sequence[File], policy: Policy) -> tuple[Verdict, list[tuple[str, int]]]:
    """One pass in this process; and the rows for the quarantine."""
    bad: list[BadRow] = []
    frozen = freeze(sources_of(files), policy, staging=Blocks(), quarantine=bad.append)
    assert frozen.rows == frozen.report.splits
    return told(frozen.report), [(row.file, row.row) for row in bad]


class Blocks:
    """Staging that keeps nothing."""

    def stage(self, split: Split, block_id: str, data: bytes) -> None: ...

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None: ...


def in_pieces(files: Sequence[File], policy: Policy, piece: int) -> Verdict:
    """Every piece by itself, as processes and instances do it, with partials that were sent as bytes."""

    def inspected(part: Any, _: Any) -> ChunkResult:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(inspect_chunk(part, policy)), type=ChunkResult)

    sources = sources_of(files)
    again = lambda part, room: inspect_chunk(part, policy, room=room)  # noqa: E731
    fold = fold_of(
        sources, OrderedResults(within_limits(list(cut_into_chunks(sources, piece)), policy, inspected, again)), policy
    )
    _, rows = count_splits(fold, plan_of(sources, 0, Cuts(), Shares()))
    fold.judge(rows["train"])
    return told(fold.report(rows, 1.0))


def sources_of(files: Sequence[File]) -> list[Source]:
    """What the engine reads."""
    return [Source(path=f.path, open=opener(f.data), size=len(f.data), split=f.split) for f in files]


def opener(data: bytes) -> Callable[[], io.BytesIO]:
    """Opens bytes."""
    return lambda: io.BytesIO(data)


def told(report: ValidationReport) -> Verdict:
    """A report as the reference writes it."""
    assert all(finding.count == len(finding.places) for finding in report.findings)
    return Verdict(
        verdict=report.verdict,
        rows=report.rows,
        good=report.good_rows,
        bad=report.bad_rows,
        duplicates=report.duplicate_rows,
        blank=report.blank_lines,
        findings=Counter(
            Finding(finding.rule, place.file, place.row, place.byte_offset, place.path)
            for finding in report.findings
            for place in finding.places
        ),
        splits=report.splits,
    )


# Snapshots


def a_snapshot(rng: random.Random) -> tuple[list[File], Policy]:
    """Some files with rows of which about half were changed, and the limits they are held to."""
    policy = Policy(min_rows=rng.choice([3, 3, 3, 9]), places=0, **rng.choice(POLICIES))
    names = rng.choices(NAMES[:8], k=1) if rng.random() < 0.7 else rng.sample(NAMES, k=rng.randint(0, 3))
    alone = len(names) == 1 and rng.random() < 0.8
    return [File(name, None if alone else split_of(name), a_file(rng, name.lower())) for name in names], policy


def a_file(rng: random.Random, name: str) -> bytes:
    """The bytes of a file."""
    answer = "The same." if rng.random() < 0.03 else ""
    rows = [a_row(rng, answer) for _ in range(rng.choice([0, 1, 3, 3, 5, 9]))]
    for _ in rows:
        at = rng.randrange(2 * len(rows))
        if at < len(rows):
            rows[at] = changed(rng, rows[at])
    if name.endswith(".parquet"):
        return parquet_of(rng, rows)
    end = rng.choice([b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"\n \t\n"])
    data = end.join(a_line(rng, row) for row in rows) + rng.choice([b"", end])
    if rng.random() < 0.02:
        data = rng.choice([b"\xff\xfe", b"PK\x03\x04", b"\x89PNG\r\n", b"\xef\xbb\xbf", b"PAR1", b"\n"]) + data
    if name.endswith(".gz"):
        half = rng.randint(0, len(data))
        packed = gzip.compress(data[:half], 1, mtime=0) + gzip.compress(data[half:], 1, mtime=0)
        return damaged(rng, packed) if rng.random() < 0.3 else packed
    return data


def damaged(rng: random.Random, packed: bytes) -> bytes:
    """A gzip file that was cut off, or that something follows."""
    return rng.choice(
        [packed[: rng.randint(0, len(packed) - 1)], packed + b"\0" * 9, packed + b"more", packed[2:], b""]
    )


def a_row(rng: random.Random, answer: str = "") -> Any:
    """A good row, of few different ones, so that some repeat."""
    number = rng.randint(0, 40)
    turns: list[Any] = [
        {"role": "user", "content": f"Fråga “{number}”\n"},
        {"role": "assistant", "content": answer or f'"Åns" {number}'},
    ]
    row: Any = {"messages": turns}
    if rng.random() < 0.2:
        row = {"prompt": turns[0]["content"], "prompt_id": rng.randint(0, 30), **row}
    return row


def changed(rng: random.Random, row: Any) -> Any:
    """A row with one change to what it holds."""
    turns = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(turns, list) or not turns:
        return row
    at = rng.randrange(len(turns))
    turn = turns[at]
    kind = rng.randrange(15)
    if kind == 0:
        return rng.choice(ODD)
    if kind == 1:
        row[rng.choice(["messages", "prompt", "prompt_id", "extra", 'a "key"', "k" * 50, "a\n"])] = rng.choice(ODD)
    elif kind == 2:
        del row[rng.choice(list(row))]
    elif kind == 3:
        turns[at] = rng.choice(ODD)
    elif kind == 4:
        turns.insert(rng.choice([0, 0, 1, at]), {"role": "system", "content": "Be kind."})
    elif kind == 5:
        turns[at : at + 1] = rng.choice([[], [turn, dict(turn) if isinstance(turn, dict) else turn]])
    elif kind == 6:
        turns += [{"role": "user", "content": "More?"}, {"role": rng.choice(["tool", "assistant"]), "content": "Yes."}]
    elif kind == 14:
        for other in turns:
            if isinstance(other, dict) and other.get("role") == "assistant":
                other["weight"] = rng.choice([0, 0, 1, None])
        if rng.random() < 0.5:
            turns += [{"role": "user", "content": "More?"}, {"role": "assistant", "content": "Yes.", "weight": 1}]
    elif not isinstance(turn, dict):
        pass
    elif kind == 7:
        turn["role"] = rng.choice(ROLES)
    elif kind == 8:
        turn["content"] = rng.choice(ODD)
    elif kind == 9:
        turn[rng.choice(["weight", "name", "tool_calls", "function_call", "from"])] = rng.choice(ODD)
    elif kind == 10 and turn:
        del turn[rng.choice(list(turn))]
    else:
        turn["content"] = rng.choice(TEXTS)
    return row


def a_line(rng: random.Random, row: Any) -> bytes:
    """A row as JSON, or nearly."""
    line = json.dumps(row, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    while rng.random() < 0.15:
        at = rng.randint(0, len(line))
        line = line[:at] + rng.choice([b"", *SNIPPETS]) + line[at + rng.choice([0, 0, 1, 2, 9]) :]
    return line


TURN = pa.struct(
    [("content", pa.string()), ("role", pa.string()), ("weight", pa.float64()), ("tool_calls", pa.string())]
)


def parquet_of(rng: random.Random, rows: list[Any]) -> bytes:
    """Those of the rows that a parquet file can hold, at times with a text that is no UTF-8, at times cut off."""
    kind = pa.list_(TURN if rng.random() < 0.5 else pa.struct(list(TURN)[:2]))
    dialogues = [row.get("messages") for row in rows if isinstance(row, dict)]
    messages = pa.array([turns for turns in dialogues if fits(turns, kind)], kind)
    columns = {"messages": messages}
    if rng.random() < 0.4:
        ids = pa.array([rng.choice([None, *range(9)]) for _ in messages], pa.int64())
        columns["prompt_id"] = rng.choice([ids, ids.cast(pa.string())])
    if rng.random() < 0.4:
        columns["prompt"] = pa.array([rng.choice(["Hi", None, "Fråga “1”\n"]) for _ in messages], pa.string())
    if rng.random() < 0.2:
        columns["extra"] = pa.array([{"a": 1} for _ in messages])
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, row_group_size=rng.choice([1, 3, 100]), compression="none")
    data = out.getvalue()
    chance = rng.random()
    if chance < 0.3:
        return data.replace("Åns".encode(), b"\xff\x85ns", 1)
    return data[: len(data) // 2] if chance > 0.95 else data


def fits(turns: Any, kind: pa.DataType) -> bool:
    """Whether Arrow can hold this."""
    try:
        pa.array([turns], kind)
    except (pa.ArrowException, TypeError, OverflowError, UnicodeEncodeError):
        return False
    return turns is None or (isinstance(turns, list) and all(isinstance(turn, dict | None) for turn in turns))
