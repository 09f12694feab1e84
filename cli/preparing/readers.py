"""The rows of a file whose container is known: JSONL, JSON documents, separated values, parquet, Arrow; also packed.

Rows are given one after the other, as objects. A line that is none is given as `UnreadableRow`, so that it is counted.
All readers stream. Called by `containers`, which tells what a file is.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import lzma
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from cli.failures import first_line
from shared.conversion.documents import rows_of_document
from shared.conversion.lists import unpacked
from shared.validation.prepared_rows import UnreadableRow
from shared.validation.shapes import LENIENT

_MOST_CHARACTERS = 64 * 2**20
"""A row that is longer is no row."""
_CHUNK = 2**20
_BATCH_ROWS = 1024
PACKED: tuple[tuple[bytes, str, Callable[..., IO[bytes]]], ...] = (
    (b"\x1f\x8b", "gzip", gzip.open),
    (b"BZh", "bzip2", bz2.open),
    (b"\xfd7zXZ", "xz", lzma.open),
)  # type: ignore[assignment]
_BLANK = re.compile(r"[\s,]*")


class CannotRead(ValueError):
    """A file that rows cannot be read from; the text says what it is and what to do."""


class TextFile(NamedTuple):
    """A file of text that is about to be read."""

    file: Path
    encoding: str

    def open(self) -> IO[str]:
        return io.TextIOWrapper(opened_file(self.file), encoding=self.encoding, newline="")


def opened_file(file: Path) -> IO[bytes]:
    """The bytes of a file, unpacked."""
    with file.open("rb") as raw:
        start = raw.read(8)
    unpack = next((unpack for magic, _, unpack in PACKED if start.startswith(magic)), None)
    return unpack(file, "rb") if unpack else file.open("rb")


# -- JSON


def lines(source: TextFile) -> Iterator[Any]:
    """One JSON value a line."""
    with opened_file(source.file) if source.encoding in ("utf-8", "utf-8-sig") else _recoded(source) as stream:
        if stream.read(3) != b"\xef\xbb\xbf":
            stream.seek(0)
        while line := stream.readline(_MOST_CHARACTERS):
            if len(line) == _MOST_CHARACTERS and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = stream.readline(_MOST_CHARACTERS)
                yield UnreadableRow("row-too-long")
                continue
            try:
                yield _row(orjson.loads(line))
            except orjson.JSONDecodeError:
                if line.strip():
                    yield _loosely(line)


def _recoded(source: TextFile) -> IO[bytes]:
    """The text in UTF-8. Only small files come in other encodings: it is held in memory."""
    with source.open() as text:
        return io.BytesIO(text.read().encode())


def _loosely(line: bytes) -> Any:
    """A line with what JSON does not know and many write: NaN, half of a surrogate pair, a Python dictionary."""
    try:
        text = line.decode().strip().lstrip("\ufeff")
    except UnicodeDecodeError:
        return UnreadableRow("invalid-utf8")
    try:
        return _row(LENIENT.decode(text))
    except (ValueError, RecursionError):
        found = unpacked(text.rstrip(","))
        return _row(found) if isinstance(found, dict) else UnreadableRow("invalid-json")


def _row(value: Any) -> Any:
    """A value as a row: a list of turns is one, and so is JSON that was written as a text."""
    if isinstance(value, str):
        value = unpacked(value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {"messages": value}
    return value if isinstance(value, dict) else UnreadableRow("not-an-object")


def array(source: TextFile) -> Iterator[Any]:
    """The rows of one JSON array."""
    return map(_row, _json_values(source, inside="["))


def values(source: TextFile) -> Iterator[Any]:
    """JSON objects one after the other, over as many lines as they like; or one that holds all rows."""
    values = _json_values(source)
    first = next(values, None)
    second = next(values, None)
    if second is None and (rows := document(source.file, first)) is not None:
        yield from map(_row, rows)
        return
    yield from map(_row, itertools.chain(*([value] for value in (first, second) if value is not None), values))


def document(file: Path, value: Any) -> list[Any] | None:
    """The rows of a document. Raises CannotRead for one whose rows are a choice."""
    try:
        return rows_of_document(value)
    except ValueError as choice:
        raise CannotRead(f"{file}: it is one JSON document with {choice}") from None


def _json_values(source: TextFile, inside: str = "") -> Iterator[Any]:
    """Values with white space or commas between, read a piece at a time. Raises CannotRead at what is no JSON."""
    decode = LENIENT.raw_decode
    with source.open() as stream:
        buffer, at, size, count = stream.read(_CHUNK).lstrip("\ufeff \t\r\n").removeprefix(inside), 0, _CHUNK, 0
        while True:
            at = _BLANK.match(buffer, at).end()  # type: ignore[union-attr]
            wrong: ValueError | None = None
            if at < len(buffer) and buffer[at] == "]" and inside:
                return
            if at < len(buffer):
                try:
                    value, at = decode(buffer, at)
                    count, size = count + 1, _CHUNK
                    yield value
                    continue
                except ValueError as error:
                    wrong = error
            more = stream.read(size) if len(buffer) - at <= _MOST_CHARACTERS else ""
            if not more and wrong is None:
                return
            if not more:
                raise CannotRead(f"{source.file}: row {count + 1} is no JSON: {_first_sentence(wrong)}") from wrong
            buffer, at, size = buffer[at:] + more, 0, size * 2


def _first_sentence(wrong: ValueError | None) -> str:
    return str(wrong).split(": line", 1)[0].lower()


# -- tables


def separated(source: TextFile, separator: str) -> Iterator[Any]:
    """The rows of a table whose first line names the columns."""
    csv.field_size_limit(_MOST_CHARACTERS)
    with source.open() as stream:
        first = stream.readline()
        if first[:4].lower() == "sep=":
            first = stream.readline()
        lines = itertools.chain([first], stream)
        reader = csv.reader(lines, delimiter=separator)
        try:
            names = [name.strip().lstrip("\ufeff") for name in next(reader, [])]
            width = len(names)
            for values in reader:
                if len(values) == width:
                    yield dict(zip(names, values, strict=True))
                elif values:
                    yield UnreadableRow("columns-differ")
        except csv.Error as wrong:
            raise CannotRead(f"{source.file}: near line {reader.line_num + 1}: {wrong}") from wrong


@contextmanager
def _damage_named(file: Path, what: str) -> Iterator[None]:
    """What Arrow says of a file, in a line."""
    import pyarrow as pa  # type: ignore[import-untyped]

    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as damage:
        raise CannotRead(f"{file}: it cannot be read as {what}: {first_line(damage)}") from damage


def parquet_rows(file: Path) -> Iterator[Any]:
    """The rows of a parquet file, some of a row group at a time."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    with _damage_named(file, "parquet"), pq.ParquetFile(file, memory_map=True, pre_buffer=False) as opened:
        for batch in opened.iter_batches(_BATCH_ROWS):
            yield from batch.to_pylist()


def arrow_rows(file: Path) -> Iterator[Any]:
    """The rows of an Arrow file or stream, as `datasets` saves them."""
    import pyarrow as pa

    with _damage_named(file, "Arrow"), pa.memory_map(str(file)) as mapped:
        start = mapped.read(6)
        mapped.seek(0)
        if start == b"ARROW1":
            opened = pa.ipc.open_file(mapped)
            batches = (opened.get_batch(at) for at in range(opened.num_record_batches))
        else:
            batches = iter(pa.ipc.open_stream(mapped))
        for batch in batches:
            for start_row in range(0, batch.num_rows, _BATCH_ROWS):
                yield from batch.slice(start_row, _BATCH_ROWS).to_pylist()
