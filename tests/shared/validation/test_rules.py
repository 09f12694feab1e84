"""Every rule: found at its exact place, and nothing else reported."""

from __future__ import annotations

import gzip
import io
import json
import shlex
from collections.abc import Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from scripts.rule_examples import LINES
from shared.chatdata.splits import Split
from shared.validation import Policy, Source, ValidationReport, freeze
from shared.validation.rules import RULES

ROWS_BEFORE = 12


def a_row(number: int) -> bytes:
    """A good row, different for every number."""
    turns = [
        {"role": "user", "content": f"What is {number} + 1, “please”?"},
        {"role": "assistant", "content": f'It is "{number + 1}".\n'},
    ]
    return json.dumps({"messages": turns}, ensure_ascii=number % 2 == 0).encode()


def source(data: bytes, path: str = "data.jsonl", split: Split | None = None) -> Source:
    return Source(path=path, open=lambda: io.BytesIO(data), size=len(data), split=split)


def check(data: bytes, path: str = "data.jsonl", **limits: Any) -> ValidationReport:
    return freeze([source(data, path)], Policy(**limits)).report


def found(report: ValidationReport) -> list[tuple[str, int, int | None, str | None]]:
    return [
        (finding.rule, place.row or 0, place.byte_offset, place.path)
        for finding in report.findings
        for place in finding.places
    ]


def planted(fault: bytes, end: bytes = b"\n") -> tuple[bytes, int]:
    """The fault among good rows, and its offset."""
    before = b"".join(a_row(number) + end for number in range(ROWS_BEFORE))
    after = b"".join(a_row(number) + end for number in range(ROWS_BEFORE, 2 * ROWS_BEFORE))
    return before + fault + end + after, len(before)


@pytest.mark.parametrize("rule_id", LINES)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n \n"], ids=["lf", "crlf", "blank-lines"])
def test_example_of_a_rule_breaks_that_rule_only_at_its_row(rule_id: str, end: bytes) -> None:
    example = LINES[rule_id]
    data, offset = planted(example, end)
    report = check(data)

    lines = len(end.split(b"\n")) - 1
    row = ROWS_BEFORE * lines + 1 + example.count(b"\n")
    assert [(rule, at) for rule, at, _, _ in found(report)] == [(rule_id, row)]
    assert report.verdict == ("rejected" if RULES[rule_id].severity == "error" else "accepted")
    place = report.findings[0].places[0]
    assert place.byte_offset is not None
    assert offset <= place.byte_offset <= offset + len(example)
    assert place.found.isprintable()
    assert len(place.found) < 200


PLACES: list[tuple[str, bytes, int, str | None]] = [
    ("invalid-json", b'{"messages": [],}', 15, "column 16"),
    ("invalid-json", b'{"messages": "\xc3\xa9\xc3\xa9" x}', 20, "column 19"),
    ("invalid-json", b'{"messages": []} {}', 17, "column 18"),
    ("invalid-json", b'{"messages": ["a\tb"]}', 16, "column 17"),
    ("invalid-json", b"\x00\x01\x02", 0, "column 1"),
    ("invalid-utf8", b'{"messages": [{"role": "user", "content": "caf\xe9"}]}', 46, None),
    ("invalid-utf8", b'{"a": "\xed\xa0\x80"}', 7, None),
    ("repeated-key", b'{"a": 1, "messages": [], "a": 2}', 0, None),
    ("repeated-key", b'{"a": 1, "\\u0061": 2}', 0, None),
    ("not-a-number", b'{"a": [-Infinity]}', 0, "a[0]"),
    ("not-a-number", b'{"messages": [], "score": 1e400}', 0, "score"),
    ("not-a-number", b'{"a": {"b": [1.5, ' + b"7" * 308 + b", -" + b"9" * 5000 + b"]}}", 0, "a.b[2]"),
    ("lone-surrogate", b'{"a": {"b": ["x", "\\udc00"]}}', 0, "a.b[1]"),
    ("nesting-too-deep", b"[" * 100_000, 0, None),
    ("nesting-too-deep", b'{"a":' * 2000 + b"1" + b"}" * 2000, 0, None),
    ("not-an-object", b"7", 0, None),
    ("not-an-object", b"null", 0, None),
    ("not-an-object", b'"messages"', 0, None),
    ("messages-not-list", b'{"messages": null}', 0, "messages"),
    ("messages-not-list", b'{"messages": {}}', 0, "messages"),
]


@pytest.mark.parametrize(("rule", "line", "shift", "path"), PLACES)
def test_place_of_a_fault_is_exact(rule: str, line: bytes, shift: int, path: str | None) -> None:
    data, offset = planted(line)
    assert found(check(data)) == [(rule, ROWS_BEFORE + 1, offset + shift, path)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"messages": [] "score": 1}', "no ',' delimiter at column 17"),
        (b'{"messages": }', "no value at column 14"),
        (b'{"messages" []}', "no ':' delimiter at column 13"),
        (b'{"messages": [], 7}', "no property name enclosed in double quotes at column 18"),
    ],
)
def test_what_is_missing_in_a_line_is_said_in_words(line: bytes, words: str) -> None:
    (finding,) = check(planted(line)[0]).findings
    assert [place.found for place in finding.places] == [words]


def turns(*pairs: tuple[Any, Any]) -> bytes:
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in pairs]}).encode()


U, A, S = ("user", "q"), ("assistant", "a"), ("system", "s")
ORDERS: list[tuple[tuple[tuple[str, str], ...], list[tuple[str, str]]]] = [
    ((U, A, U, A), []),
    ((S, U, A), []),
    ((U, A, U), [("last-not-assistant", "messages[2].role")]),
    ((S, U), [("no-assistant", "messages")]),
    ((S,), [("no-assistant", "messages")]),
    ((A,), [("first-not-user", "messages[0].role")]),
    ((S, A, U, A), [("first-not-user", "messages[1].role")]),
    ((U, A, A), [("role-repeated", "messages[2].role")]),
    ((S, S, U, A), [("system-not-first", "messages[1].role")]),
    ((U, A, S), [("system-not-first", "messages[2].role")]),
    ((U, S, U, A), [("system-not-first", "messages[1].role")]),
    (
        (U, U, A, A, U),
        [
            ("role-repeated", "messages[1].role"),
            ("role-repeated", "messages[3].role"),
            ("last-not-assistant", "messages[4].role"),
        ],
    ),
]


@pytest.mark.parametrize(("order", "expected"), ORDERS)
def test_order_of_roles(order: tuple[tuple[str, str], ...], expected: list[tuple[str, str]]) -> None:
    data, _ = planted(turns(*order))
    assert [(rule, path) for rule, _, _, path in found(check(data))] == expected


def test_all_faults_of_a_row_are_told_at_once() -> None:
    row = b'{"messages": [{"role": "User", "content": null}, 7, {"role": "assistant", "content": [{"type": "image"}]}]}'
    data, _ = planted(row)
    report = check(data)
    assert report.bad_rows == 1
    assert {(rule, path) for rule, _, _, path in found(report)} == {
        ("role-unknown", "messages[0].role"),
        ("content-null", "messages[0].content"),
        ("message-not-object", "messages[1]"),
        ("content-multimodal", "messages[2].content"),
    }
    expected = {finding.rule: finding.places[0].expected for finding in report.findings}
    assert expected["role-unknown"] == "user (probably)"


def test_system_turns_can_be_refused() -> None:
    data, _ = planted(turns(S, U, A))
    assert [rule for rule, *_ in found(check(data, system_turns="reject"))] == ["system-rejected"]


def test_lines_that_are_only_together_json_are_each_refused() -> None:
    """All lines of a block are decoded by one call: what fits together must not make up for what does not."""
    dialogue = b'[{"role": "user", "content": "Hi %d"}, {"role": "assistant", "content": "Hello %d."}]'
    row = b'{"messages": ' + dialogue + b"%s}"
    good = [row % (at, at, b"") for at in range(30)]
    cases = [
        [(row % (1, 1, b', "x": [1'))[:-1], b"2]}", good[2] + b",null," + good[3]],
        [(row % (1, 1, b', "x": {"y": [1'))[:-1], b"2]}}", good[2] + b",null," + good[3]],
        [b'{"messages": [1', b'2], "messages": ' + dialogue % (1, 1) + b"}", good[2] + b",null," + good[3]],
        [b'{"messages": ' + dialogue[:-1] % (1, 1), dialogue[1:] % (2, 2) + b"}", good[2] + b",null," + good[3]],
        [(row % (1, 1, b', "x": "a'))[:-1], b'b"}', good[2] + b",null," + good[3]],
        [good[2] + b"," + good[3], b"null"],
        [b"null", good[2] + b",null"],
        [good[2] + b"]", b"[" + good[3]],
    ]
    for bad in cases:
        for before in (0, 12):
            lines = [*good[4 : 4 + before], *bad, *good[20:]]
            report = freeze([source(b"\n".join(lines), "train.jsonl")], Policy(meaning=False, places=0)).report
            places = (place for finding in report.findings for place in finding.places)
            refused = {place.row for place in places if place.row}
            assert refused == {before + at for at in range(1, len(bad) + 1)}, bad


@pytest.mark.parametrize(
    "value", ['{"a": ["b", {"c": "say \\"no\\""}]}', "[1, [2]]", '["x", null]', '"\\u0022"', "7", "null"]
)
def test_other_columns_may_hold_anything(value: str) -> None:
    turns = '[{"role": "user", "content": "Hi %d"}, {"role": "assistant", "content": "Ho."}]'
    rows = [f'{{"messages": {turns % at}, "x": {value}}}' for at in range(30)]
    assert freeze([source("\n".join(rows).encode(), "train.jsonl")], Policy(meaning=False)).report.findings == []
    repeated = rows[20].replace('"x": ', '"x": 1, "x": ')
    report = freeze([source("\n".join([*rows[:20], repeated, *rows[21:]]).encode(), "train.jsonl")], Policy()).report
    (place,) = (place for finding in report.findings if finding.rule == "repeated-key" for place in finding.places)
    assert place.row == 21


def test_row_longer_than_the_limit_is_skipped_and_the_next_ones_keep_their_places() -> None:
    data, offset = planted(b"x" * 3_000_000)
    bad_end = data + b"{]\n"
    report = check(bad_end, max_line_bytes=2_000_000)
    last = len(bad_end) - len(b"{]\n") + 1
    assert sorted(found(report), key=lambda place: place[1]) == [
        ("row-too-long", 13, offset, None),
        ("invalid-json", 26, last, "column 2"),
    ]


def test_too_many_messages() -> None:
    data, _ = planted(turns(*[U, A] * 6))
    assert [rule for rule, *_ in found(check(data, max_messages=10))] == ["too-many-messages"]


def test_byte_order_mark_at_the_start_is_told_and_harmless() -> None:
    report = check(b"\xef\xbb\xbf" + planted(a_row(99))[0])
    assert found(report) == [("byte-order-mark", 1, 0, None)]
    assert report.good_rows == 25


def test_places_are_limited_but_counts_are_not() -> None:
    report = check(b"{}\n" * 50 + planted(a_row(99))[0])
    assert (report.findings[0].count, len(report.findings[0].places)) == (50, 20)
    assert report.findings[0].more == 30
    every = check(b"{}\n" * 50, places=0).findings[0]
    assert (len(every.places), every.more) == (50, 0)


def test_secrets_and_texts_never_reach_the_report() -> None:
    secret = "sk-" + "A1b2" * 8
    data, _ = planted(turns(("user", "SENSITIVE " * 3), ("assistant", f"use {secret}")))
    report = check(
        data + turns(("SENSITIVE", "SENSITIVE"), ("user", ["SENSITIVE"])).replace(b'"SENSITIVE",', b'"x",', 1)
    )
    text = report.model_dump_json()
    assert secret not in text
    assert "SENSITIVE" not in text
    assert "likely-secret" in text


FILES: list[tuple[str, str, bytes]] = [
    ("file-empty", "data.jsonl", b""),
    ("file-empty", "data.jsonl", b"\n \r\n"),
    ("file-empty", "data.jsonl.gz", gzip.compress(b"", mtime=0)),
    ("file-extension", "data.csv", b"a,b"),
    ("file-extension", "data.jsonl.zip", b"PK"),
    ("file-format", "data.jsonl", b"\x89PNG\r\n"),
    ("file-format", "data.jsonl", gzip.compress(a_row(1), mtime=0)),
    ("file-format", "data.jsonl", '{"messages": []}'.encode("utf-16")),
    ("file-format", "data.jsonl.gz", a_row(1)),
    ("file-format", "data.jsonl.gz", gzip.compress(gzip.compress(a_row(1), mtime=0), mtime=0)),
    ("file-format", "data.parquet", b"\x1f\x8b"),
    ("file-unreadable", "data.parquet", b""),
    ("file-unreadable", "data.parquet", b"PAR1" + b"\0" * 100 + b"PAR1"),
    ("file-unreadable", "data.jsonl.gz", gzip.compress(b"\n".join(map(a_row, range(20))), mtime=0)[:-9]),
]


@pytest.mark.parametrize(("rule", "path", "data"), FILES)
def test_file_that_cannot_be_used(rule: str, path: str, data: bytes) -> None:
    report = check(data, path)
    assert report.verdict == "rejected"
    assert {name for name, *_ in found(report)} - {"too-few-rows"} == {rule}


TEXTS = {
    "one JSON value a line": b"\n".join(map(a_row, range(3000))),
    "one JSON array of 2 values": b"[" + a_row(1) + b", " + a_row(2) + b"]",
    "JSON objects over several lines each": b'{\n"messages": [\n]\n}\n' * 5000,
    "separated values (CSV)": b"prompt,completion\na,b\n",
    "a page of HTML or XML": b"<!doctype html>\n<p>Not found</p>",
    "a page of XML": b'<?xml version="1.0"?><Error></Error>',
    "text: none of its first": b"One more line.\n" * 60,
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("path", ["data.parquet", "data.jsonl.gz"])
def test_text_under_another_name_is_named_for_what_it_is(kind: str, path: str) -> None:
    report = check(TEXTS[kind], path)
    assert [finding.rule for finding in report.findings] == ["file-format"]
    assert kind in report.findings[0].places[0].found


@pytest.mark.parametrize(("rule", "path", "data"), [case for case in FILES if case[0] == "file-unreadable"])
def test_summary_of_an_unreadable_file_names_it_and_ends_in_one_full_stop(rule: str, path: str, data: bytes) -> None:
    summary = check(data, path).summary
    assert f" {path}: found " in summary
    assert ".." not in summary
    assert summary.endswith("a whole parquet file." if path.endswith("parquet") else "a whole gzip file.")


def test_summary_tells_of_bad_rows_beside_an_unreadable_file() -> None:
    whole = gzip.compress(b"{}\n" + b"\n".join(a_row(number) for number in range(5000)), compresslevel=1)
    report = check(whole[: len(whole) // 2], "data.jsonl.gz")
    assert " data.jsonl.gz: found " in report.summary
    assert f"a whole gzip file. 1 of {report.rows} rows is bad: messages-missing (1). The row has" in report.summary
    assert report.summary.endswith("data.jsonl.gz, row 1: found fields none; expected messages.")


def test_too_few_rows_are_told_with_the_number_needed_and_the_setting() -> None:
    report = check(b"\n".join(map(a_row, range(19))))
    (finding,) = report.findings
    assert (finding.places[0].found, finding.places[0].expected) == ("19 good rows", "at least 20 (MIN_ROWS)")
    assert "MIN_ROWS" in finding.fix
    assert report.summary.endswith("Found 19 good rows; expected at least 20 (MIN_ROWS).")


def test_rows_before_the_damage_are_still_checked() -> None:
    whole = gzip.compress(b"{}\n" + b"\n".join(a_row(number) for number in range(5000)), compresslevel=1)
    report = check(whole[: len(whole) // 2], "data.jsonl.gz", places=0)
    assert [rule for rule, *_ in found(report)] == ["file-unreadable", "messages-missing"]
    assert report.good_rows > 100


def test_gzip_bomb_is_stopped() -> None:
    bomb = gzip.compress(b" " * (80 * 2**20), compresslevel=9)
    report = check(bomb, "data.jsonl.gz")
    assert "file-expands" in {rule for rule, *_ in found(report)}


def test_limits_stop_the_reading() -> None:
    data = planted(a_row(99))[0]
    assert found(check(data, max_rows=20))[0][0] == "too-many-rows"
    assert found(check(data, max_total_bytes=100))[0][0] == "too-large"
    assert found(check(data, max_file_bytes=100))[0][0] == "too-large"
    assert found(check(data, min_rows=26))[0][0] == "too-few-rows"


def snapshot(*files: tuple[str, Split | None, Sequence[bytes]]) -> ValidationReport:
    return freeze([source(b"\n".join(rows), path, split) for path, split, rows in files], Policy()).report


def test_snapshot_without_files_or_training_rows() -> None:
    rows = [a_row(number) for number in range(20)]
    assert snapshot().findings[0].rule == "no-files"
    assert "no-train-split" in {rule for rule, *_ in found(snapshot(("test.jsonl", "test", rows)))}
    both = snapshot(("train.jsonl", "train", rows), ("test.jsonl", "test", rows))
    assert {finding.rule: finding.count for finding in both.findings} == {
        "no-train-rows": 1,
        "leaked-row": 20,
    }


def test_dialogue_in_train_and_test_is_kept_in_test() -> None:
    rows = [a_row(number) for number in range(40)]
    report = snapshot(("train.jsonl", "train", rows), ("test.jsonl", "test", rows[30:]))
    places = report.findings[0].places
    assert (report.findings[0].rule, len(places)) == ("leaked-row", 10)
    assert (places[0].file, places[0].row, places[0].found) == (
        "train.jsonl",
        31,
        "same as row 1 of test.jsonl",
    )
    assert report.splits["test"] == 10
    assert sum(report.splits.values()) == 40


@pytest.mark.parametrize(
    ("identity", "is_one"), [(2**64 - 1, True), (-(2**63), True), (2**64, False), (-(10**30), False)]
)
@pytest.mark.parametrize("escaped", [False, True])
def test_number_that_a_decoder_rounds_is_no_id_of_a_prompt(identity: int, is_one: bool, escaped: bool) -> None:
    """Whether rows are decoded one by one (by one decoder, or another where the line looks odd) or many at once."""
    rows = [json.loads(a_row(number)) | {"prompt_id": identity} for number in range(40)]
    lines = [json.dumps(row).replace('"role"', '"\\u0072ole"' if escaped else '"role"') for row in rows]
    report = check("\n".join(lines).encode())
    assert [(finding.rule, finding.count) for finding in report.findings] == [("prompt-id-repeated", 39)] * is_one


def test_files_with_different_columns_are_told() -> None:
    one = [a_row(number) for number in range(20)]
    two = [b'{"id": 1, ' + a_row(number)[1:] for number in range(20, 40)]
    report = snapshot(("train-0.jsonl", "train", one), ("train-1.jsonl", "train", two))
    assert found(report) == [("mixed-columns", 0, None, None)]
    assert report.statistics.extra_columns == {"id": 20}


def test_identical_answers_are_told() -> None:
    rows = [turns(("user", str(number)), ("assistant", "I cannot help.")) for number in range(20)]
    assert [rule for rule, *_ in found(snapshot(("a.jsonl", None, rows)))] == ["identical-answers"]


# Parquet


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


MESSAGES = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))


def good_messages(count: int) -> list[Any]:
    return [json.loads(a_row(number))["messages"] for number in range(count)]


PARQUET_FAULTS: list[tuple[str, Any, str | None]] = [
    ("messages-not-list", None, "messages"),
    ("messages-empty", [], "messages"),
    ("message-not-object", [None, {"role": "assistant", "content": "a"}], "messages[0]"),
    (
        "role-not-text",
        [{"role": None, "content": "q"}, {"role": "assistant", "content": "a"}],
        "messages[0].role",
    ),
    (
        "role-unknown",
        [{"role": "human", "content": "q"}, {"role": "assistant", "content": "a"}],
        "messages[0].role",
    ),
    (
        "content-null",
        [{"role": "user", "content": None}, {"role": "assistant", "content": "a"}],
        "messages[0].content",
    ),
    (
        "content-empty",
        [{"role": "user", "content": ""}, {"role": "assistant", "content": "a"}],
        "messages[0].content",
    ),
    (
        "last-not-assistant",
        [*json.loads(a_row(77))["messages"], {"role": "user", "content": "q"}],
        "messages[2].role",
    ),
]


@pytest.mark.parametrize(("rule", "messages", "path"), PARQUET_FAULTS)
@pytest.mark.parametrize("row", [1, 21, 40])
def test_fault_in_parquet_is_found_at_its_row(rule: str, messages: Any, path: str | None, row: int) -> None:
    rows = good_messages(39)
    rows.insert(row - 1, messages)
    data = parquet(pa.table({"messages": pa.array(rows, MESSAGES)}), row_group_size=7)
    assert found(check(data, "data.parquet")) == [(rule, row, None, path)]
    lines = b"\n".join(json.dumps({"messages": turn}).encode() for turn in rows)
    assert [place[:2] for place in found(check(lines))] == [(rule, row)]


def test_invalid_utf8_in_parquet_is_found_at_its_row() -> None:
    texts = [turn["content"].encode() for row in good_messages(20) for turn in row]
    texts[24] = b"caf\xe9"
    contents = pa.array(texts, pa.binary()).view(pa.string())
    roles = pa.array(["user", "assistant"] * 20)
    turns_ = pa.StructArray.from_arrays([contents, roles], ["content", "role"])
    lists = pa.ListArray.from_arrays(pa.array(range(0, 41, 2), pa.int32()), turns_)
    report = check(parquet(pa.table({"messages": lists})), "data.parquet", min_rows=3)
    assert found(report) == [("invalid-utf8", 13, None, None)]
    assert report.good_rows == 19


@pytest.mark.parametrize(
    ("rule", "table"),
    [
        ("messages-column-missing", pa.table({"text": ["a"]})),
        ("messages-column-type", pa.table({"messages": ['[{"role": "user"}]']})),
        ("messages-column-type", pa.table({"messages": [["a"]]})),
        ("messages-column-type", pa.table({"messages": [[{"role": "user", "text": "a"}]]})),
        ("messages-column-type", pa.table({"messages": [[{"role": "user", "content": ["a"]}]]})),
        ("file-empty", pa.table({"messages": pa.array([], MESSAGES)})),
    ],
)
def test_parquet_file_that_cannot_be_used(rule: str, table: pa.Table) -> None:
    assert {name for name, *_ in found(check(parquet(table), "data.parquet"))} - {"too-few-rows"} == {rule}


def test_parquet_cut_in_half_is_unreadable() -> None:
    data = parquet(pa.table({"messages": pa.array(good_messages(100), MESSAGES)}))
    assert found(check(data[: len(data) // 2], "data.parquet"))[-1][0] in ("file-unreadable", "too-few-rows")
    damaged = data[:200] + b"\xff" * 200 + data[400:]
    assert "file-unreadable" in {rule for rule, *_ in found(check(damaged, "data.parquet"))}


def test_extra_fields_that_are_null_count_as_absent() -> None:
    rows = good_messages(20)
    rows[3][0]["name"] = "Ann"
    table = pa.table({"messages": rows, "id": range(20), "prompt": [row[0]["content"] for row in rows]})
    report = check(parquet(table), "data.parquet")
    assert (report.verdict, report.findings) == ("accepted", [])
    assert report.statistics.extra_columns == {"id": 20, "prompt": 20}
    assert report.statistics.extra_message_fields == {"name": 1}


GOOD_ROWS = b"".join(a_row(number) + b"\n" for number in range(5))


def weighted(*weights: int | None) -> bytes:
    """A dialogue with an answer of each weight."""
    messages: list[dict[str, Any]] = []
    for at, weight in enumerate(weights):
        messages += [{"role": "user", "content": f"q{at}"}, {"role": "assistant", "content": "a", "weight": weight}]
    return json.dumps({"messages": messages}).encode()


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((1, 1), []),
        ((None, 1), []),
        ((0, 1), [("weight-zero", "messages[1].weight")]),
        ((1, 0), [("weight-zero", "messages[3].weight")]),
        ((0, 0), [("no-weighted-answer", "messages")]),
        ((0,), [("no-weighted-answer", "messages")]),
    ],
)
def test_an_answer_of_weight_zero_is_not_learned_in_silence(
    weights: tuple[int | None, ...], expected: list[tuple[str, str]]
) -> None:
    data, _ = planted(weighted(*weights))
    report = check(data, meaning=False)
    assert [(rule, path) for rule, _, _, path in found(report)] == expected
    assert report.accepted == all(rule == "weight-zero" for rule, _ in expected)


@pytest.mark.parametrize(
    "text", ["\u200b", "\u200b \u200d", "\u2060", "\ufeff", "\u00ad", "\u2800", "\u3164", "\u200e"]
)
@pytest.mark.parametrize("among", [0, 40])
def test_an_answer_that_nobody_can_see_is_blank(text: str, among: int) -> None:
    rows_before = b"".join(a_row(number) + b"\n" for number in range(3 + among))
    report = check(rows_before + turns(("user", "q"), ("assistant", text)) + b"\n", min_rows=3)
    assert [rule for rule, *_ in found(report)] == ["content-blank"]
    assert f"{len(text)} blank or invisible character" in report.findings[0].places[0].found


def test_a_dialogue_with_tools_is_one_finding() -> None:
    calls = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    dialogue = [
        {"role": "user", "content": "q"},
        calls,
        {"role": "tool", "content": ""},
        {"role": "user", "content": ""},
    ]
    report = check(json.dumps({"messages": dialogue}).encode() + b"\n" + GOOD_ROWS, min_rows=3)
    assert [finding.rule for finding in report.findings] == ["role-tool"]
    report = check(json.dumps({"messages": [dialogue[0], calls]}).encode() + b"\n" + GOOD_ROWS, min_rows=3)
    assert [finding.rule for finding in report.findings] == ["tool-calls"]


@pytest.mark.parametrize("empty", [None, {}, [], {"name": None, "arguments": None}, [{"id": None}]])
def test_an_empty_form_of_a_tool_call_is_none(empty: Any) -> None:
    dialogue = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "function_call": empty}]
    assert check(json.dumps({"messages": dialogue}).encode() + b"\n" + GOOD_ROWS, min_rows=3).accepted


def test_what_only_follows_comes_last() -> None:
    report = check(b'{"conversations": "q"}\n' * 30)
    assert [finding.rule for finding in report.findings] == ["messages-missing", "too-few-rows"]


SHAREGPT = b'{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}\n'


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_of_another_format_is_refused_once_with_the_command_that_converts_it(packed: bool) -> None:
    """Whatever its size: only its beginning is read. The reason of the snapshot says the same."""
    data, name = SHAREGPT * 30_000, "bot/2026 01/it's.jsonl"
    report = check(gzip.compress(data) if packed else data, f"{name}.gz" if packed else name)
    assert [(finding.rule, finding.count) for finding in report.findings] == [("row-format", 1)]
    assert report.rows == 0
    assert "rows that look like ShareGPT (conversations)" in report.summary
    quoted = shlex.quote("it's.jsonl" + ".gz" * packed)
    assert f"`droptune prepare {quoted} --out FOLDER`" in report.summary


@pytest.mark.parametrize("indent", [1, None])
def test_a_document_of_rows_of_another_format_says_both(indent: int | None) -> None:
    """Also where it is longer than what is looked at."""
    for count in (30, 3000):
        rows = [{"instruction": f"Add 1 to {n}.", "input": "", "output": f"{n + 1}"} for n in range(count)]
        report = check(json.dumps(rows, indent=indent).encode())
        assert [finding.rule for finding in report.findings] == ["file-format"]
        assert "of rows that look like Alpaca (instruction, input, output)" in report.summary
        assert "`droptune prepare data.jsonl --out FOLDER`" in report.summary


def test_a_file_that_only_prepare_reads_is_told_with_the_command() -> None:
    assert "`droptune prepare faq.csv --out FOLDER` makes a snapshot of it" in check(b"q,a\n1,2\n", "faq.csv").summary


def test_rows_of_another_format_among_good_ones_are_bad_rows() -> None:
    report = check(GOOD_ROWS + SHAREGPT * 2, min_rows=3)
    assert [(finding.rule, finding.count) for finding in report.findings] == [("messages-missing", 2)]
    assert "ShareGPT (conversations)" in report.findings[0].places[0].found
    assert "`droptune prepare FILE --out FOLDER`" in report.summary


def test_columns_of_another_format_are_named_with_the_command() -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"instruction": ["q"] * 30, "input": [""] * 30, "output": ["a"] * 30}), out)
    report = check(out.getvalue(), "bot.parquet")
    assert [finding.rule for finding in report.findings] == ["messages-column-missing"]
    assert "which looks like Alpaca (instruction, input, output)" in report.summary
    assert "`droptune prepare bot.parquet --out FOLDER`" in report.summary


@pytest.mark.parametrize("view", [pa.list_view, pa.large_list_view, pa.large_list])
def test_parquet_with_another_kind_of_list_is_read(view: Any) -> None:
    turn = pa.struct([("role", pa.string()), ("content", pa.large_string())])
    rows = [json.loads(a_row(number))["messages"] for number in range(30)]
    out = io.BytesIO()
    pq.write_table(pa.table({"messages": pa.array(rows, view(turn))}), out)
    report = check(out.getvalue(), "data.parquet")
    assert (report.verdict, report.good_rows) == ("accepted", 30)


def test_parquet_with_content_twice_is_refused() -> None:
    texts = pa.array(["q", "a"] * 30)
    turn = pa.StructArray.from_arrays(
        [pa.array(["user", "assistant"] * 30), texts, texts], ["role", "content", "content"]
    )
    out = io.BytesIO()
    pq.write_table(pa.table({"messages": pa.ListArray.from_arrays(pa.array(range(0, 61, 2), pa.int32()), turn)}), out)
    assert [finding.rule for finding in check(out.getvalue(), "data.parquet").findings] == ["messages-column-type"]
