"""One reader for each format that rows come in: JSONL, JSON documents, separated values, parquet, Arrow; also packed.

What a file is, is told by its first bytes; its name counts only where text could be anything. Rows are given one after
the other, as objects. A line that is none is given as `UnreadableRow`, so that it is counted. All readers stream.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from shared.conversion.documents import rows_of_document
from shared.conversion.lists import unpacked
from shared.validation.prepared_rows import UnreadableRow
from shared.validation.rows import FileRefused, sniff
from shared.validation.shapes import HEAD_BYTES, LENIENT, file_shape

_MOST_CHARACTERS = 64 * 2**20
"""A row that is longer is no row."""
_CHUNK = 2**20
_BATCH_ROWS = 1024
_PACKED: tuple[tuple[bytes, str, Callable[..., IO[bytes]]], ...] = (
    (b"\x1f\x8b", "gzip", gzip.open),
    (b"BZh", "bzip2", bz2.open),
    (b"\xfd7zXZ", "xz", lzma.open),
)  # type: ignore[assignment]
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".psv": "|"}
_BLANK = re.compile(r"[\s,]*")
_PYTHON = re.compile(r"\{\s*'")


class CannotRead(ValueError):
    """A file that rows cannot be read from; the text says what it is and what to do."""


@dataclass(frozen=True, slots=True)
class Container:
    """A file by what it is, and a way to read its rows (again at each call)."""

    kind: str
    rows: Callable[[], Iterator[Any]]


def container_of(file: Path, encoding: str = "") -> Container:
    """What a file is. Raises CannotRead for what has no rows, OSError for what cannot be opened."""
    packed, head = _head(file)
    if head.startswith(b"PAR1"):
        return Container("parquet", lambda: _parquet(file))
    if head.startswith(b"ARROW1") or head.startswith(b"\xff\xff\xff\xff"):
        return Container("Arrow", lambda: arrow_rows(file))
    if not head.strip():
        raise CannotRead(f"{file}: it is empty")
    found = encoding or next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
    if found == "utf-8":
        _refuse_other_files(file, head)
    text = _decoded(file, head, found)
    kind, read = _text_container(file, text, len(head) < HEAD_BYTES)
    named = f"{kind} in {packed}" if packed else kind
    return Container(named, lambda: _named_damage(file, read(_Text(file, found))))


def _named_damage(file: Path, rows: Iterator[Any]) -> Iterator[Any]:
    """The rows. Damage in the middle of a file is CannotRead, with what is to be done."""
    try:
        yield from rows
    except UnicodeDecodeError as wrong:
        raise CannotRead(
            f"{file}: it has bytes that are no {wrong.encoding.upper()}; --encoding says what it is"
        ) from wrong
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as damage:
        raise CannotRead(f"{file}: it is damaged or cut off: {str(damage).rstrip('.')}") from damage
    except RecursionError as wrong:
        raise CannotRead(f"{file}: a row is nested too deep to be read") from wrong


def _head(file: Path) -> tuple[str, bytes]:
    """How a file is packed, and how what is in it begins."""
    with file.open("rb") as raw:
        head = raw.read(HEAD_BYTES)
    for magic, packed, _ in _PACKED:
        if head.startswith(magic):
            try:
                with _opened(file) as stream:
                    return packed, stream.read(HEAD_BYTES)
            except (OSError, EOFError, zlib.error, lzma.LZMAError) as damage:
                raise CannotRead(f"{file}: the {packed} file is damaged or cut off: {damage}") from damage
    return "", head


def _opened(file: Path) -> IO[bytes]:
    """The bytes of a file, unpacked."""
    with file.open("rb") as raw:
        start = raw.read(8)
    unpack = next((unpack for magic, _, unpack in _PACKED if start.startswith(magic)), None)
    return unpack(file, "rb") if unpack else file.open("rb")


def _refuse_other_files(file: Path, head: bytes) -> None:
    """Raises CannotRead for images, archives, workbooks, pages of HTML ..."""
    try:
        sniff(head, "JSONL")
    except FileRefused as other:
        shape = file_shape(head, len(head) < HEAD_BYTES)
        what = shape.found if shape else other.found
        raise CannotRead(f"{file}: it is {what}; rows are read from JSON, CSV, parquet and Arrow files") from None
    shape = file_shape(head, len(head) < HEAD_BYTES)
    if shape and shape.found.startswith(("text in UTF", "a page of", "a TAR", "an Excel", "typographic")):
        how = f"; --encoding {shape.found[8:].lower()} reads it" if shape.found.startswith("text in") else ""
        raise CannotRead(f"{file}: it is {shape.found}{how}")


def _decoded(file: Path, head: bytes, encoding: str) -> str:
    try:
        text = head.decode(encoding, "strict")
    except UnicodeDecodeError as wrong:
        if wrong.start > len(head) - 8:  # a character that goes on behind what was read
            return head[: wrong.start].decode(encoding, "replace")
        if encoding == "utf-8" and _are_mostly_good_lines(head):
            return head.decode(encoding, "replace")  # the bad ones are left out
        raise CannotRead(
            f"{file}: byte {wrong.start + 1} is no {encoding.upper()}; --encoding says what it is, such as cp1252"
        ) from wrong
    except LookupError as wrong:
        raise CannotRead(f"--encoding {encoding}: there is no such encoding") from wrong
    return text


def _are_mostly_good_lines(head: bytes) -> bool:
    """Whether these are lines of JSON of which some are damaged, rather than text in another encoding."""
    lines = [line for line in head.split(b"\n")[:-1] if line.strip()]
    good = sum(1 for line in lines if _is_json(line))
    return good >= 10 and good >= 0.9 * len(lines)


class _Text(NamedTuple):
    """A file of text that is about to be read."""

    file: Path
    encoding: str

    def open(self) -> IO[str]:
        return io.TextIOWrapper(_opened(self.file), encoding=self.encoding, newline="")


def _text_container(file: Path, text: str, is_whole: bool) -> tuple[str, Callable[[_Text], Iterator[Any]]]:
    """Which reader a text needs, by its beginning."""
    start = text.lstrip()
    extension = next((ending.lower() for ending in file.suffixes if ending.lower() in _SEPARATORS), "")
    if start[:1] not in ("{", "[", '"') or extension:
        lines = start.splitlines()
        separator = _separator(lines, _SEPARATORS.get(extension, ""))
        if separator:
            return ("TSV" if separator == "\t" else "CSV"), lambda source: _separated(source, separator)
        if not any(_is_json(line) for line in lines[:20]):
            raise CannotRead(f"{file}: it is text that is neither JSON nor a table with a line of column names")
        return "JSONL", _lines
    if _PYTHON.match(start):
        return "Python dictionaries", _lines
    lines = [line for line in (start.split("\n") if is_whole else start.split("\n")[:-1]) if line.strip()]
    first = _value_of(lines[0]) if lines else None
    if isinstance(first, list) and (len(lines) == 1 and is_whole) and (not first or isinstance(first[0], dict)):
        return ("JSONL", _lines) if first and "role" in first[0] else ("a JSON array", _array)
    if isinstance(first, dict) and len(lines) == 1 and is_whole and _document(file, first) is not None:
        return "a JSON document", _values
    if first is not None or any(_is_json(line) for line in lines[1:20] if line[:1] == "{"):
        return "JSONL", _lines
    return ("a JSON array", _array) if start[0] == "[" else ("JSON objects", _values)


def _separator(lines: list[str], named: str) -> str:
    """What separates the values of a table; empty if the lines are no table. A file that is called .csv is one."""
    if lines and lines[0][:4].lower() == "sep=":
        return lines[0][4:5]
    best, most = named, 1
    for separator in ("\t", ",", ";", "|") if len(lines) > 1 else ():
        names = next(csv.reader([lines[0]], delimiter=separator))
        if most < len(names) <= 500 and all(0 < len(name.strip()) <= 60 for name in names):
            best, most = separator, len(names)
    return best


def _value_of(line: str | bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _is_json(line: str | bytes) -> bool:
    return isinstance(_value_of(line), dict | list)


# -- JSON


def _lines(source: _Text) -> Iterator[Any]:
    """One JSON value a line."""
    with _opened(source.file) if source.encoding in ("utf-8", "utf-8-sig") else _recoded(source) as stream:
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


def _recoded(source: _Text) -> IO[bytes]:
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


def _array(source: _Text) -> Iterator[Any]:
    """The rows of one JSON array."""
    return map(_row, _json_values(source, inside="["))


def _values(source: _Text) -> Iterator[Any]:
    """JSON objects one after the other, over as many lines as they like; or one that holds all rows."""
    values = _json_values(source)
    first = next(values, None)
    second = next(values, None)
    if second is None and (rows := _document(source.file, first)) is not None:
        yield from map(_row, rows)
        return
    yield from map(_row, itertools.chain(*([value] for value in (first, second) if value is not None), values))


def _document(file: Path, value: Any) -> list[Any] | None:
    """The rows of a document. Raises CannotRead for one whose rows are a choice."""
    try:
        return rows_of_document(value)
    except ValueError as choice:
        raise CannotRead(f"{file}: it is one JSON document with {choice}") from None


def _json_values(source: _Text, inside: str = "") -> Iterator[Any]:
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


def _separated(source: _Text, separator: str) -> Iterator[Any]:
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


def _parquet(file: Path) -> Iterator[Any]:
    """The rows of a parquet file, some of a row group at a time."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        with pq.ParquetFile(file, memory_map=True, pre_buffer=False) as opened:
            for batch in opened.iter_batches(_BATCH_ROWS):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as damage:
        raise CannotRead(f"{file}: it cannot be read as parquet: {str(damage).splitlines()[0][:120]}") from damage


def arrow_rows(file: Path) -> Iterator[Any]:
    """The rows of an Arrow file or stream, as `datasets` saves them."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(file)) as mapped:
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
    except (pa.ArrowException, OSError, ValueError) as damage:
        raise CannotRead(f"{file}: it cannot be read as Arrow: {str(damage).splitlines()[0][:120]}") from damage
