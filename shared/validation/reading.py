"""The rows of one file, whatever its format, and what is wrong with the file as a whole.

`FileFault` ends the reading of a file; rows before it have been given. Errors of the caller's own file
object, and of the heartbeat, come through unchanged: they are not the data's fault.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from shared.validation import scan
from shared.validation.decoding import QUOTE, decode, has_null_in_list, measure, quotes_agree
from shared.validation.lines import LongLine, Run, owned, runs_of
from shared.validation.parts import Part
from shared.validation.policy import Policy
from shared.validation.problems import Problem
from shared.validation.rules import RULES
from shared.validation.sources import Watched
from shared.validation.turns import Dialogue, Dialogues, Turns

_EXPANSION_FROM = 64 * 2**20
FEW = 8  # rows that are read one by one when one of them needs a closer look
_TELLING = 16  # bytes that tell any format
_ROLE, _CONTENT = itemgetter("role"), itemgetter("content")
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


@dataclass(frozen=True, slots=True)
class Batch:
    """Good rows that follow each other, by column."""

    number: int
    """Of the first."""
    offsets: Sequence[int | None]
    dialogues: Dialogues
    columns: Sequence[tuple[str, ...]]
    prompts: Sequence[Any]
    prompt_ids: Sequence[Any]

    def __len__(self) -> int:
        return len(self.columns)

    def head(self, count: int) -> Batch:
        """The first rows."""
        columns, prompts, prompt_ids = (column[:count] for column in (self.columns, self.prompts, self.prompt_ids))
        return Batch(self.number, self.offsets[:count], self.dialogues.head(count), columns, prompts, prompt_ids)


class Row(NamedTuple):
    """One row as read: its dialogue if it is good, and its problems (errors or warnings) if it has some."""

    number: int
    offset: int | None
    value: Any
    dialogue: Dialogue | None
    problems: Sequence[Problem]
    content: bytes | None

    def as_batch(self) -> Batch:
        """A good row by itself."""
        assert self.dialogue is not None
        value, offsets = self.value, [self.offset]
        dialogues = self.dialogue.alone()
        return Batch(self.number, offsets, dialogues, [tuple(value)], [value.get("prompt")], [value.get("prompt_id")])


type Rows = Batch | Row | None
"""Many rows, or one that needed a closer look, or a blank line."""


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


def rows_of(part: Part, file: Watched, turns: Turns, policy: Policy, meter: Meter) -> Iterator[Rows]:
    """Rows of a part, in their order."""
    if part.source.known_format == "parquet":
        from shared.validation.parquet import parquet_rows

        return parquet_rows(part, file, turns, policy, meter)
    return _jsonl_rows(part, file, turns, policy, meter)


def _jsonl_rows(part: Part, file: Watched, turns: Turns, policy: Policy, meter: Meter) -> Iterator[Rows]:
    zipped = part.source.known_format == "jsonl.gz"
    read = _unzipped(file, meter) if zipped else _plain(part, file, meter)
    for run in runs_of(owned(read, part.start, part.end), policy.max_line_bytes):
        if isinstance(run, LongLine):
            yield Row(run.number, run.offset, None, None, [too_long(run.length, policy)], None)
        else:
            yield from _rows_of_run(run, turns, policy)


def _rows_of_run(run: Run, turns: Turns, policy: Policy) -> Iterator[Rows]:
    """All at once if they are plainly good, else a few at once, else each by itself."""
    batch = _batch_of(run, turns, policy)
    if batch is not None:
        yield batch
    elif len(run.starts) > FEW:
        for few in run.cut(FEW):
            yield from _rows_of_run(few, turns, policy)
    else:
        for number, (offset, line) in enumerate(zip(run.offsets, run.lines(), strict=True), run.number):
            yield _careful_row(number, offset, line, turns, policy)


def _batch_of(run: Run, turns: Turns, policy: Policy) -> Batch | None:
    """The rows of a run, if all are plainly good; None says nothing."""
    if len(run.whole) > policy.max_line_bytes and max(map(len, run.lines())) > policy.max_line_bytes:
        return None
    try:
        values = _values_of(run)
        messages = [value["messages"] for value in values]
        spoken = list(chain.from_iterable(messages))
        roles, contents = list(map(_ROLE, spoken)), list(map(_CONTENT, spoken))
    except (ValueError, TypeError, KeyError):
        return None
    if set(map(type, messages)) != {list} or set(map(len, spoken)) != {2}:
        return None
    dialogues = turns.glance(roles, contents, list(map(len, messages)))
    if dialogues is None:
        return None
    columns = list(map(tuple, values))
    prompts, prompt_ids = ([value.get(name) for value in values] for name in ("prompt", "prompt_id"))
    batch = Batch(run.number, run.offsets, dialogues, columns, prompts, prompt_ids)
    try:
        return batch if _show_all(values, batch, len(spoken), run, policy) else None
    except RecursionError:
        return None


def _values_of(run: Run) -> list[dict[str, Any]]:
    """The value of each line, all decoded by one call with a null between them, which takes two thirds of the time.

    A line that holds not just one value shows: either as values that do not alternate with nulls, or as a null inside
    a list (`_show_all` looks at those), or as a quote too many, or else the whole is not JSON. A text cannot go
    over a line feed.
    """
    found = orjson.loads(b"[" + run.whole.replace(b"\n", b"\n,null,") + b"]")
    count = len(run.starts)
    if len(found) != 2 * count - 1 or found[1::2].count(None) != count - 1:
        raise ValueError("not one value a line")
    values: list[dict[str, Any]] = found[::2]
    return values


def _show_all(values: list[dict[str, Any]], batch: Batch, turns: int, run: Run, policy: Policy) -> bool:
    """Whether the lines hold just what their values show: see `quotes_agree`.

    What is hidden in one line cannot be made up for by another, as no line has fewer quotes than its value explains.
    """
    strings, inner = 4 * turns, scan.count(batch.dialogues.whole, QUOTE)
    kinds = Counter(batch.columns)
    for columns, rows in kinds.items():
        strings += len(columns) * rows
        inner += sum(name.count('"') for name in columns) * rows
    for name in set(chain.from_iterable(kinds)) - {"messages"}:
        column = [value[name] for value in values if name in value]
        texts = [other for other in column if type(other) is str]
        strings += len(texts)
        inner += scan.count("".join(texts).encode(), QUOTE)
        if len(texts) < len(column):
            for other in column:
                if type(other) is dict or type(other) is list:
                    more, quotes, depth = measure(other)
                    if depth >= policy.max_depth or has_null_in_list(other):
                        return False
                    strings, inner = strings + more, inner + quotes
    return quotes_agree(run.whole, strings, inner)


def _careful_row(number: int, offset: int, line: bytes, turns: Turns, policy: Policy) -> Row | None:
    if len(line) > policy.max_line_bytes:
        return Row(number, offset, None, None, [too_long(len(line), policy)], None)
    if not line.strip():
        return None
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
