"""The table of all routes for docs/reference.md, as the functions describe themselves. Called by `scripts.docs`.

The app is indexed in a process of its own, with nothing but the settings that it needs for that. A repeat gives the
same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_NEEDED = dict.fromkeys(("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE", "DATA"), "none")
_INDEX = """
import dataclasses, json
import function_app
from functions import web
found = [*web.ROUTES, *(route for route, _ in web.PAGE_ROUTES)]
print(json.dumps([dataclasses.asdict(route) for route in found]))
"""
_CALLERS = {
    "ask": "one of `SCORING_KEYS`, or a function key",
    "function": "a function key",
    "admin": "the master key",
    "anybody": "none",
}


@cache
def routes() -> list[dict[str, Any]]:
    """Every route, with the fields of `ApiRoute`."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **_NEEDED}
    done = subprocess.run(
        [sys.executable, "-c", _INDEX], env=environment, capture_output=True, text=True, cwd=ROOT, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def table() -> str:
    """One row a route: what it does, which key it needs, what can be asked of it, and how it may answer."""
    head = ["| route | what it does | key | parameters | answers |", "|---|---|---|---|---|"]
    return "\n".join([*head, *_rows()])


def _rows() -> Iterator[str]:
    for route in sorted(routes(), key=lambda route: (route["path"].split("/")[0], route["path"], route["method"])):
        asked = "<br>".join(f"`{name}`: {text}" for name, text in route["query"])
        body = f"body: `{route['body']}`" if route["body"] else ""
        of_page = route["path"].partition("/")[0] == "ui"
        answers = "HTML" if of_page else ", ".join(map(str, _statuses(route)))
        key = "that of [the page](page.md#signing-in)" if of_page else _CALLERS[route["caller"]]
        parts = (f"`{route['method']} /api/{route['path']}`", _summary(route), key)
        yield f"| {' | '.join(parts)} | {'<br>'.join(filter(None, (body, asked)))} | {answers} |"


def _statuses(route: dict[str, Any]) -> list[int]:
    """How it answers: when it is done, then what is in the way."""
    return [*([200] if route["previews"] else []), route["status"], *route["errors"]]


def _summary(route: dict[str, Any]) -> str:
    return str(route["summary"]).split("\n")[0].rstrip(".").replace("|", "\\|")
