"""Rows of a JSONL file, plain or gzipped. Errors of the caller's own file object, and of the heartbeat, come through
unchanged: they are not the data's fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson

from shared.validation import scan
from shared.validation.decoding import QUOTE, decode, has_null_in_list, measure, quotes_agree
from shared.validation.dialogues import Dialogue
from shared.validation.gunzip import DamagedGzip, Gunzip
from shared.validation.lines import BlankRun, LineRun, LongLine, owned, runs_of
from shared.validation.policy import Policy
from shared.validation.row_shapes import named_in, rows_shape
from shared.validation.rows import (
    FEW,
    TELLING,
    ByteMeter,
    CheckedRow,
    FileRefused,
    RowBatch,
    Rows,
    is_bad,
    sniff,
    too_long,
)
from shared.validation.shapes import FEWEST_LINES, HEAD_BYTES, document_values, file_shape, first_values
from shared.validation.sources import Chunk, WatchedFile
from shared.validation.turns import TurnChecker
from shared.validation.zipped import ZippedText

_ROLE, _CONTENT = itemgetter("role"), itemgetter("content")


def jsonl_rows(chunk: Chunk, file: WatchedFile, turns: TurnChecker, policy: Policy, meter: ByteMeter) -> Iterator[Rows]:
    """Rows of a chunk, in their order."""
    if chunk.start == 0:
        yield from _refuse_other_shapes(chunk, file, turns, policy, zipped=False)
    yield from _rows_of(owned(_plain(chunk, file, meter), chunk.start, chunk.end), turns, policy)


def zipped_rows(chunk: Chunk, text: ZippedText, turns: TurnChecker, policy: Policy, meter: ByteMeter) -> Iterator[Rows]:
    """Rows of a chunk of a gzip file, in their order."""
    if chunk.start == 0:
        yield from _refuse_other_shapes(chunk, text.file, turns, policy, zipped=True)
    yield from _rows_of(text.pieces(chunk, meter), turns, policy)


def _rows_of(pieces: Iterable[tuple[int, bytes]], turns: TurnChecker, policy: Policy) -> Iterator[Rows]:
    for run in runs_of(pieces, policy.max_line_bytes):
        if isinstance(run, LongLine):
            yield CheckedRow(run.number, run.offset, None, None, [too_long(run.length, policy)], None)
        elif isinstance(run, BlankRun):
            yield run
        else:
            yield from _rows_of_run(run, turns, policy)


def _refuse_other_shapes(
    chunk: Chunk, file: WatchedFile, turns: TurnChecker, policy: Policy, *, zipped: bool
) -> Iterator[Rows]:
    """Look at the start of a file, and end its reading if it is surely not rows of ours. Raises FileRefused.

    Told once what the file is, or the format that all of its first rows are in, nobody needs each of its lines. Text
    that is no JSON at all gives its first lines as bad rows before that. The start is that of the file, not of the
    chunk: so any cut gives the same report.
    """
    file.keep()
    head, is_whole = _head(file, zipped=zipped)
    file.again()
    shape = file_shape(head, is_whole)
    if shape is None:
        alike = rows_shape(first_values(head, is_whole), chunk.source.path)
        if alike is not None:
            raise FileRefused("row-format", alike.found, f"rows with messages; {alike.fix.rstrip('.')}")
        return
    if shape.is_no_json:
        first = head[: head.rindex(b"\n")] if b"\n" in head else head
        yield from _rows_of_run(next(LineRun.of(1, 0, first).cut(FEWEST_LINES)), turns, policy)
    rows = rows_shape(document_values(head), chunk.source.path)
    found = f"{shape.found}, of {rows.found}" if rows else shape.found
    raise FileRefused("file-format", found, named_in(shape.expected, chunk.source.path))


def _head(file: WatchedFile, *, zipped: bool) -> tuple[bytes, bool]:
    """The start of the text, and whether it is all there is. What cannot be read is told when it is read for good."""
    read = Gunzip(file.read).read if zipped else file.read
    head = b""
    try:
        while len(head) < HEAD_BYTES:
            data = read(HEAD_BYTES - len(head))
            if not data:
                return head, True
            head += data
    except DamagedGzip:
        file.raise_failure()
        return b"", False
    return head, False


def _rows_of_run(run: LineRun, turns: TurnChecker, policy: Policy) -> Iterator[Rows]:
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


def _batch_of(run: LineRun, turns: TurnChecker, policy: Policy) -> RowBatch | None:
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
    batch = RowBatch(run.number, run.offsets, dialogues, columns, prompts, prompt_ids)
    try:
        return batch if _show_all(values, batch, len(spoken), run, policy) else None
    except RecursionError:
        return None


def _values_of(run: LineRun) -> list[dict[str, Any]]:
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


def _show_all(values: list[dict[str, Any]], batch: RowBatch, turns: int, run: LineRun, policy: Policy) -> bool:
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


def _careful_row(number: int, offset: int, line: bytes, turns: TurnChecker, policy: Policy) -> CheckedRow | None:
    if len(line) > policy.max_line_bytes:
        return CheckedRow(number, offset, None, None, [too_long(len(line), policy)], None)
    if not line.strip():
        return None
    value, problems = decode(line, policy.max_depth)
    dialogue: Dialogue | None = None
    if not is_bad(problems):
        dialogue, further = turns.examine(value)
        problems = problems + further
    return CheckedRow(number, offset, value, dialogue, problems, line)


def _plain(chunk: Chunk, file: WatchedFile, meter: ByteMeter) -> Callable[[int], bytes]:
    start, end = chunk.start, chunk.end
    at = max(0, start - 1)
    if start:
        file.seek(at)
    first = b""

    def read(size: int) -> bytes:
        nonlocal at, first
        data = file.read(size)
        if start == 0 and len(first) < TELLING:
            first += data[:TELLING]
            sniff(first, "JSONL")
        before, at = at, at + len(data)
        own = max(0, (at if end is None else min(at, end)) - max(before, start))
        meter.add(own, meter.bytes_out + own)
        return data

    return read
