"""What a file is that rows are read from: told by its first bytes; its name counts only where text could be anything.

The readers themselves, one for each kind, are in `readers`.
"""

from __future__ import annotations

import csv
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from cli.preparing import readers
from cli.preparing.readers import CannotRead
from shared.validation.rows import FileRefused, sniff
from shared.validation.shapes import HEAD_BYTES, file_shape

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".psv": "|"}
_PYTHON = re.compile(r"\{\s*'")


@dataclass(frozen=True, slots=True)
class Container:
    """A file by what it is, and a way to read its rows (again at each call)."""

    kind: str
    rows: Callable[[], Iterator[Any]]


def container_of(file: Path, encoding: str = "") -> Container:
    """What a file is. Raises CannotRead for what has no rows, OSError for what cannot be opened."""
    packed, head = _head(file)
    if head.startswith(b"PAR1"):
        return Container("parquet", lambda: readers.parquet_rows(file))
    if head.startswith(b"ARROW1") or head.startswith(b"\xff\xff\xff\xff"):
        return Container("Arrow", lambda: readers.arrow_rows(file))
    if not head.strip():
        raise CannotRead(f"{file}: it is empty")
    found = encoding or next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
    if found == "utf-8":
        _refuse_other_files(file, head)
    text = _decoded(file, head, found)
    kind, read = _text_container(file, text, len(head) < HEAD_BYTES)
    named = f"{kind} in {packed}" if packed else kind
    return Container(named, lambda: _named_damage(file, read(readers.TextFile(file, found))))


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
    for magic, packed, _ in readers.PACKED:
        if head.startswith(magic):
            try:
                with readers.opened_file(file) as stream:
                    return packed, stream.read(HEAD_BYTES)
            except (OSError, EOFError, zlib.error, lzma.LZMAError) as damage:
                raise CannotRead(f"{file}: the {packed} file is damaged or cut off: {damage}") from damage
    return "", head


def _refuse_other_files(file: Path, head: bytes) -> None:
    """Raises CannotRead for images, archives, workbooks, pages of HTML ..."""
    try:
        sniff(head, "JSONL")
    except FileRefused as other:
        shape = file_shape(head, len(head) < HEAD_BYTES)
        what = shape.found if shape else other.found
        raise CannotRead(f"{file}: it is {what}; rows are read from JSON, CSV, parquet and Arrow files") from None
    shape = file_shape(head, len(head) < HEAD_BYTES)
    if shape and shape.coding:
        raise CannotRead(f"{file}: it is {shape.found}; --encoding {shape.coding} reads it")
    if shape and shape.found.startswith(("a page of", "a TAR", "an Excel", "typographic")):
        raise CannotRead(f"{file}: it is {shape.found}")


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


def _text_container(file: Path, text: str, is_whole: bool) -> tuple[str, Callable[[readers.TextFile], Iterator[Any]]]:
    """Which reader a text needs, by its beginning."""
    start = text.lstrip()
    extension = next((ending.lower() for ending in file.suffixes if ending.lower() in _SEPARATORS), "")
    if start[:1] not in ("{", "[", '"') or extension:
        lines = start.splitlines()
        separator = _separator(lines, _SEPARATORS.get(extension, ""))
        if separator:
            return ("TSV" if separator == "\t" else "CSV"), lambda source: readers.separated(source, separator)
        if not any(_is_json(line) for line in lines[:20]):
            raise CannotRead(f"{file}: it is text that is neither JSON nor a table with a line of column names")
        return "JSONL", readers.lines
    if _PYTHON.match(start):
        return "Python dictionaries", readers.lines
    lines = [line for line in (start.split("\n") if is_whole else start.split("\n")[:-1]) if line.strip()]
    first = _value_of(lines[0]) if lines else None
    if isinstance(first, list) and (len(lines) == 1 and is_whole) and (not first or isinstance(first[0], dict)):
        return ("JSONL", readers.lines) if first and "role" in first[0] else ("a JSON array", readers.array)
    if isinstance(first, dict) and len(lines) == 1 and is_whole and readers.document(file, first) is not None:
        return "a JSON document", readers.values
    if first is not None or any(_is_json(line) for line in lines[1:20] if line[:1] == "{"):
        return "JSONL", readers.lines
    return ("a JSON array", readers.array) if start[0] == "[" else ("JSON objects", readers.values)


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
