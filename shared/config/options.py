"""A snapshot's own `snapshot.json`: what it may hold. Read by the validate step, and by the command line.

Whoever may upload chooses every character of it, and parts of it become names in addresses and logs: each is matched
here, before anything else sees it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

from shared.chatdata.formats import printable
from shared.errors import BadSnapshot

NAME = "snapshot.json"
MOST_BYTES = 65_536
KEYS = {
    "hyperparameters": "An object of hyperparameters by name, over those of the model and of `HYPERPARAMETERS`.",
    "base_model": "The model that is trained, by its name in the registry, in place of `BASE_MODEL`.",
    "base_model_version": "Its version; without it the latest.",
    "validation": "An object of limits for the rows, each at least as strict as the operator's.",
    "note": "What the snapshot is, for people: one line, 500 characters of which are kept.",
}
"""What may stand in it, and what it says."""
# Names of models and versions become parts of addresses; the registry has no others.
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MODEL_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,29}")
# Beyond it no double holds every whole number, and a row cannot be written.
MOST_NUMBER = 2**53
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
"""What JSON calls the types of its values."""


def parsed(data: bytes, path: str) -> dict[str, Any]:
    """The options in it. Raises BadSnapshot, which names the file, the key and what is expected, for anything else."""
    if len(data) > MOST_BYTES:
        raise BadSnapshot(f"{path}: more than the {MOST_BYTES} bytes that are allowed")
    try:
        found = json.loads(data, object_pairs_hook=_once, parse_constant=_no_number, parse_int=_whole_number)
    except UnicodeDecodeError as error:
        raise BadSnapshot(f"{path}: not JSON: byte {error.start + 1} is no UTF-8; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise BadSnapshot(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadSnapshot(f"{path}: expected an object, found {_kind(found)}")
    for where, problem in _problems(found, ""):
        raise BadSnapshot(f"{path}: {where}: {problem}")
    for key, value in found.items():
        _check_option(key, value, path)
    return found


def _check_option(key: str, value: object, path: str) -> None:
    if key not in KEYS:
        raise BadSnapshot(f"{path}: unknown key '{printable(key)}'{_nearest(key)}")
    wanted = dict if key in ("hyperparameters", "validation") else str
    if not isinstance(value, wanted):
        raise BadSnapshot(f"{path}: {key} must be {_KINDS[wanted]}, found {_kind(value)}")
    pattern = {"base_model": MODEL_NAME, "base_model_version": MODEL_VERSION}.get(key)
    if pattern and isinstance(value, str) and not pattern.fullmatch(value):
        longest = 100 if pattern is MODEL_NAME else 30
        raise BadSnapshot(
            f"{path}: {key} must be 1 to {longest} of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or a "
            f"digit, as in the registry; found '{printable(value)}'"
        )


def _problems(value: object, where: str) -> Iterator[tuple[str, str]]:
    """What no record can hold, at any depth: half a surrogate pair, a number beyond any meaning."""
    if isinstance(value, str):
        if any("\ud800" <= c <= "\udfff" for c in value):
            yield where, "half of a surrogate pair, which is no text"
    elif isinstance(value, int | float):
        if abs(value) > MOST_NUMBER:
            yield where, f"a number beyond {MOST_NUMBER}"
    elif isinstance(value, dict):
        for key, inner in value.items():
            name = f"{where}.{printable(key)}" if where else printable(key)
            yield from _problems(key, name)
            yield from _problems(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _problems(inner, where)


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("the same key twice in one object")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _whole_number(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits.lstrip('-'))} digits, beyond {MOST_NUMBER}")
    return int(digits)


def _kind(value: object) -> str:
    return "null" if value is None else _KINDS[type(value)]


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key[:40], KEYS, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(KEYS)}"
