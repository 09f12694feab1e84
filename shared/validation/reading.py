"""The rows of one file, whatever its format, and what is wrong with the file as a whole.

`FileFault` ends the reading of a file; rows before it have been given. Errors of the caller's own file
object, and of the heartbeat, come through unchanged: they are not the data's fault.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from shared.validation.decoding import decode, quotes_agree
from shared.validation.lines import lines_of
from shared.validation.policy import Policy
from shared.validation.problems import Problem
from shared.validation.rules import RULES
from shared.validation.sources import Source, Watched
from shared.validation.turns import Dialogue, Turns

_EXPANSION_FROM = 64 * 2**20
_MAGIC = (
    (b"PAR1", "parquet"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"ARROW1", "an Arrow file"),
)


class Row(NamedTuple):
    """One row as read: its dialogue if it is good, and its problems (errors or warnings) if it has some."""

    number: int
    offset: int | None
    value: Any
    dialogue: Dialogue | None
    problems: list[Problem]
    content: bytes | None


class FileFault(Exception):
    """Something is wrong with the file as a whole; reading it ends here."""

    def __init__(self, rule: str, found: str, expected: str) -> None:
        super().__init__(f"{rule}: {found}")
        self.rule, self.found, self.expected = rule, found, expected


def is_bad(problems: list[Problem]) -> bool:
    """Whether one of them is an error."""
    return any(RULES[problem.rule].severity == "error" for problem in problems)


def sniff(start: bytes, expected: str) -> None:
    """Raise if the first bytes of a file are those of some other format."""
    for magic, name in _MAGIC:
        if start.startswith(magic) and name != expected:
            raise FileFault("file-format", name, expected)


class Meter:
    """Counts the bytes of all files after decompression, and stops at the limits."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.bytes_out = 0

    def add(self, size: int, file_bytes: int, stored: int) -> None:
        """Count `size` more bytes of a file that has given `file_bytes` from `stored` ones."""
        self.bytes_out += size
        if self.bytes_out > self._policy.max_total_bytes:
            raise FileFault("too-large", "more bytes than allowed", f"at most {self._policy.max_total_bytes} bytes")
        if file_bytes > _EXPANSION_FROM and file_bytes > self._policy.max_expansion * stored:
            found = f"{file_bytes} bytes from {stored}"
            raise FileFault("file-expands", found, f"at most {self._policy.max_expansion:g} times the stored size")


def jsonl_rows(source: Source, file: Watched, turns: Turns, policy: Policy, meter: Meter) -> Iterator[Row | None]:
    """Rows of a JSONL file, gzipped or not; None for each blank line."""
    read = _plain(file, meter) if source.known_format == "jsonl" else _unzipped(source, file, meter)
    loads = orjson.loads
    for number, offset, length, line in lines_of(read, policy.max_line_bytes):
        if line is None:
            yield Row(number, offset, None, None, [_too_long(length, policy)], None)
            continue
        try:
            value = loads(line)
            dialogue = turns.glance(value["messages"])
        except (orjson.JSONDecodeError, TypeError, KeyError, IndexError):
            value = dialogue = None
        if dialogue is not None and _is_plain(value, dialogue, line):
            yield Row(number, offset, value, dialogue, [], line)
        elif not line.strip():
            yield None
        else:
            yield _careful_row(number, offset, line, turns, policy)


def _is_plain(row: dict[str, Any], dialogue: Dialogue, line: bytes) -> bool:
    """Whether the row's line holds just what its value shows: see `quotes_agree`."""
    strings = len(row) + 4 * len(dialogue.turns)
    inner = dialogue.text.count('"')
    if len(row) > 1:
        for name, value in row.items():
            inner += name.count('"')
            if type(value) is str:
                strings += 1
                inner += value.count('"')
            elif isinstance(value, dict | list) and name != "messages":
                return False
    return quotes_agree(line, strings, inner)


def _careful_row(number: int, offset: int, line: bytes, turns: Turns, policy: Policy) -> Row:
    value, problems = decode(line, policy.max_depth)
    dialogue: Dialogue | None = None
    if not is_bad(problems):
        dialogue, further = turns.examine(value)
        problems = problems + further
    return Row(number, offset, value, dialogue, problems, line)


def _too_long(length: int, policy: Policy) -> Problem:
    return Problem("row-too-long", None, f"{length} bytes", f"at most {policy.max_line_bytes} bytes")


def _plain(file: Watched, meter: Meter) -> Callable[[int], bytes]:
    first = True

    def read(size: int) -> bytes:
        nonlocal first
        data = file.read(size)
        if first:
            first = False
            sniff(data, "JSONL")
        meter.add(len(data), file.bytes_read, file.bytes_read)
        return data

    return read


def _unzipped(source: Source, file: Watched, meter: Meter) -> Callable[[int], bytes]:
    unzipped = gzip.GzipFile(fileobj=file, mode="rb")
    given = 0

    def read(size: int) -> bytes:
        nonlocal given
        try:
            data = unzipped.read1(size)  # read would lose what came before the damage
        except (EOFError, zlib.error, gzip.BadGzipFile) as damage:
            file.raise_failure()
            rule = "file-format" if given == 0 and isinstance(damage, gzip.BadGzipFile) else "file-unreadable"
            raise FileFault(rule, str(damage)[:120], "gzip") from damage
        if given == 0:
            sniff(data, "JSONL")
        given += len(data)
        meter.add(len(data), given, max(file.bytes_read, 1))
        return data

    return read
