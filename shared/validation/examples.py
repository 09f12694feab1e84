"""An example of each rule that one line cannot show: whole files, and the limits under which they break it.

For the page, which says in words what is wrong, and for a test, which runs every one of them. Files are made when asked
for, because parquet needs pyarrow. Rules about rows carry their example themselves (`Rule.example`).
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Files = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Example:
    """Files that break one rule and no other."""

    told: str
    files: Callable[[], Files]
    limits: Mapping[str, Any] = field(default_factory=dict)


def rows(first: int, end: int, answer: str = "", **extra: Any) -> bytes:
    """Good rows, one for each number."""
    return b"".join(_row(number, answer, extra) for number in range(first, end))


def _row(number: int, answer: str, extra: dict[str, Any]) -> bytes:
    return dialogue(("user", f"What is {number} + 1?"), ("assistant", answer or f"It is {number + 1}."), **extra)


def dialogue(*turns: tuple[str, str], **extra: Any) -> bytes:
    """One row of these turns."""
    messages = [{"role": role, "content": content} for role, content in turns]
    return json.dumps({**extra, "messages": messages}).encode() + b"\n"


def _parquet(**columns: list[Any]) -> bytes:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def _good() -> bytes:
    return rows(0, 30)


_U, _A, _S = ("user", "Hi"), ("assistant", "Hello."), ("system", "Be kind.")

EXAMPLES: dict[str, Example] = {
    "no-files": Example("a folder with nothing but its `_SUCCESS`", lambda: []),
    "file-extension": Example("`data.csv`", lambda: [("data.csv", b"question,answer\n")]),
    "double-extension": Example("`data.csv.jsonl`", lambda: [("data.csv.jsonl", _good())]),
    "file-empty": Example("`data.jsonl` of 0 bytes", lambda: [("data.jsonl", b"")], {"min_rows": 3}),
    "file-format": Example(
        "`data.jsonl` that starts with the bytes of a PNG image", lambda: [("data.jsonl", b"\x89PNG\r\n\x1a\n")]
    ),
    "file-unreadable": Example(
        "`data.jsonl.gz` whose upload ended half-way",
        lambda: [("data.jsonl.gz", gzip.compress(rows(0, 2000), 1)[:-2000])],
    ),
    "file-expands": Example(
        "`data.jsonl.gz` of 70 KB that holds 70 MB of blanks",
        lambda: [("data.jsonl.gz", gzip.compress(_good() + b" " * (70 * 2**20)))],
        {"max_line_bytes": 2**20},
    ),
    "too-large": Example("2 KB where 1 KB is allowed", lambda: [("data.jsonl", _good())], {"max_file_bytes": 1000}),
    "too-many-rows": Example("30 rows where 25 are allowed", lambda: [("data.jsonl", _good())], {"max_rows": 25}),
    "too-few-rows": Example("30 rows where 40 are needed", lambda: [("data.jsonl", _good())], {"min_rows": 40}),
    "no-train-split": Example("a folder with `test.jsonl` only", lambda: [("test.jsonl", _good())]),
    "split-unknown": Example(
        "a folder with `train.jsonl` and `tset.jsonl`",
        lambda: [("train.jsonl", _good()), ("tset.jsonl", rows(30, 40))],
    ),
    "no-train-rows": Example(
        "a `train.jsonl` that holds nothing but the rows of `test.jsonl`",
        lambda: [("train.jsonl", rows(0, 3)), ("test.jsonl", _good())],
    ),
    "messages-column-missing": Example(
        "`data.parquet` with the columns `question` and `answer`",
        lambda: [("data.parquet", _parquet(question=["Hi"] * 30, answer=["Hello."] * 30))],
    ),
    "messages-column-type": Example(
        "`data.parquet` whose column `messages` holds JSON as text",
        lambda: [("data.parquet", _parquet(messages=["[]"] * 30))],
    ),
    "mixed-columns": Example(
        "`train-0.jsonl` without, `train-1.jsonl` with a field `topic`",
        lambda: [("train-0.jsonl", _good()), ("train-1.jsonl", rows(30, 40, topic="sums"))],
    ),
    "row-too-long": Example(
        "a row of 2 KB where 1 KB is allowed",
        lambda: [("data.jsonl", _good() + dialogue(_U, ("assistant", "ha" * 1000)))],
        {"max_line_bytes": 1000, "meaning": False},
    ),
    "too-many-messages": Example(
        "6 turns where 4 are allowed",
        lambda: [("data.jsonl", _good() + dialogue(*(_U, _A) * 3))],
        {"max_messages": 4},
    ),
    "system-rejected": Example(
        "a system turn where the operator refuses them",
        lambda: [("data.jsonl", _good() + dialogue(_S, _U, _A))],
        {"system_turns": "reject"},
    ),
    "system-dropped": Example(
        "a system turn for Phi-3",
        lambda: [("data.jsonl", _good() + dialogue(_S, _U, _A))],
        {"roles": ("user", "assistant")},
    ),
    "tool-misplaced": Example(
        "a tool turn right after the question, for Llama 3.1",
        lambda: [("data.jsonl", _good() + dialogue(_U, ("tool", "42"), _A))],
        {"roles": ("system", "user", "assistant", "tool")},
    ),
    "leaked-row": Example(
        "a dialogue of `test.jsonl` that is in `train.jsonl` too",
        lambda: [("train.jsonl", _good()), ("test.jsonl", rows(29, 40))],
    ),
    "identical-answers": Example(
        "30 different questions, each answered by “I cannot help.”",
        lambda: [("data.jsonl", rows(0, 30, answer="I cannot help."))],
    ),
}
