"""What a file or a row is instead of what it should be is said once, and by its name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.validation.row_shapes import row_shape
from shared.validation.shapes import HEAD_BYTES, file_shape

ROWS = [
    {"messages": [{"role": "user", "content": f"Why {n}?"}, {"role": "assistant", "content": "So."}]} for n in range(90)
]
LINES = [json.dumps(row).encode() for row in ROWS]


def shape_of(data: bytes) -> str:
    found = file_shape(data[:HEAD_BYTES], len(data) <= HEAD_BYTES)
    return found.found if found else ""


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (json.dumps(ROWS).encode(), "one JSON array of 90 values"),
        (json.dumps(ROWS, indent=2).encode(), "one JSON document (an array)"),
        (json.dumps(ROWS * 50, indent=2).encode(), "one JSON document (an array)"),
        (json.dumps(ROWS * 50).encode(), "one JSON document (an array)"),  # one line longer than what is looked at
        (b"[\n" + b",\n".join(LINES) + b"\n]\n", "one JSON document (an array)"),
        (b"\n".join(json.dumps(row, indent=1).encode() for row in ROWS), "JSON objects over several lines each"),
        (
            b"\n".join(json.dumps(row, indent="\t").encode() for row in ROWS * 50),
            "JSON objects over several lines each",
        ),
        (b"\n".join(str(row).encode() for row in ROWS), "Python dictionaries, with single quotes"),
        (b"\n".join(LINES).replace(b'"', "\u201c".encode()), "typographic quotes around names"),
        (b"question,answer\nWhy?,So.\n", "separated values (CSV) with 2 columns"),
        (b"question\tanswer\nWhy?\tSo.\n", "separated values (TSV) with 2 columns"),
        (b"\n".join(LINES).decode().encode("utf-16-le"), "text in UTF-16"),
        (b"\n".join(LINES).decode().encode("utf-16-be"), "text in UTF-16"),
        (b"\n".join(LINES).decode().encode("utf-32-le"), "text in UTF-32"),
        (b"<!DOCTYPE html><html></html>", "a page of HTML or XML"),
        (b'<?xml version="1.0"?><rows/>', "a page of XML"),
        (b"\n".join(b"Why %d?" % n for n in range(60)), "text: none of its first 60 lines is JSON"),
        (b"\n".join(line + b"," for line in LINES), "text: none of its first 90 lines is JSON"),
    ],
)
def test_a_file_in_another_shape_is_named(data: bytes, found: str) -> None:
    assert shape_of(data) == found
    assert shape_of(b"\xef\xbb\xbf" + data) == found or "UTF" in found


@pytest.mark.parametrize(
    "data",
    [
        b"\n".join(LINES),
        b"\n" * 100 + b"\n".join(LINES),
        b"\n".join([b"broken", *LINES]),
        b"\n".join([b'{"messages": [', *LINES]),
        b"\n".join([b"question,answer", *LINES]),
        b"\n".join(line.replace(b"So.", b"\xe9") for line in LINES),
        b"\n".join(line.replace(b'"So."', b"NaN") for line in LINES),
        json.dumps([{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}] * 3000).encode(),
        b"[]\n" + b"\n".join(LINES),
        b"\n".join([b'{"messages": [], "n": ' + b"9" * 10_000 + b"}", *LINES]),  # more digits than Python reads
        b"",
        b"\n\n",
        json.dumps({"messages": [{"role": "user", "content": "x" * 100_000}]}).encode() + b"\n" + LINES[0],
    ],
)
def test_rows_with_faults_are_still_rows(data: bytes) -> None:
    assert shape_of(data) == ""


@pytest.mark.parametrize(
    ("row", "names"),
    [
        (
            {"conversations": [{"from": "human", "value": ""}]},
            ["ShareGPT", "conversations", "from", "value", "human", "gpt", "messages"],
        ),
        ({"instruction": "", "input": "", "output": ""}, ["Alpaca", "instruction", "input", "output", "messages"]),
        ({"prompt": "", "completion": ""}, ["prompt", "completion", "messages"]),
        ({"Question": "", "Answer": ""}, ["Question", "Answer", "messages"]),
        ({"text": ""}, ["plain text", "messages"]),
    ],
)
def test_a_row_in_another_format_says_how_it_becomes_messages(row: dict[str, Any], names: list[str]) -> None:
    found = row_shape(row)
    assert found is not None
    assert [name for name in names if name not in found.fix] == []


def test_a_row_with_a_million_fields_is_looked_at_for_a_moment_only() -> None:
    asked: list[str] = []

    class Fields(dict[str, Any]):
        def __iter__(self) -> Iterator[str]:
            for name in super().__iter__():
                asked.append(name)
                yield name

    assert row_shape(Fields.fromkeys(f"field {number}" for number in range(1_000_000))) is None
    assert len(asked) < 100
