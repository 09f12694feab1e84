"""Every pattern of the app takes time in proportion to the text: whoever uploads or asks chooses the text."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import shared

SIZE = 1 << 17
"""A pattern whose time grows with the square of the text needs minutes for so many characters."""
MOST_SECONDS = 60


def patterns() -> dict[str, tuple[re.Pattern[Any], str]]:
    """Every compiled pattern of a module of the app, and the method that it is used by."""
    found: dict[str, tuple[re.Pattern[Any], str]] = {}
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        loaded = importlib.import_module(module.name)
        for name, value in vars(loaded).items():
            for at, pattern in enumerate(_within(value)):
                used = re.search(
                    rf"{name}\.(search|match|fullmatch|findall|finditer|sub|split)", inspect.getsource(loaded)
                )
                method = "fullmatch" if used and used[1] in ("match", "fullmatch") else "search"
                found[f"{module.name}.{name}[{at}]"] = pattern, method
    return found


def _within(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple):
        for inner in value:
            yield from _within(inner)


def texts(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Beginnings of a match, over and over: what makes a search start everywhere and fail late."""
    example = "".join(_example(re._parser.parse(pattern.pattern, pattern.flags)))
    beginnings = {example[:length] for length in (1, 2, 3, 4, 5, 6, 8, 12, 20, 30, len(example) - 1, len(example))}
    for beginning in sorted(beginnings - {""}):
        yield beginning * (SIZE // len(beginning)) + "\0"
        for odd in (" ", "-", "a"):
            yield beginning + odd * SIZE + "\0"
            yield (beginning + odd) * (SIZE // (len(beginning) + 1)) + "\0"


def _example(parsed: Any) -> Iterator[str]:
    for kind, value in parsed:
        name = str(kind)
        if name == "LITERAL":
            yield chr(value)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            for _ in range(max(1, min(value[0], 50))):
                yield from _example(value[2])
        elif name == "SUBPATTERN":
            yield from _example(value[3])
        elif name == "ATOMIC_GROUP":
            yield from _example(value)
        elif name == "BRANCH":
            yield from _example(value[1][0])
        elif name in ("IN", "NOT_LITERAL", "ANY"):
            yield _member(value if name == "IN" else [])


def _member(items: Any) -> str:
    for kind, value in items:
        if str(kind) == "LITERAL":
            return chr(value)
        if str(kind) == "RANGE":
            return chr(value[0])
    return "a"


CHILD = """
import sys
from tests.shared.test_patterns import patterns, texts
for name, (pattern, method) in patterns().items():
    print(name, flush=True)
    for text in texts(pattern):
        getattr(pattern, method)(text.encode() if isinstance(pattern.pattern, bytes) else text)
"""


def test_patterns_are_linear() -> None:
    """No time is measured: a pattern that is not linear does not end."""
    try:
        done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, timeout=MOST_SECONDS, check=True)
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"not linear: {(late.stdout or b'').decode().splitlines()[-1:]}")
    assert len(done.stdout.splitlines()) > 30
