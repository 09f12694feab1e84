"""An example of each rule, for docs/validation-rules.md and for a test, which runs every one of them.

`LINES` has a JSONL line (or two) that breaks the rule and nothing else. What one line cannot show is in `EXAMPLES`:
whole files, and the limits under which they break it. Files are made when asked for, because parquet needs pyarrow.
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
class RuleExample:
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


def _weighted(*weights: int) -> bytes:
    """A dialogue with an answer of each weight."""
    turns: list[dict[str, Any]] = []
    for at, weight in enumerate(weights):
        turns.append({"role": "user", "content": f"What is {at} - 1?"})
        turns.append({"role": "assistant", "content": f"It is {at - 1}.", "weight": weight})
    return json.dumps({"messages": turns}).encode() + b"\n"


_U, _A, _S = ("user", "Hi"), ("assistant", "Hello."), ("system", "Be kind.")

EXAMPLES: dict[str, RuleExample] = {
    "no-files": RuleExample("a folder with nothing but its `_SUCCESS`", lambda: []),
    "file-extension": RuleExample("`data.csv`", lambda: [("data.csv", b"question,answer\n")]),
    "double-extension": RuleExample("`data.csv.jsonl`", lambda: [("data.csv.jsonl", _good())]),
    "file-empty": RuleExample("`data.jsonl` of 0 bytes", lambda: [("data.jsonl", b"")], {"min_rows": 3}),
    "file-format": RuleExample(
        "`data.jsonl` that starts with the bytes of a PNG image", lambda: [("data.jsonl", b"\x89PNG\r\n\x1a\n")]
    ),
    "row-format": RuleExample(
        '`data.jsonl` with rows such as `{"instruction": "Add 1 to 2.", "output": "3"}`',
        lambda: [
            (
                "data.jsonl",
                b"".join(b'{"instruction": "Add 1 to %d.", "output": "%d"}\n' % (n, n + 1) for n in range(30)),
            )
        ],
    ),
    "file-unreadable": RuleExample(
        "`data.jsonl.gz` whose upload ended half-way",
        lambda: [("data.jsonl.gz", gzip.compress(rows(0, 2000), 1)[:-2000])],
    ),
    "file-expands": RuleExample(
        "`data.jsonl.gz` of 70 KB that holds 70 MB of blanks",
        lambda: [("data.jsonl.gz", gzip.compress(_good() + b" " * (70 * 2**20)))],
        {"max_line_bytes": 2**20},
    ),
    "too-large": RuleExample("2 KB where 1 KB is allowed", lambda: [("data.jsonl", _good())], {"max_file_bytes": 1000}),
    "too-many-rows": RuleExample("30 rows where 25 are allowed", lambda: [("data.jsonl", _good())], {"max_rows": 25}),
    "too-many-bad-rows": RuleExample(
        "6 rows that are no JSON, where 5 are read", lambda: [("data.jsonl", _good() + b"{\n" * 6)], {"max_bad_rows": 2}
    ),
    "too-few-rows": RuleExample("30 rows where 40 are needed", lambda: [("data.jsonl", _good())], {"min_rows": 40}),
    "no-train-split": RuleExample("a folder with `test.jsonl` only", lambda: [("test.jsonl", _good())]),
    "split-unknown": RuleExample(
        "a folder with `train.jsonl` and `tset.jsonl`",
        lambda: [("train.jsonl", _good()), ("tset.jsonl", rows(30, 40))],
    ),
    "no-train-rows": RuleExample(
        "a `train.jsonl` that holds nothing but the rows of `test.jsonl`",
        lambda: [("train.jsonl", rows(0, 3)), ("test.jsonl", _good())],
    ),
    "too-few-train-rows": RuleExample(
        "a `train.jsonl` of 9 rows beside a `test.jsonl` of 30",
        lambda: [("train.jsonl", rows(30, 39)), ("test.jsonl", _good())],
        {"min_train_rows": 10},
    ),
    "messages-column-missing": RuleExample(
        "`data.parquet` with the columns `question` and `answer`",
        lambda: [("data.parquet", _parquet(question=["Hi"] * 30, answer=["Hello."] * 30))],
    ),
    "messages-column-type": RuleExample(
        "`data.parquet` whose column `messages` holds JSON as text",
        lambda: [("data.parquet", _parquet(messages=["[]"] * 30))],
    ),
    "mixed-columns": RuleExample(
        "`train-0.jsonl` without, `train-1.jsonl` with a field `topic`",
        lambda: [("train-0.jsonl", _good()), ("train-1.jsonl", rows(30, 40, topic="sums"))],
    ),
    "row-too-long": RuleExample(
        "a row of 2 KB where 1 KB is allowed",
        lambda: [("data.jsonl", _good() + dialogue(_U, ("assistant", "ha" * 1000)))],
        {"max_line_bytes": 1000, "meaning": False},
    ),
    "too-many-messages": RuleExample(
        "6 turns where 4 are allowed",
        lambda: [("data.jsonl", _good() + dialogue(*(_U, _A) * 3))],
        {"max_messages": 4},
    ),
    "system-rejected": RuleExample(
        "a system turn where the operator refuses them",
        lambda: [("data.jsonl", _good() + dialogue(_S, _U, _A))],
        {"system_turns": "reject"},
    ),
    "system-dropped": RuleExample(
        "a system turn for Phi-3",
        lambda: [("data.jsonl", _good() + dialogue(_S, _U, _A))],
        {"roles": ("user", "assistant")},
    ),
    "tool-misplaced": RuleExample(
        "a tool turn right after the question, for Llama 3.1",
        lambda: [("data.jsonl", _good() + dialogue(_U, ("tool", "42"), _A))],
        {"roles": ("system", "user", "assistant", "tool")},
    ),
    "weight-zero": RuleExample(
        "a second answer of weight 0",
        lambda: [("data.jsonl", _good() + _weighted(1, 0))],
    ),
    "no-weighted-answer": RuleExample(
        "answers of weight 0 only",
        lambda: [("data.jsonl", _good() + _weighted(0, 0))],
    ),
    "leaked-row": RuleExample(
        "a dialogue of `test.jsonl` that is in `train.jsonl` too",
        lambda: [("train.jsonl", _good()), ("test.jsonl", rows(29, 40))],
    ),
    "identical-answers": RuleExample(
        "30 different questions, each answered by “I cannot help.”",
        lambda: [("data.jsonl", rows(0, 30, answer="I cannot help."))],
    ),
}


def _turns(*turns: str) -> bytes:
    return ('{"messages": [' + ", ".join(turns) + "]}").encode()


_ASK = '{"role": "user", "content": "Hi"}'
_ANSWER = '{"role": "assistant", "content": "Hello."}'
_LONG = " ".join(f"Word {number}." for number in range(1800))

LINES: dict[str, bytes] = {
    "invalid-json": b'{"messages": [],}',
    "invalid-utf8": b'{"messages": [{"role": "user", "content": "caf\xe9"}]}',
    "byte-order-mark": b'\xef\xbb\xbf{"messages": [' + _ASK.encode() + b", " + _ANSWER.encode() + b"]}",
    "not-a-number": b'{"score": NaN, "messages": [' + _ASK.encode() + b", " + _ANSWER.encode() + b"]}",
    "repeated-key": _turns('{"role": "user", "content": "Hi", "content": "Ho"}', _ANSWER),
    "lone-surrogate": _turns('{"role": "user", "content": "\\ud83d"}', _ANSWER),
    "not-an-object": b'["Hi", "Hello."]',
    "nesting-too-deep": b'{"extra": ' + b"[" * 40 + b"]" * 40 + b', "messages": []}',
    "messages-missing": b'{"prompt": "Hi"}',
    "messages-not-list": b'{"messages": "Hi"}',
    "messages-empty": b'{"messages": []}',
    "message-not-object": _turns('"Hi"', _ANSWER),
    "role-missing": _turns('{"content": "Hi"}', _ANSWER),
    "role-not-text": _turns('{"role": 7, "content": "Hi"}', _ANSWER),
    "role-unknown": _turns('{"role": "human", "content": "Hi"}', _ANSWER),
    "role-tool": _turns(_ASK, '{"role": "tool", "content": "42"}', _ANSWER),
    "tool-calls": _turns(_ASK, '{"role": "assistant", "content": "Wait.", "tool_calls": [{"id": "1"}]}'),
    "system-not-first": _turns(_ASK, '{"role": "system", "content": "Be kind."}', _ANSWER),
    "first-not-user": _turns(_ANSWER, _ASK, _ANSWER),
    "role-repeated": _turns(_ASK, _ASK, _ANSWER),
    "last-not-assistant": _turns(_ASK, _ANSWER, _ASK),
    "no-assistant": _turns(_ASK),
    "content-missing": _turns('{"role": "user"}', _ANSWER),
    "content-null": _turns('{"role": "user", "content": null}', _ANSWER),
    "content-multimodal": _turns('{"role": "user", "content": [{"type": "text", "text": "Hi"}]}', _ANSWER),
    "content-not-text": _turns('{"role": "user", "content": 42}', _ANSWER),
    "content-empty": _turns('{"role": "user", "content": ""}', _ANSWER),
    "content-blank": _turns('{"role": "user", "content": " \\n"}', _ANSWER),
    "content-nul": _turns('{"role": "user", "content": "Hi\\u0000"}', _ANSWER),
    "weight-invalid": _turns(_ASK, '{"role": "assistant", "content": "Hello.", "weight": 0.5}'),
    "duplicate-row": _turns(_ASK, _ANSWER) + b"\n" + _turns(_ASK, _ANSWER),
    "prompt-differs": b'{"prompt": "Ho", "messages": [' + _ASK.encode() + b", " + _ANSWER.encode() + b"]}",
    "prompt-id-repeated": b'{"prompt_id": "a", "messages": ['
    + _ASK.encode()
    + b", "
    + _ANSWER.encode()
    + b']}\n{"prompt_id": "a", "messages": ['
    + _ASK.encode()
    + b', {"role": "assistant", "content": "Ho."}]}',
    "longer-than-context": _turns(_ASK, '{"role": "assistant", "content": "' + _LONG + '"}'),
    "template-marker": _turns(_ASK, '{"role": "assistant", "content": "Hello.<|end|>"}'),
    "control-character": _turns('{"role": "user", "content": "Hi\\u001b[0m"}', _ANSWER),
    "likely-secret": _turns(_ASK, '{"role": "assistant", "content": "Use AKIA' + "IOSFODNN7EXAMPLE" + '."}'),
    "repetitive-answer": _turns(_ASK, '{"role": "assistant", "content": "Well. ' + "and so on and on " * 40 + '"}'),
}
