"""From one JSONL line to a Python value, or to the exact reason why not.

The fast decoder (orjson) is strict but says little, and keeps silent about repeated keys. So a line it
refuses, or one with more quotes than its value explains, is read again here, slowly and exactly. Called by
`jsonl` for every line that is not plainly good at a glance.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from shared.chatdata.formats import printable
from shared.validation import scan
from shared.validation.rules import Problem, shown
from shared.validation.shapes import line_shape

BOM = b"\xef\xbb\xbf"
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURELY_FINITE = 308  # digits: the largest double has 309


def decode_slowly(line: bytes, max_depth: int) -> tuple[Any, list[Problem]]:
    """Return the value and what is wrong with the line; with an error among it, the value means nothing."""
    problems: list[Problem] = []
    skipped = 0
    if line.startswith(BOM):
        problems.append(Problem("byte-order-mark", None, "bytes EF BB BF", "no signature"))
        line, skipped = line[3:], 3
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong:
        found = f"byte {line[wrong.start]:#04x} at byte {skipped + wrong.start + 1} of the line"
        return None, [*problems, Problem("invalid-utf8", None, found, "UTF-8", skipped + wrong.start)]
    if depth_of(line, max_depth) > max_depth:
        found, expected = f"more than {max_depth} levels", f"at most {max_depth}"
        return None, [*problems, Problem("nesting-too-deep", None, found, expected)]
    value, wrong_json = _parse(text, skipped)
    return value, problems + wrong_json


def depth_of(line: bytes, enough: int) -> int:
    """Count how deep a line is nested, up to just above `enough`; says `enough` where it cannot be more."""
    if line.count(b"[") + line.count(b"{") <= enough:
        return enough
    depth = deepest = 0
    for token in _STRUCTURE.finditer(line):
        first = line[token.start()]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > enough:
                break
        elif first in b"]}":
            depth -= 1
    return deepest


class _Parts:
    """What the standard library's reader finds on its way: keys that come twice, and numbers that are none."""

    def __init__(self) -> None:
        self.odd: list[Problem] = []
        self.no_numbers: list[str] = []
        self.hidden: list[Any] = []

    def pairs(self, items: list[tuple[str, Any]]) -> dict[str, Any]:
        """An object. Of a key that comes twice the last value counts; the others are kept in `hidden`."""
        found = dict(items)
        if len(found) != len(items):
            self.hidden.extend(value for _, value in items)
            if not self.odd:
                twice = _first_repeated(name for name, _ in items)
                self.odd.append(Problem("repeated-key", None, f"{shown(twice)} more than once", "each key once"))
        return found

    def constant(self, name: str) -> float:
        """NaN and the infinities."""
        self.no_numbers.append(name)
        return float(name)

    def number(self, digits: str) -> float:
        """A number with a point or an exponent."""
        found = float(digits)
        if math.isinf(found):
            self.no_numbers.append(f"{shown(digits, 20)}, too large for a number")
        return found

    def integer(self, digits: str) -> float:
        """A whole number; one that is too long for a quick look is read as the others are."""
        return int(digits) if len(digits) <= _SURELY_FINITE else self.number(digits)

    def read(self, text: str) -> Any:
        """The value; raises what the reader raises."""
        return json.loads(
            text,
            object_pairs_hook=self.pairs,
            parse_constant=self.constant,
            parse_float=self.number,
            parse_int=self.integer,
        )


def _parse(text: str, skipped: int) -> tuple[Any, list[Problem]]:
    parts = _Parts()
    try:
        value = parts.read(text)
    except json.JSONDecodeError as wrong:
        where = skipped + len(text[: wrong.pos].encode("utf-8", "surrogatepass"))
        said = wrong.msg.lower().replace("expecting ", "no ").removesuffix(" at")
        found = f"{said} at column {wrong.pos + 1}"
        what, fix = line_shape(text, wrong.pos)
        if what:
            found = f"{what} at column {wrong.pos + 1}"
        elif text[: wrong.pos].endswith("\r"):
            found += ", after a carriage return; lines end with a line feed"
        return None, [Problem("invalid-json", f"column {wrong.pos + 1}", found, "one JSON object", where, fix)]
    except RecursionError as wrong:
        return None, [Problem("invalid-json", None, shown(str(wrong), 80), "one JSON object")]
    odd = parts.odd
    repeats = bool(odd)  # then the first one may be gone from the value, and the path would be that of another one
    if parts.no_numbers:
        path = None if repeats else _path_to(value, _is_no_number)
        odd.append(Problem("not-a-number", path, parts.no_numbers[0], "a number or null"))
    if "\\u" in text:  # no other way leads through UTF-8
        path = _path_to([value, parts.hidden] if repeats else value, _is_surrogate)
        if path is not None:
            found, expected = "half of a surrogate pair", "whole characters"
            odd.append(Problem("lone-surrogate", None if repeats else path, found, expected))
    return value, odd


def _first_repeated(names: Iterable[str]) -> str:
    known: set[str] = set()
    return next(name for name in names if name in known or known.add(name))  # type: ignore[func-returns-value]


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _is_surrogate(value: object) -> bool:
    return isinstance(value, str) and _SURROGATE.search(value) is not None


def _path_to(value: Any, wanted: Callable[[object], bool], path: str = "") -> str | None:
    if wanted(value):
        return path
    if isinstance(value, dict):
        for name, inner in value.items():
            if wanted(name):
                return f"{path}.a key".lstrip(".")
            if (found := _path_to(inner, wanted, f"{path}.{printable(name)}".lstrip("."))) is not None:
                return found
    if isinstance(value, list):
        for at, inner in enumerate(value):
            if (found := _path_to(inner, wanted, f"{path}[{at}]")) is not None:
                return found
    return None


def decode(line: bytes, max_depth: int) -> tuple[Any, list[Problem]]:
    """Decode a line of JSONL."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as refused:
        value, problems = decode_slowly(line, max_depth)
        if not problems:  # the slow reader is more lenient here: the strict one decides
            problems = [Problem("invalid-json", None, shown(str(refused), 80), "one JSON object")]
        return value, problems
    if _hides_something(line, value, max_depth):
        return decode_slowly(line, max_depth)
    return value, []


def _hides_something(line: bytes, value: Any, max_depth: int) -> bool:
    """Whether the line may hold what its value does not show (a repeated key), or is nested too deep.

    Every string of the value, keys too, has two quotes around it in the line; so a dropped key shows as a surplus.
    """
    try:
        strings, depth = measure(value)
    except RecursionError:
        return True
    return depth > max_depth or scan.JsonText(line).quotes != 2 * strings


def measure(value: Any) -> tuple[int, int]:
    """Strings in a value, keys too, and its depth. Raises RecursionError for a nesting bomb, and ValueError for a whole
    number of more than 64 bits: to some decoders it is none."""
    if isinstance(value, str):
        return 1, 0
    if isinstance(value, dict):
        strings, parts = len(value), list(value.values())
    elif isinstance(value, list):
        strings, parts = 0, value
    else:
        if isinstance(value, int) and value.bit_length() > 64:
            raise ValueError(f"a number of {value.bit_length()} bits")
        return 0, 0
    depth = 0
    for part in parts:
        more, deeper = measure(part)
        strings, depth = strings + more, max(depth, deeper)
    return strings, depth + 1
