"""What a file or a line is when it is not what it should be, and how to mend it: said once, before all that follows.

`file_shape` looks at the start of a text file: one JSON document, objects over several lines, separated values, another
encoding. `line_shape` looks at a line that is no JSON: several objects, a comma or a comment behind one. Both read a
bounded start and never tell what a row says. They are asked by `jsonl` and `decoding`; of rows, see `row_shapes`.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, NamedTuple

import orjson

HEAD_BYTES = 64 * 1024
"""So much of a file's start tells what it is."""
MOST_VALUES = 16
"""So many rows tell the format that rows are in."""
FEWEST_LINES = 50
"""So many lines, none of which is JSON, are no accident."""


def _number(digits: str) -> float:
    """A whole number; one with more digits than Python makes one of (4300) is a float, as the strict reader has it."""
    return int(digits) if len(digits) <= _SURELY_WHOLE else float(digits)


_SURELY_WHOLE = 1000
LENIENT = json.JSONDecoder(parse_int=_number)
"""Reads JSON as the standard library does, and fails at no number however long it is."""


class FileShape(NamedTuple):
    """What a file is instead of one JSON object a line, and what to do about it."""

    found: str
    expected: str
    is_no_json: bool = False
    """Whether it is nothing better known than lines that are no JSON."""
    coding: str = ""
    """What the text is written in, by Python's name for it, where that is no UTF-8."""


_PYTHON = (
    "`python3 -c \"import ast, json; [print(json.dumps(ast.literal_eval(row))) for row in open('FILE')]\" > ROWS.jsonl`"
)
_ROWS = "one JSON object a line"
_PREPARED = f"{_ROWS}; `droptune prepare FILE --out FOLDER` makes a snapshot of it"


_CODINGS = (("utf-32-le", 4, 0), ("utf-32-be", 4, 3), ("utf-16-le", 2, 0), ("utf-16-be", 2, 1))
_MARKUP = re.compile(rb"<(?:!doctype|html|head|body|\?xml|[a-zA-Z][\w:.-]{0,40}[\s>/])", re.IGNORECASE)
_SEPARATOR = re.compile(r"[\s,]*+")
_KEY = re.compile(r"""[\[{\s]{1,40}(["'\u2018-\u201f\u00ab])""")


def file_shape(head: bytes, is_whole: bool) -> FileShape | None:
    """What a file that starts so is, if it is surely not rows of JSON. `is_whole`: nothing comes after `head`."""
    head = head.removeprefix(codecs.BOM_UTF8)
    start = head.lstrip()
    if not start:
        return None
    if head.startswith(b"PK\x03\x04") and b"[Content_Types].xml" in head:
        return FileShape(
            "an Excel workbook (or another Office file)",
            f"{_ROWS}; save the sheet as CSV first, then `droptune prepare FILE --out FOLDER` makes a snapshot of it",
        )
    if head[257:262] == b"ustar":
        return FileShape("a TAR archive", f"{_ROWS}; `tar -xf FILE` gets what is in it")
    if coding := _coding(head):
        family, _, order = coding.upper().rpartition("-")
        how = f"iconv -f {family}{order} -t UTF-8 FILE > ROWS.jsonl"
        return FileShape(f"text in {family}", f"UTF-8; `{how}` writes it so", coding=coding)
    if _MARKUP.match(start):
        kind = "XML" if start[:5].lower() == b"<?xml" else "HTML or XML"
        return FileShape(f"a page of {kind}", "the data itself; a download link may lead to a page instead of a file")
    lines = _whole_lines(head, is_whole)
    if lines and _is_row(lines[0]):
        return _array_of_rows(lines) if is_whole else None
    text = start.decode("utf-8", "replace")
    spans = _spans_lines(text, is_whole) if text[0] in "[{" else False
    if text[0] == "[" and (spans or (not lines and _holds_rows(head))):
        return FileShape("one JSON document (an array)", _PREPARED)
    if any(map(_is_row, lines[1:1000])):
        return None
    if spans:
        return FileShape("JSON objects over several lines each", _PREPARED)
    return _quotes(text) or _table(lines) or _no_json(lines)


def _holds_rows(head: bytes) -> bool:
    """Whether a list that is not over yet holds objects which are no turns."""
    values = document_values(head)
    return bool(values) and all(isinstance(value, dict) and "role" not in value for value in values)


def first_values(head: bytes, is_whole: bool) -> list[Any]:
    """The values of the first lines; those that are no JSON are left out."""
    found = []
    for line in _whole_lines(head, is_whole)[:MOST_VALUES]:
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue
    return found


def document_values(head: bytes) -> list[Any]:
    """The first values of a document over many lines: those of its array, or objects one after the other."""
    text = head.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").lstrip()
    decode, at = LENIENT.raw_decode, 1 if text[:1] == "[" else 0
    found: list[Any] = []
    while len(found) < MOST_VALUES:
        at = _SEPARATOR.match(text, at).end()  # type: ignore[union-attr]
        try:
            value, at = decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            break
        found.append(value)
    return found


def text_kind(head: bytes) -> str:
    """What a file is that should not be text, if its start is text after all; else empty."""
    if shape := file_shape(head, len(head) < HEAD_BYTES):
        return shape.found
    lines = _whole_lines(head, len(head) < HEAD_BYTES)
    return "one JSON value a line, as in JSONL" if lines and _is_row(lines[0]) else ""


def _coding(head: bytes) -> str:
    """UTF-16 or UTF-32 without a mark: of ASCII, every second byte, or three of four, are NUL.

    Text of other letters has few of these, but its first character is a bracket, and its line feeds have one.
    """
    sample = head[:4096]
    for coding, bracket, feed in (("utf-16-le", b"{\0", b"\n\0"), ("utf-16-be", b"\0{", b"\0\n")):
        if sample.startswith(bracket) and feed in head and sample[2:4] != b"\0\0":
            return coding
    for coding, width, place in _CODINGS:
        kept = sample[place::width]
        nuls = sum(sample[at::width].count(0) for at in range(width) if at != place)
        full = len(sample) // width * (width - 1)
        if len(sample) >= 2 * width and nuls >= 0.9 * full and kept.count(0) < 0.1 * len(kept) + 1:
            return coding
    return ""


def _whole_lines(head: bytes, is_whole: bool) -> list[bytes]:
    """The lines that end within the head, without blank ones."""
    lines = head.split(b"\n")
    return [line for line in (lines if is_whole else lines[:-1]) if line.strip()]


def _is_row(line: bytes) -> bool:
    """Whether a line by itself is a JSON object or list. What is indented belongs to a longer document."""
    if line[:1] not in (b"{", b"["):
        return False
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        try:  # what only the strict reader refuses (NaN, other encodings) is a fault of rows
            LENIENT.decode(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return False
    return True


def _array_of_rows(lines: list[bytes]) -> FileShape | None:
    """A whole file that is one line with a list of objects."""
    if len(lines) == 1 and lines[0].startswith(b"["):
        try:
            found = orjson.loads(lines[0])
        except orjson.JSONDecodeError:
            return None
        if found and isinstance(found[0], dict):
            return FileShape(f"one JSON array of {len(found)} values", _PREPARED)
    return None


def _quotes(text: str) -> FileShape | None:
    """What is JSON but for its quotes."""
    quote = _KEY.match(text) if text[0] in "[{" else None
    if quote and quote[1] == "'":
        return FileShape("Python dictionaries, with single quotes", _PREPARED)
    if quote and quote[1] != '"':
        return FileShape("typographic quotes around names", 'straight quotes ("); write the rows with a JSON library')
    return None


def _spans_lines(text: str, is_whole: bool) -> bool:
    """Whether the JSON value that a text starts with goes over several lines; an array also to the end of the file."""
    try:
        _, end = LENIENT.raw_decode(text)
    except (json.JSONDecodeError, RecursionError) as wrong:
        return not is_whole and "\n" in text.rstrip() and _is_cut_off(wrong, text)
    return "\n" in text[:end] and (text[0] == "{" or not text[end:].strip())


def _is_cut_off(wrong: Exception, text: str) -> bool:
    """Whether a value is wrong only because the text ends in the middle of it."""
    if not isinstance(wrong, json.JSONDecodeError):
        return False
    in_a_text = wrong.msg.startswith("Unterminated string") and "\n" not in text[wrong.pos :]
    return in_a_text or wrong.pos >= len(text.rstrip()) - 8


def _table(lines: list[bytes]) -> FileShape | None:
    """Separated values: a first line of several short names, and lines with as many separators."""
    if lines and lines[0][:4].lower() == b"sep=":
        lines = lines[1:]
    first = lines[0].decode("utf-8", "replace") if lines else ""
    if len(lines) > 1 and lines[1].startswith((b'"[{""', b'"{""')):
        return FileShape("separated values (CSV) with JSON in them", _PREPARED)
    for separator, kind in (("\t", "TSV"), (",", "CSV"), (";", "CSV")):
        names = [name.strip().strip('"') for name in first.split(separator)]
        short = all(0 < len(name) <= 40 and re.fullmatch(r"[\w .#/-]+", name) for name in names)
        if 2 <= len(names) <= 500 and short and len(lines) > 1:
            return FileShape(f"separated values ({kind}) with {len(names)} columns", _PREPARED)
    return None


def _no_json(lines: list[bytes]) -> FileShape | None:
    if len(lines) < FEWEST_LINES:
        return None
    return FileShape(f"text: none of its first {len(lines)} lines is JSON", _ROWS, is_no_json=True)


_COMMENT = re.compile(r"\s*(?://|#|/\*)")
_BEFORE = re.compile(r"[^\s{}\[\]\"']{1,80}[:\t ] ?(?=\{)")
_LITERAL = re.compile(r"(?:None|True|False)\b")
_PLAIN_NAME = re.compile(r"\{\s*[A-Za-z_]\w*\s*:")


def line_shape(text: str, at: int) -> tuple[str, str]:
    """What makes a line no JSON, seen from the place where reading it ended, and how to mend it; nothing if unknown."""
    rest = text[at : at + 200].strip()
    if text[:1] == "\x1e":
        return "a record separator before the object", _sed("JSON text sequences have one", "s/^\\x1e//")
    if text[:at].endswith("\r") and rest[:1] == "{":
        return "", "Lines end with a line feed: tr '\\r' '\\n' < FILE > ROWS.jsonl"
    if rest and not rest.strip(","):
        return "a comma after the object", _sed("Rows have no comma behind them", "s/,[[:space:]]*$//")
    if at and rest[:1] == "{" and text[:at].rstrip()[-1:] == "}":
        return "another object in the same line", (
            "Write each object into a line of its own: jq -c . FILE > ROWS.jsonl"
        )
    if at and text[:at].rstrip()[-1:] == "}" and _COMMENT.match(rest):
        return "a comment after the object", "JSON has no comments: take them out."
    if _COMMENT.match(text[:200]):
        return (
            "a comment",
            "JSON has no comments: grep -vE '^[[:space:]]*(//|#|/\\*)' FILE > ROWS.jsonl leaves such lines out.",
        )
    if _BEFORE.match(text[:200]):
        return "something before the object", _sed("Only the object is a row", "s/^[^{]*//")
    if _LITERAL.match(rest):
        return "None, True or False, as Python writes", f"JSON has null, true and false: {_PYTHON}"
    if _PLAIN_NAME.match(text[:200]):
        return "names without quotes, as JavaScript writes", "Write the rows with JSON.stringify, one in each line."
    return "", ""


def _sed(why: str, how: str) -> str:
    return f"{why}: sed '{how}' FILE > ROWS.jsonl"
