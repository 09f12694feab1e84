"""Names on their way to Azure ML: each is matched before it becomes part of an address, a tag or a job's input.

Base model and version come out of an uploader's `snapshot.json`, others out of settings, rows and tags. In an address
that is asked with the app's identity, `..`, `/`, `?` or `%2e` would mean another resource; a line feed would forge a
line of the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.errors import InvalidName

if TYPE_CHECKING:
    from shared.azure.workspace.deployments import DeploymentSpec
    from shared.azure.workspace.jobs import JobSpec

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
        _match(_TEXT, f"tag {key}", value, "up to 256 printable characters")


def check_job(spec: JobSpec) -> None:
    """Raises InvalidName for a part of the job that is no name, or would mean more than it says."""
    named("job", spec.name)
    named("experiment", spec.experiment)
    named("compute", spec.compute)
    named("component", *spec.component.split(":", 1))
    _match(_TEXT, "display name", spec.display_name, "up to 256 printable characters")
    _check_model_id(spec.model_id)
    check_tags(spec.tags)
    for name, path in spec.files.items():
        _match(_FILE, f"input {name}", path, "a path below a datastore")
        _check_steps(f"input {name}", path)
    for name, value in spec.inputs.items():
        _match(_TEXT, f"input {name}", str(value), "up to 256 printable characters, and no expression")


def check_deployment(spec: DeploymentSpec) -> None:
    """Raises InvalidName for a part of the deployment that is no name."""
    named("deployment", spec.endpoint, spec.name)
    named("machine size", spec.instance_type)
    _check_model_id(spec.model_id)
    check_tags(spec.tags)


def _check_model_id(model_id: str) -> None:
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
