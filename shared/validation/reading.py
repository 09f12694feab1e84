"""The rows of one file, whatever its format, and what is wrong with the file as a whole.

`FileFault` ends the reading of a file; rows before it have been given. Errors of the caller's own file
object, and of the heartbeat, come through unchanged: they are not the data's fault.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from shared.validation.decoding import decode, quotes_agree
from shared.validation.lines import lines_of, owned
from shared.validation.parts import Part
from shared.validation.policy import Policy
from shared.validation.problems import Problem
from shared.validation.rules import RULES
from shared.validation.sources import Watched
from shared.validation.turns import Dialogue, Turns

_EXPANSION_FROM = 64 * 2**20
_KNOWN_COLUMNS = 1000
_TELLING = 16  # bytes that tell any format
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
    problems: Sequence[Problem]
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
    """Counts the bytes of a part after decompression, and stops at the limits."""

    def __init__(self, policy: Policy, room: int) -> None:
        self._policy, self._room = policy, room
        self.bytes_out = 0

    def add(self, size: int, stored: int) -> None:
        """Count `size` more bytes; up to now the file has given all of them from `stored` ones."""
        self.bytes_out += size
        if self.bytes_out > self._room:
            raise FileFault("too-large", "more bytes than allowed", f"at most {self._policy.max_total_bytes} bytes")
        check_expansion(self.bytes_out, stored, self._policy)


def check_expansion(size: int, stored: int, policy: Policy) -> None:
    """Raise if so many bytes are out of proportion to the stored ones they came from."""
    if size > _EXPANSION_FROM and size > policy.max_expansion * stored:
        found = f"{size} bytes from {stored}"
        raise FileFault("file-expands", found, f"at most {policy.max_expansion:g} times the stored size")


def rows_of(part: Part, file: Watched, turns: Turns, policy: Policy, meter: Meter) -> Iterator[Row | None]:
    """Rows of a part; None for each blank line."""
    if part.source.known_format == "parquet":
        from shared.validation.parquet import parquet_rows

        return parquet_rows(part, file, turns, policy, meter)
    return _jsonl_rows(part, file, turns, policy, meter)


def _jsonl_rows(part: Part, file: Watched, turns: Turns, policy: Policy, meter: Meter) -> Iterator[Row | None]:
    zipped = part.source.known_format == "jsonl.gz"
    read = _unzipped(file, meter) if zipped else _plain(part, file, meter)
    loads, glance, is_plain = orjson.loads, turns.glance, _Plain().is_plain
    for number, offset, length, line in lines_of(owned(read, part.start, part.end), policy.max_line_bytes):
        if line is None:
            yield Row(number, offset, None, None, [too_long(length, policy)], None)
            continue
        try:
            value = loads(line)
            dialogue = glance(value["messages"])
        except (orjson.JSONDecodeError, TypeError, KeyError, IndexError):
            value = dialogue = None
        if dialogue is not None and is_plain(value, dialogue, line):
            yield Row(number, offset, value, dialogue, (), line)
        elif not line.strip():
            yield None
        else:
            yield _careful_row(number, offset, line, turns, policy)


class _Plain:
    """Tells whether a row's line holds just what its value shows: see `quotes_agree`. Remembers the columns it saw."""

    def __init__(self) -> None:
        self._quotes: dict[tuple[str, ...], int] = {}

    def is_plain(self, row: dict[str, Any], dialogue: Dialogue, line: bytes) -> bool:
        strings = len(row) + 4 * len(dialogue.roles)
        columns = tuple(row)
        inner = self._quotes.get(columns)
        if inner is None:
            inner = self._learn(columns)
        inner += dialogue.text.count('"')
        if len(row) > 1:
            lists = 0
            for value in row.values():
                kind = type(value)
                if kind is str:
                    strings += 1
                    inner += value.count('"')
                elif kind is dict or kind is list:
                    lists += 1
            if lists > 1:  # messages is one
                return False
        return quotes_agree(line, strings, inner)

    def _learn(self, columns: tuple[str, ...]) -> int:
        inner = sum(name.count('"') for name in columns)
        if len(self._quotes) < _KNOWN_COLUMNS:
            self._quotes[columns] = inner
        return inner


def _careful_row(number: int, offset: int, line: bytes, turns: Turns, policy: Policy) -> Row:
    value, problems = decode(line, policy.max_depth)
    dialogue: Dialogue | None = None
    if not is_bad(problems):
        dialogue, further = turns.examine(value)
        problems = problems + further
    return Row(number, offset, value, dialogue, problems, line)


def too_long(length: int, policy: Policy) -> Problem:
    """The problem of a row of so many bytes."""
    return Problem("row-too-long", None, f"{length} bytes", f"at most {policy.max_line_bytes} bytes")


def _plain(part: Part, file: Watched, meter: Meter) -> Callable[[int], bytes]:
    start, end = part.start, part.end
    at = max(0, start - 1)
    if start:
        file.seek(at)
    first = b""

    def read(size: int) -> bytes:
        nonlocal at, first
        data = file.read(size)
        if start == 0 and len(first) < _TELLING:
            first += data[:_TELLING]
            sniff(first, "JSONL")
        before, at = at, at + len(data)
        own = max(0, (at if end is None else min(at, end)) - max(before, start))
        meter.add(own, meter.bytes_out + own)
        return data

    return read


def _unzipped(file: Watched, meter: Meter) -> Callable[[int], bytes]:
    unzipped = gzip.GzipFile(fileobj=file, mode="rb")
    first = b""

    def read(size: int) -> bytes:
        nonlocal first
        try:
            data = unzipped.read1(size)  # read would lose what came before the damage
        except (EOFError, zlib.error, gzip.BadGzipFile) as damage:
            file.raise_failure()
            if not b"\x1f\x8b".startswith(file.start[:2]):
                sniff(file.start + file.read(_TELLING), "gzip")
                raise FileFault("file-format", f"bytes {file.start[:2].hex(' ')}", "gzip (bytes 1f 8b)") from damage
            raise FileFault("file-unreadable", str(damage)[:120].rstrip("."), "a whole gzip file") from damage
        if len(first) < _TELLING:  # the first member may hold a few bytes only
            first += data[:_TELLING]
            sniff(first, "JSONL")
        meter.add(len(data), max(file.bytes_read, 1))
        return data

    return read
