"""One fault among good rows, for every rule: found at its very place, and nothing else is.

First, middle and last row; in JSONL, gzip and parquet; across the borders of the blocks that are read, of parts, of row
groups and of batches; for rules about files the first, the middle and the last file.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from scripts.rule_examples import EXAMPLES, LINES, rows
from shared.chatdata.splits import Cuts, Shares, Split, split_of
from shared.validation import Policy, Source, ValidationReport, freeze
from shared.validation.chunks import cut_into_chunks, in_reading_order
from shared.validation.freezing import count_splits, fold_of, plan_of
from shared.validation.inspect import inspect_chunk
from shared.validation.lines import READ_SIZE
from shared.validation.results import OrderedResults, within_limits
from shared.validation.rules import RULES
from shared.validation.sources import Chunk

Told = tuple[str, str | None, int | None, int | None]
"""Rule, file, row and byte offset."""


@dataclass(frozen=True, slots=True)
class Planted:
    """Lines of which the last one breaks a rule, how far in the line the place of the fault is, and the limits."""

    lines: Sequence[bytes]
    shift: int = 0
    limits: dict[str, Any] = field(default_factory=dict)


def _planted(rule_id: str) -> Planted:
    example = LINES.get(rule_id)
    shift = {"invalid-json": 15, "invalid-utf8": 46}.get(rule_id, 0)
    if example is not None:
        return Planted(example.split(b"\n"), shift)
    ((_, data),) = EXAMPLES[rule_id].files()
    return Planted(data.splitlines()[-1:], shift, dict(EXAMPLES[rule_id].limits))


# Told of the snapshot as a whole, or only when two files are compared: tests of their own, below.
OF_FILES = [rule.id for rule in RULES.values() if rule.scope == "file"]
OF_ROWS = [rule.id for rule in RULES.values() if rule.id not in (*OF_FILES, "leaked-row", "identical-answers")]
FAULTS = {rule_id: _planted(rule_id) for rule_id in OF_ROWS}
GOOD = rows(0, 40).splitlines()


def source(data: bytes, path: str = "data.jsonl", split: Split | None = None, at_a_time: int = 10**9) -> Source:
    """A file of a snapshot, which gives at most so many bytes at a time."""

    class File(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(at_a_time if size is None or size < 0 else min(size, at_a_time))

    return Source(path=path, open=lambda: File(data), size=len(data), split=split)


def cut(sources: Sequence[Source], parts: Iterable[Chunk], policy: Policy) -> ValidationReport:
    """The report of parts that are read one by one."""
    again = lambda part, room: inspect_chunk(part, policy, room=room)  # noqa: E731
    fold = fold_of(sources, OrderedResults(within_limits(parts, policy, again, again)), policy)
    splits = count_splits(fold, plan_of(sources, 0, Cuts(), Shares()))[1]
    fold.judge(splits["train"])
    return fold.report(splits, 1.0)


def cut_at(file: Source, *bounds: int) -> list[Chunk]:
    """Parts of a file with these bounds."""
    ends = [*sorted({bound for bound in bounds if 0 < bound < file.size}), None]
    return [Chunk(file, start or 0, end) for start, end in pairwise([0, *ends])]


def told(report: ValidationReport) -> list[Told]:
    """Everything that was found."""
    assert all(finding.count == len(finding.places) for finding in report.findings)
    return [(f.rule, place.file, place.row, place.byte_offset) for f in report.findings for place in f.places]


# Rows of JSONL files

ROW = pytest.mark.parametrize("rule_id", FAULTS)


@ROW
@pytest.mark.parametrize("before", [0, 15, 30], ids=["first", "middle", "last"])
def test_fault_in_a_line_is_found_at_its_place(rule_id: str, before: int) -> None:
    fault = FAULTS[rule_id]
    policy = Policy(**fault.limits)
    data = b"\n".join([*GOOD[:before], *fault.lines, *GOOD[before:30]])
    for some in (data, data + b"\n", data.replace(b"\n", b"\n\n \n"), data.replace(b"\n", b"\r\n")):
        report = freeze([source(some)], policy).report
        assert told(report) == [place(rule_id, some)]
        assert report.verdict == ("rejected" if RULES[rule_id].severity == "error" else "accepted")
    zipped = source(gzip.compress(data, 1), "data.jsonl.gz")
    assert told(freeze([zipped], policy).report) == [place(rule_id, data, "data.jsonl.gz")]


@ROW
@pytest.mark.parametrize("before", [0, 15, 30], ids=["first", "middle", "last"])
def test_fault_across_the_border_of_two_parts_is_found_at_its_place(rule_id: str, before: int) -> None:
    fault = FAULTS[rule_id]
    policy = Policy(**fault.limits)
    data = b"\n".join([*GOOD[:before], *fault.lines, *GOOD[before:30]])
    file = source(data)
    start = data.rfind(fault.lines[-1])
    end = start + len(fault.lines[-1])
    for bound in (start - 1, start, start + 1, (start + end) // 2, end, end + 1):
        assert told(cut([file], cut_at(file, bound), policy)) == [place(rule_id, data)], bound
    everywhere = cut_at(file, start - 1, start, start + 1, end - 1, end, end + 1)
    assert told(cut([file], everywhere, policy)) == [place(rule_id, data)]


# Where in the last line of a fault the border of two blocks lies.
BORDERS = ["middle", "before the line feed"]
MORE_BORDERS = ["before", "after one byte", "behind"]


@ROW
@pytest.mark.parametrize("border", [*BORDERS, *(pytest.param(one, marks=pytest.mark.nightly) for one in MORE_BORDERS)])
def test_fault_across_the_border_of_two_blocks_is_found_at_its_place(rule_id: str, border: str) -> None:
    fault = FAULTS[rule_id]
    policy = Policy(**fault.limits)
    length = len(fault.lines[-1])
    into = {"before": 0, "after one byte": 1, "middle": length // 2, "before the line feed": length}.get(
        border, length + 1
    )
    data = filled(READ_SIZE - into, fault.lines[:-1]) + b"\n".join([fault.lines[-1], *GOOD[:5]])
    assert data.rfind(fault.lines[-1]) == READ_SIZE - into
    assert told(freeze([source(data)], policy).report) == [place(rule_id, data)]


@ROW
def test_fault_is_found_however_little_storage_gives_at_a_time(rule_id: str) -> None:
    fault = FAULTS[rule_id]
    policy = Policy(**fault.limits)
    data = b"\n".join([*GOOD[:15], *fault.lines, *GOOD[15:30]])
    for at_a_time in (1, 7):  # storage may give less than it was asked for
        assert told(freeze([source(data, at_a_time=at_a_time)], policy).report) == [place(rule_id, data)]


def place(rule_id: str, data: bytes, path: str = "data.jsonl") -> Told:
    """Where the fault of a rule is in some lines."""
    start = data.rfind(FAULTS[rule_id].lines[-1])
    return rule_id, path, data[:start].count(b"\n") + 1, start + FAULTS[rule_id].shift


def filled(size: int, last: Sequence[bytes]) -> bytes:
    """Good rows and then some lines, of so many bytes in all."""
    end = b"".join(line + b"\n" for line in last)
    some = FILLER[: FILLER.rfind(b"\n", 0, size - len(end) - 300) + 1]
    return some + GOOD[39].ljust(size - len(some) - len(end) - 1) + b"\n" + end


FILLER = rows(1000, 5000)


# Rows of parquet files

# What the types of the columns, or parquet itself, make impossible.
NOT_IN_PARQUET = {
    *("invalid-json", "byte-order-mark", "not-a-number", "repeated-key", "lone-surrogate", "not-an-object"),
    *(
        "nesting-too-deep",
        "messages-missing",
        "role-missing",
        "content-missing",
        "content-multimodal",
        "content-not-text",
    ),
}
# What is null where JSON has something else.
NULLS: dict[str, Any] = {
    "messages-not-list": None,
    "message-not-object": [None, {"role": "assistant", "content": "Hello."}],
    "role-not-text": [{"role": None, "content": "Hi"}, {"role": "assistant", "content": "Hello."}],
    "invalid-utf8": [{"role": "user", "content": "cafX"}, {"role": "assistant", "content": "Hello."}],
}
IN_PARQUET = [rule_id for rule_id in OF_ROWS if rule_id not in NOT_IN_PARQUET]


def parquet(some: Sequence[dict[str, Any]], group: int) -> bytes:
    """A parquet file of these rows."""
    turn = [("content", pa.string()), ("role", pa.string())]
    for name, kind in (("weight", pa.float64()), ("tool_calls", pa.list_(pa.struct([("id", pa.string())])))):
        if any(name in (turn or {}) for row in some for turn in row["messages"] or []):
            turn.append((name, kind))
    columns = [("messages", pa.list_(pa.struct(turn)))]
    columns += [(name, pa.string()) for name in ("prompt", "prompt_id") if any(name in row for row in some)]
    out = io.BytesIO()
    table = pa.Table.from_pylist(list(some), pa.schema(columns))
    pq.write_table(table, out, row_group_size=group, compression="none")
    return out.getvalue().replace(b"cafX", b"caf\xe9")


@pytest.mark.parametrize("rule_id", IN_PARQUET)
@pytest.mark.parametrize(
    "before", [0, 9, 10, 15, 30], ids=["first", "end-of-group", "start-of-group", "middle", "last"]
)
def test_fault_in_parquet_is_found_at_its_row(rule_id: str, before: int) -> None:
    fault = FAULTS[rule_id]
    bad = [{"messages": NULLS[rule_id]}] if rule_id in NULLS else [json.loads(line) for line in fault.lines]
    good = [json.loads(line) for line in GOOD]
    file = source(parquet([*good[:before], *bad, *good[before:30]], 10), "data.parquet")
    policy = Policy(**fault.limits)
    expected: list[Told] = [(rule_id, "data.parquet", before + len(bad), None)]
    report = freeze([file], policy).report
    assert told(report) == expected
    assert report.verdict == ("rejected" if RULES[rule_id].severity == "error" else "accepted")
    assert told(cut([file], cut_into_chunks([file], 1), policy)) == expected


@pytest.mark.parametrize("row", [1, 8, 9, 4000, 4001, 4096, 4097])
def test_fault_at_the_border_of_two_batches_is_found_at_its_row(row: int) -> None:
    some = [json.loads(line) for line in rows(0, 4100).splitlines()]
    some[row - 1]["messages"][1]["role"] = "bot"
    file = source(parquet(some, 5000), "data.parquet")
    assert told(freeze([file], Policy()).report) == [("role-unknown", "data.parquet", row, None)]


# Rows that only a look at other files tells


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "parquet"])
@pytest.mark.parametrize("at", [0, 15, 29], ids=["first", "middle", "last"])
def test_leaked_row_is_found_at_its_place(form: str, at: int) -> None:
    train, test = GOOD[:30], [*rows(50, 60).splitlines(), GOOD[at]]
    offset = None if form == "parquet" else sum(len(line) + 1 for line in train[:at])
    files = [in_form(train, "train", form), in_form(test, "test", form)]
    report = freeze(files, Policy()).report
    assert told(report) == [("leaked-row", f"train.{form}", at + 1, offset)]
    assert report.findings[0].places[0].found == f"same as row 11 of test.{form}"
    assert told(cut(files, list(cut_into_chunks(files, 500)), Policy())) == told(report)


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "parquet"])
def test_identical_answers_are_told_of_the_snapshot(form: str) -> None:
    some = rows(0, 30, answer="I cannot help.").splitlines()
    assert told(freeze([in_form(some, None, form)], Policy()).report) == [("identical-answers", None, None, None)]
    some[17] = GOOD[17]
    assert told(freeze([in_form(some, None, form)], Policy()).report) == []


def in_form(lines: Sequence[bytes], split: Split | None, form: str) -> Source:
    """A file of these rows in some format."""
    data = b"\n".join(lines)
    if form == "parquet":
        data = parquet([json.loads(line) for line in lines], 10)
    elif form == "jsonl.gz":
        data = gzip.compress(data, 1)
    return source(data, f"{split or 'data'}.{form}", split)


# Files


def test_every_rule_is_planted() -> None:
    tested = {*OF_ROWS, "leaked-row", "identical-answers", *FILES, *SNAPSHOTS, "mixed-columns", "too-many-rows"}
    tested.add("too-many-bad-rows")
    assert tested == set(RULES)
    assert set(RULES) >= NOT_IN_PARQUET


@cache
def bomb() -> bytes:
    """70 MB of blanks after some rows."""
    return gzip.compress(rows(100, 130) + b" " * (70 * 2**20), 1)


def table(**columns: list[Any]) -> bytes:
    """A parquet file of these columns."""
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


# One bad file: its name (with the number of the file), its bytes, and the limits.
FILES: dict[str, tuple[str, Callable[[], bytes], dict[str, Any]]] = {
    "file-extension": ("train-{}.csv", lambda: b"question,answer\n", {}),
    "double-extension": ("train-{}.csv.jsonl", lambda: rows(100, 130), {}),
    "split-unknown": ("trane-{}.jsonl", lambda: rows(100, 130), {}),
    "file-empty": ("train-{}.jsonl", lambda: b"\n \n", {}),
    "file-format": ("train-{}.jsonl", lambda: b"\x89PNG\r\n\x1a\n", {}),
    "row-format": ("train-{}.jsonl", lambda: b'{"question": "Hi", "answer": "Hello."}\n' * 200, {}),
    "file-unreadable": ("train-{}.jsonl.gz", lambda: gzip.compress(rows(100, 130))[:-8], {}),
    "file-expands": ("train-{}.jsonl.gz", lambda: bomb(), {"max_line_bytes": 2**20}),
    "too-large": ("train-{}.jsonl", lambda: rows(100, 200), {"max_file_bytes": 9000}),
    "messages-column-missing": ("train-{}.parquet", lambda: table(question=["Hi"]), {}),
    "messages-column-type": ("train-{}.parquet", lambda: table(messages=["[]"]), {}),
}
# What is wrong with the snapshot as a whole.
SNAPSHOTS = ["no-files", "no-train-split", "no-train-rows", "too-few-rows", "too-few-train-rows"]


def a_folder(names: Sequence[str], *data: bytes) -> list[Source]:
    """A folder snapshot."""
    return [source(some, name, split_of(name)) for name, some in zip(names, data, strict=True)]


@pytest.mark.parametrize("rule_id", FILES)
@pytest.mark.parametrize("at", [0, 1, 2], ids=["first", "middle", "last"])
def test_fault_of_a_file_is_told_of_that_file(rule_id: str, at: int) -> None:
    name, data, limits = FILES[rule_id]
    names = [f"train-{number}.jsonl" for number in range(3)]
    names[at] = name.format(at)
    contents = [rows(30 * number, 30 * number + 30) for number in range(3)]
    contents[at] = data()
    files = a_folder(names, *contents)
    policy = Policy(**limits)
    expected: list[Told] = [(rule_id, names[at], None, None)]
    report = freeze(files, policy).report
    assert (told(report), report.verdict) == (expected, "rejected")
    assert told(cut(files, list(cut_into_chunks(files, 2000)), policy)) == expected


@pytest.mark.parametrize("at", [0, 1, 2], ids=["first", "middle", "last"])
def test_row_beyond_the_limit_is_told_of_its_file(at: int) -> None:
    files = a_folder([f"train-{n}.jsonl" for n in range(3)], *(rows(30 * n, 30 * n + 30) for n in range(3)))
    policy = Policy(max_rows=30 * at + 25)
    expected: list[Told] = [("too-many-rows", f"train-{at}.jsonl", None, None)]
    assert told(freeze(files, policy).report) == expected
    assert told(cut(files, list(cut_into_chunks(files, 2000)), policy)) == expected


@pytest.mark.parametrize("at", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("size", [100, 300, 2000])
def test_so_many_bad_rows_end_the_reading_of_their_file(at: int, size: int) -> None:
    """Wherever files are cut: counting stopped at the same row, and the other files are read."""
    contents = [rows(30 * n, 30 * n + 30) for n in range(3)]
    contents[at] = b"{\n".join([contents[at][:1500], *[b""] * 50]) + rows(200, 230)
    files = a_folder([f"train-{n}.jsonl" for n in range(3)], *contents)
    policy = Policy(max_bad_rows=10)
    report = freeze(files, policy).report
    assert told(report)[-1] == ("too-many-bad-rows", f"train-{at}.jsonl", None, None)
    last = report.findings[-1]
    bad, read = 10 + len(contents[at]) // 1024 + 1, report.files[at].rows
    assert last.places[0].found == f"{bad} bad rows in the first {read}"
    assert (report.bad_rows, report.rows, report.verdict) == (bad, read + 60, "rejected")
    in_pieces = cut(files, list(cut_into_chunks(files, size)), policy)
    assert (in_pieces.findings, in_pieces.files) == (report.findings, report.files)


def test_many_bad_rows_are_read_where_training_may_go_on_without_them_or_all_are_wanted() -> None:
    data = rows(0, 1500) + b"{\n" * 1500
    for policy in (Policy(max_bad_percent=60), Policy(places=0)):
        report = freeze([source(data, "data.jsonl", None)], policy).report
        assert report.bad_rows == 1500
        assert report.rows == 3000


def test_short_bad_lines_after_a_good_beginning_are_not_all_read() -> None:
    """A few KB that stand for a million bad lines cost what a thousand cost."""
    data = gzip.compress(rows(0, 30) + b"{\n" * 1_000_000)
    report = freeze([source(data, "data.jsonl.gz", None)], Policy()).report
    assert report.rows < 1100
    assert [finding.rule for finding in report.findings] == ["invalid-json", "too-many-bad-rows"]
    assert "bad rows in the first" in report.summary


@pytest.mark.parametrize("at", [1, 2], ids=["middle", "last"])
def test_other_columns_are_told_of_their_file(at: int) -> None:
    contents = [rows(30 * n, 30 * n + 30, **({"topic": "sums"} if n == at else {})) for n in range(3)]
    files = a_folder([f"train-{n}.jsonl" for n in range(3)], *contents)
    report = freeze(files, Policy()).report
    assert (told(report), report.verdict) == ([("mixed-columns", f"train-{at}.jsonl", None, None)], "accepted")


@pytest.mark.parametrize("rule_id", SNAPSHOTS)
def test_fault_of_a_snapshot_is_told_of_no_file(rule_id: str) -> None:
    example = EXAMPLES[rule_id]
    files = [source(data, name, split_of(name)) for name, data in example.files()]
    policy = Policy(**example.limits)
    for report in (freeze(files, policy).report, cut(files, [Chunk(s) for s in in_reading_order(files)], policy)):
        assert [told for told in told(report) if told[0] != "leaked-row"] == [(rule_id, None, None, None)]
        assert report.verdict == "rejected"
