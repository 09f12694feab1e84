"""Names on their way to Azure ML: each is matched before it becomes part of an address, a tag or a job's input.

Base model and version come out of an uploader's `snapshot.json`, others out of settings, rows and tags. In an address
that is asked with the app's identity, `..`, `/`, `?` or `%2e` would mean another resource; a line feed would forge a
line of the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shared.errors import InvalidName

# What Azure ML allows for any of them; most allow less.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
# Of a model: below a registry, or below a workspace.
_MODEL_ID = re.compile(r"(azureml://|/)[\w./()-]{1,500}")
_FILE = re.compile(r"azureml://datastores/[A-Za-z0-9_]{1,255}/paths/[A-Za-z0-9._/-]{1,500}")
# Texts of tags and inputs: printable; `${{` would be an expression of the pipeline.
_TEXT = re.compile(r"(?!.*\$\{\{)[\x20-\x7e]{0,256}")


def named(kind: str, *names: str) -> str:
    """The kind of thing and its name, for messages. Raises InvalidName unless each part is the name of a resource."""
    for name in names:
        _match(_NAME, kind, name, "1 to 255 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit")
    return f"{kind} {'/'.join(names)}"


def check_tags(tags: Mapping[str, str]) -> None:
    """Raises InvalidName for a tag that is not plain text."""
    for key, value in tags.items():
        named("tag", key)
        check_text(f"tag {key}", value)


def check_text(what: str, text: str) -> None:
    """Raises InvalidName for a text that is not plain, or would be an expression of the pipeline."""
    _match(_TEXT, what, text, "up to 256 printable characters, and no expression")


def check_data_path(what: str, path: str) -> None:
    """Raises InvalidName unless it is the address of a file below a datastore."""
    _match(_FILE, what, path, "a path below a datastore")
    _check_steps(what, path)


def check_model_id(model_id: str) -> None:
    """Raises InvalidName unless it is the id of a model, below a registry or a workspace."""
    _match(_MODEL_ID, "model", model_id, "the id of a model")
    _check_steps("model", model_id)


def _check_steps(what: str, path: str) -> None:
    if {".", ".."} & set(path.split("/")):
        raise InvalidName(f"{what} {_shown(path)} has a part `.` or `..`, which means something else")


def _match(pattern: re.Pattern[str], what: str, text: Any, expected: str) -> None:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise InvalidName(f"{what} {_shown(text)}: expected {expected}")


def _shown(text: Any) -> str:
    """The start of a text, with everything odd in it made harmless."""
    shown = str(text)
    return ascii(shown[:60]) + (f" and {len(shown) - 60} characters more" if len(shown) > 60 else "")
