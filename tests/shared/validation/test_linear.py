"""What a stranger writes into a row costs time in proportion to its length: no row can hold up a worker.

Work is counted where it can be: a pattern that is quadratic takes hours for these texts, so a process that has minutes
tells them apart without looking at a clock.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from shared.validation.meaning import SECRETS
from shared.validation.policy import Policy

LONGEST = Policy().max_line_bytes
PIECES = [
    "eyJ-", "eyJaaaaaaaaaa-", "eyJaaaaaaaaaa.", "eyJaaaaaaaaaa.eyJ", "a.eyJ", "_eyJ", "eyJ\u00e9-",
    "sk-", "sk-a-", "sk-aaaa-", "-----BEGIN ", "-----BEGIN A ", "-----BEGIN RSA PRIVATE ", "AKIA", "AKIAA",
    "AccountKey=", "AccountKey=a", "ghp_", "ghp_a", "github_pat_", "github_pat_a-", "xoxb-", "xoxb-a", "hf_", "hf_a_",
    "hf_a", "AIza", "AIza-", "<|", "<|im_start|", "[INST", "<<SYS>", "ha", "-=", "\x01", "ab\x02", "\u200b", " ",
]  # fmt: skip
PROGRAM = """
import json, sys
from shared.validation import Policy, Source, freeze
import io
for piece in json.load(sys.stdin):
    text = piece * (%d // len(piece.encode()))
    for asked, answered in (("x", text), (text, "x")):
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        data = json.dumps({"messages": turns}, ensure_ascii=False).encode() + b"\\n"
        freeze([Source(path="data.jsonl", open=lambda: io.BytesIO(data), size=len(data))], Policy())
print("done")
"""


def run(program: str, given: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(given), capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_no_text_of_the_longest_row_holds_up_its_checks() -> None:
    size = LONGEST // 8
    assert run(PROGRAM % size, PIECES) == "done"


def test_each_kind_of_secret_is_tried() -> None:
    assert len(SECRETS) >= 8


ROWS: dict[str, Callable[[int], str]] = {
    "fields": lambda n: "{" + ", ".join(f'"f{at}": 1' for at in range(n)) + "}",
    "a field twice, at the end": lambda n: "{" + ", ".join(f'"f{at}": 1' for at in range(n)) + ', "f0": 2}',
    "fields like messages": lambda n: "{" + ", ".join(f'"message{at}": 1' for at in range(n)) + "}",
    "parts": lambda n: json.dumps({"messages": [{"role": "user", "content": [{"type": f"t{at}"} for at in range(n)]}]}),
    "a role": lambda n: json.dumps({"messages": [{"role": "user" * n, "content": "x"}]}),
    "weights": lambda n: json.dumps({"messages": [{"role": "user", "content": "x", "weight": [[0]] * n}]}),
    "brackets in a text": lambda n: json.dumps({"messages": "[{" * n}),
    "backslashes": lambda n: '{"messages": "' + "\\\\" * n + "}",
    "escapes cut off": lambda n: '{"messages": "' + "\\u00" * n,
    "surrogates": lambda n: '{"messages": "' + "\\ud800" * n + '"}',
    "numbers": lambda n: '{"messages": ' + "1" * n + "}",
    "exponents": lambda n: '{"messages": [' + "1e400," * n + "1]}",
    "commas": lambda n: '{"messages": [' + "," * n,
}


@pytest.mark.parametrize("name", ROWS)
def test_no_shape_of_the_longest_row_holds_up_reading(name: str) -> None:
    row = ROWS[name](LONGEST // 80)
    program = """
import io, json, sys
from shared.validation import Policy, Source, freeze
data = (json.load(sys.stdin) + "\\n").encode()
good = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n'
whole = good + data
report = freeze([Source(path="data.jsonl", open=lambda: io.BytesIO(whole), size=len(whole))], Policy()).report
print(report.bad_rows)
"""
    assert run(program, row) == "1"


def test_a_million_blank_lines_are_counted_at_once() -> None:
    program = """
import gzip, io, json, sys
from shared.validation import Policy, Source, freeze
good = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n'
data = gzip.compress(good + b"\\n" * int(json.load(sys.stdin)))
report = freeze([Source(path="data.jsonl.gz", open=lambda: io.BytesIO(data), size=len(data))], Policy()).report
print(report.blank_lines, report.rows)
"""
    assert run(program, 30_000_000) == "30000000 1"


GZIPS = {
    "a long name in the header": lambda data, n: data[:3] + b"\x08" + data[4:10] + b"n" * n + b"\0" + data[10:],
    "a long comment in a later header": lambda data, n: data + data[:3] + b"\x10" + data[4:10] + b"c" * n,
    "zeros behind the data": lambda data, n: data + bytes(n),
}


@pytest.mark.parametrize("name", GZIPS)
def test_what_gzip_reads_byte_by_byte_is_bounded(name: str) -> None:
    program = """
import io, json, sys
from shared.validation import Policy, Source, freeze
data = json.load(sys.stdin).encode("latin-1")
report = freeze([Source(path="data.jsonl.gz", open=lambda: io.BytesIO(data), size=len(data))], Policy()).report
print(report.findings[0].rule)
"""
    row = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    assert run(program, GZIPS[name](gzip.compress(row), 6_000_000).decode("latin-1")) == "file-unreadable"
