"""Parquet files of every kind that writers make: the same rows whatever Arrow's types, codecs, encodings and pages."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from scripts.rule_examples import rows
from shared.validation import Policy, ValidationReport, freeze
from shared.validation.thrift import Compact
from tests.shared.validation.test_planted import source

ROWS = [json.loads(line) for line in rows(0, 200).splitlines()]


def check(table: Any, **options: Any) -> ValidationReport:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return freeze([source(out.getvalue(), "a.parquet")], Policy()).report


def table_of(text: Any, make_list: Any = pa.list_) -> Any:
    """The rows, with texts and lists of these types."""
    values = [row["messages"] for row in ROWS]
    if pa.types.is_dictionary(text):
        plain = table_of(pa.string())["messages"].combine_chunks()
        content, role = (plain.values.field(name).dictionary_encode() for name in ("content", "role"))
        turns = pa.StructArray.from_arrays([content, role], ["content", "role"])
        return pa.table({"messages": pa.ListArray.from_arrays(plain.offsets, turns)})
    return pa.table({"messages": pa.array(values, make_list(pa.struct([("content", text), ("role", text)])))})


@pytest.mark.parametrize(
    "text",
    [
        *(pa.string(), pa.large_string(), pa.binary(), pa.large_binary()),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_texts_of_every_type_are_read(text: Any) -> None:
    report = check(table_of(text))
    assert (report.verdict, report.good_rows) == ("accepted", 200)


@pytest.mark.parametrize("make_list", [pa.list_, pa.large_list, pa.list_view, pa.large_list_view])
def test_lists_of_every_type_are_read(make_list: Any) -> None:
    report = check(table_of(pa.string(), make_list))
    assert (report.verdict, report.good_rows) == ("accepted", 200)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_codec_and_page_is_read(codec: str, version: str) -> None:
    report = check(
        table_of(pa.string()), compression=codec, data_page_version=version, data_page_size=500, row_group_size=70
    )
    assert report.good_rows == 200


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_every_encoding_is_read(encoding: str) -> None:
    encodings = {f"messages.list.element.{name}": encoding for name in ("content", "role")}
    assert check(table_of(pa.string()), use_dictionary=False, column_encoding=encodings).good_rows == 200


def test_long_texts_in_a_dictionary_are_read_fewer_rows_at_a_time() -> None:
    """Each row may have the longest text of the dictionary: 4,096 of them at once would be a gigabyte."""
    turns = [
        [{"content": f"Hi {n}", "role": "user"}, {"content": "word " * (50_000 if n == 7 else 2), "role": "assistant"}]
        for n in range(3000)
    ]
    report = check(pa.table({"messages": turns}), compression="zstd")
    assert (report.rows, report.good_rows, report.bad_rows) == (3000, 3000, 0)


def test_fields_that_are_there_for_other_rows_are_as_good_as_absent() -> None:
    kind = pa.list_(
        pa.struct(
            [
                ("content", pa.string()),
                ("role", pa.string()),
                ("function_call", pa.struct([("name", pa.string()), ("arguments", pa.string())])),
                ("weight", pa.int64()),
            ]
        )
    )
    turns = [[{**turn, "function_call": {"name": None, "arguments": None}} for turn in row["messages"]] for row in ROWS]
    report = check(pa.table({"messages": pa.array(turns, kind)}))
    assert (report.verdict, report.findings) == ("accepted", [])


def test_a_field_that_a_turn_has_twice_is_refused() -> None:
    texts = pa.array(["Hi", "Ho"])
    turns = pa.StructArray.from_arrays([texts, texts, pa.array(["user", "assistant"])], ["content", "content", "role"])
    report = check(pa.table({"messages": pa.ListArray.from_arrays(pa.array([0, 2]), turns)}))
    assert report.findings[0].rule == "messages-column-type"


# Thrift


def test_only_what_is_wanted_is_built_and_the_rest_is_passed_over() -> None:
    data = (
        b"\x15\x0a"  # field 1: i32 5
        b"\x18\x03abc"  # field 2: binary
        b"\x19\xf3\x05\1\2\3\4\5"  # field 3: a list of 5 bytes
        b"\x1c\x15\x02\x00"  # field 4: struct with i32 1
        b"\x11"  # field 5: true
        b"\x19\x2c\x15\x02\x00\x15\x04\x00"  # field 6: a list of 2 structs
        b"\x1b\x01\x85\x01a\x00"  # field 7: a map
        b"\x15\x01"  # field 8: i32 -1
        b"\x00"
    )
    read = []
    wanted = {1: None, 4: {1: None}, 5: None, 6: lambda reader: read.append(reader.struct({1: None})), 8: None}
    reader = Compact(data)
    assert reader.struct(wanted) == {1: 5, 4: {1: 1}, 5: True, 6: 2, 8: -1}
    assert (read, reader.at) == ([{1: 1}, {1: 2}], len(data))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x15", b"\x18\x7f", b"\x19\xfc\xff\xff\xff\xff\x0f", b"\x1c" * 100, b"\x15" + b"\xff" * 12, b"\x1e"),
        *(b"\x19\x9c" * 50, b"\x1b\xff\xff\xff\x7f\xcc", b"\x19\xf3\xff\xff\xff\xff\x0f"),
    ],
)
def test_what_is_no_struct_is_refused(data: bytes) -> None:
    for wanted in ({}, {1: None}, {1: {1: None}}, {1: lambda reader: reader.struct({})}):
        with pytest.raises(ValueError, match=r"early|deep|64 bits|unknown|list|nested"):
            Compact(data).struct(wanted)
