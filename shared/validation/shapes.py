"""What a file or a row is when it is not what it should be, and how to mend it: said once, before all that follows.

`file_shape` looks at the start of a text file: one JSON document, objects over several lines, separated values, another
encoding. `row_shape` looks at the fields of a row without messages: ShareGPT, Alpaca, a prompt and its completion. Both
read a bounded start or a bounded number of names, never tell what a row says, and are asked by `jsonl` and `turns`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from typing import NamedTuple

import orjson

HEAD_BYTES = 64 * 1024
"""So much of a file's start tells what it is."""
FEWEST_LINES = 50
"""So many lines, none of which is JSON, are no accident."""
_MOST_NAMES = 64


class FileShape(NamedTuple):
    """What a file is instead of one JSON object a line, and what to do about it."""

    found: str
    expected: str
    is_no_json: bool = False
    """Whether it is nothing better known than lines that are no JSON."""


class RowShape(NamedTuple):
    """The format whose fields a row has in place of messages, and how it becomes messages."""

    found: str
    fix: str


_ROWS = "one JSON object a line"
_ARRAY = f"{_ROWS}; `jq -c '.[]' FILE > ROWS.jsonl` writes them so"
_PAIR = 'jq -c \'{messages: [{role: "user", content: .%s}, {role: "assistant", content: .%s}]}\' FILE > ROWS.jsonl'


_CODINGS = (("utf-32-le", 4, 0), ("utf-32-be", 4, 3), ("utf-16-le", 2, 0), ("utf-16-be", 2, 1))
_MARKUP = re.compile(rb"<(?:!doctype|html|head|body|\?xml|[a-zA-Z][\w:.-]{0,40}[\s>/])", re.IGNORECASE)
_KEY = re.compile(r"""[\[{\s]{1,40}(["'\u2018-\u201f\u00ab])""")


def file_shape(head: bytes, is_whole: bool) -> FileShape | None:
    """What a file that starts so is, if it is surely not rows of JSON. `is_whole`: nothing comes after `head`."""
    head = head.removeprefix(codecs.BOM_UTF8)
    start = head.lstrip()
    if not start:
        return None
    if coding := _coding(head):
        return FileShape(f"text in {coding.upper()[:6]}", "UTF-8; save the file as UTF-8")
    if _MARKUP.match(start):
        kind = "XML" if start[:5].lower() == b"<?xml" else "HTML or XML"
        return FileShape(f"a page of {kind}", "the data itself; a download link may lead to a page instead of a file")
    lines = _whole_lines(head, is_whole)
    if lines and _is_row(lines[0]):
        return _array_of_rows(lines) if is_whole else None
    text = start.decode("utf-8", "replace")
    spans = _spans_lines(text, is_whole) if text[0] in "[{" else False
    if spans and text[0] == "[":
        return FileShape("one JSON document (an array)", _ARRAY)
    if any(map(_is_row, lines[1:1000])):
        return None
    if spans:
        return FileShape("JSON objects over several lines each", f"{_ROWS}; `jq -c . FILE > ROWS.jsonl`")
    return _quotes(text) or _table(lines) or _no_json(lines)


def _coding(head: bytes) -> str:
    """UTF-16 or UTF-32 without a mark: of ASCII, every second byte, or three of four, are NUL."""
    sample = head[:4096]
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
            json.loads(line.decode("utf-8", "replace"))
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
            return FileShape(f"one JSON array of {len(found)} values", _ARRAY)
    return None


def _quotes(text: str) -> FileShape | None:
    """What is JSON but for its quotes."""
    quote = _KEY.match(text) if text[0] in "[{" else None
    if quote and quote[1] == "'":
        return FileShape("Python dictionaries, with single quotes", f"{_ROWS}; write them with json.dumps")
    if quote and quote[1] != '"':
        return FileShape("typographic quotes around names", 'straight quotes ("); write the rows with a JSON library')
    return None


def _spans_lines(text: str, is_whole: bool) -> bool:
    """Whether the JSON value that a text starts with goes over several lines; an array also to the end of the file."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
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
    first = lines[0].decode("utf-8", "replace") if lines else ""
    for separator, kind in (("\t", "TSV"), (",", "CSV"), (";", "CSV")):
        names = [name.strip().strip('"') for name in first.split(separator)]
        short = all(0 < len(name) <= 40 and re.fullmatch(r"[\w .#/-]+", name) for name in names)
        if 2 <= len(names) <= 500 and short and len(lines) > 1:
            return FileShape(f"separated values ({kind}) with {len(names)} columns", _ROWS)
    return None


def _no_json(lines: list[bytes]) -> FileShape | None:
    if len(lines) < FEWEST_LINES:
        return None
    return FileShape(f"text: none of its first {len(lines)} lines is JSON", _ROWS, is_no_json=True)


def row_shape(names: Iterable[object]) -> RowShape | None:
    """The format that a row of these fields is in, if it is a known one."""
    fields = {str(name).lower() for name, _ in zip(names, range(_MOST_NAMES), strict=False)}
    return next((shape for signs, shape in _ROW_SHAPES if any(sign <= fields for sign in signs)), None)


def _fix(name: str, how: str, command: str) -> str:
    return f"The rows are {name}: {how}. With jq: {command}"


_ROW_SHAPES: tuple[tuple[tuple[frozenset[str], ...], RowShape], ...] = (
    (
        (frozenset({"conversations"}), frozenset({"conversation"})),
        RowShape(
            "conversations, as ShareGPT writes",
            _fix(
                "ShareGPT",
                "conversations becomes messages, from becomes role (human: user, gpt: assistant, system: system) and "
                "value becomes content",
                'jq -c \'{messages: [.conversations[] | {role: ({human: "user", gpt: "assistant"}[.from] // .from), '
                "content: .value}]}' FILE > ROWS.jsonl",
            ),
        ),
    ),
    (
        (frozenset({"instruction", "output"}), frozenset({"instruction", "response"})),
        RowShape(
            "instruction and output, as Alpaca writes",
            _fix(
                "Alpaca",
                "instruction, with input after it where there is one, becomes the user turn of messages, and output "
                "the assistant turn",
                'jq -c \'{messages: [{role: "user", content: ([.instruction, .input // ""] | map(select(. != "")) | '
                'join("\\n\\n"))}, {role: "assistant", content: .output}]}\' FILE > ROWS.jsonl',
            ),
        ),
    ),
    (
        (frozenset({"prompt", "completion"}), frozenset({"prompt", "response"}), frozenset({"prompt", "chosen"})),
        RowShape(
            "prompt and completion",
            _fix(
                "prompts with their completions",
                "prompt becomes the user turn of messages, and completion (or response, or chosen) the assistant turn",
                _PAIR % ("prompt", "completion"),
            ),
        ),
    ),
    (
        (frozenset({"question", "answer"}), frozenset({"query", "response"}), frozenset({"input", "output"})),
        RowShape(
            "a question and its answer",
            _fix(
                "questions with their answers",
                "question (or query, or input) becomes the user turn of messages, and answer (or response, or output) "
                "the assistant turn",
                _PAIR % ("question", "answer"),
            ),
        ),
    ),
    (
        (frozenset({"text"}),),
        RowShape(
            "text",
            "The rows are plain text: cut each dialogue into its turns, and write them as messages with role and "
            "content.",
        ),
    ),
)
