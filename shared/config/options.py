"""A snapshot's own `snapshot.json`: what it may hold. Read by the validate step, and by the command line."""

from __future__ import annotations

import difflib
import json
from typing import Any

from shared.chatdata.formats import printable
from shared.errors import BadSnapshot

NAME = "snapshot.json"
MOST_BYTES = 65_536
KEYS = ("hyperparameters", "base_model", "base_model_version", "note", "validation")


def parsed(data: bytes, path: str) -> dict[str, Any]:
    """The options in it. Raises BadSnapshot, which names the file, for anything else than the known keys."""
    if len(data) > MOST_BYTES:
        raise BadSnapshot(f"{path}: more than the {MOST_BYTES} bytes that are allowed")
    try:
        found = json.loads(data, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadSnapshot(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadSnapshot(f"{path}: expected an object, found {type(found).__name__}")
    for key, value in found.items():
        if key not in KEYS:
            raise BadSnapshot(f"{path}: unknown key '{printable(key)}'{_nearest(key)}")
        wanted = dict if key in ("hyperparameters", "validation") else str
        if not isinstance(value, wanted):
            raise BadSnapshot(f"{path}: {key} must be {wanted.__name__}, found {type(value).__name__}")
    return found


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("the same key twice in one object")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key[:40], KEYS, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(KEYS)}"
