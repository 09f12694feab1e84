"""Rows of a JSONL file, plain or gzipped. Errors of the caller's own file object, and of the heartbeat, come through
unchanged: they are not the data's fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from shared.validation.gunzip import DamagedGzip, Gunzip
from shared.validation.line_rows import LineReader
from shared.validation.lines import BlankRun, LineRun, LongLine, owned, runs_of
from shared.validation.policy import Policy
from shared.validation.row_shapes import named_in, rows_shape
from shared.validation.rows import TELLING, ByteMeter, CheckedRow, FileRefused, Rows, sniff, too_long
from shared.validation.shapes import FEWEST_LINES, HEAD_BYTES, document_values, file_shape, first_values
from shared.validation.sources import Chunk, WatchedFile
from shared.validation.turns import TurnChecker
from shared.validation.zipped import ZippedText


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
    reader = LineReader(turns, policy)
    for run in runs_of(pieces, policy.max_line_bytes):
        if isinstance(run, LongLine):
            yield CheckedRow(run.number, run.offset, None, None, [too_long(run.length, policy)], None)
        elif isinstance(run, BlankRun):
            yield run
        else:
            yield from reader.rows(run)


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
        yield from LineReader(turns, policy).rows(next(LineRun.of(1, 0, first).cut(FEWEST_LINES)))
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
