"""Writes the generated parts of the pages: the two life cycles, the settings, and the map of the rooms.

Run by a person (`python -m scripts.docs`) after a change of the life cycles, the settings or the linter's contracts;
tests/test_docs.py fails until it was run. Generated parts stand between `<!-- generated: NAME -->` and `<!-- end -->`.
Running it twice changes nothing.
"""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from cli import check, doctor, ledger
from cli.__main__ import app
from cli.failures import MEANINGS
from scripts import costs, large_files, routes
from shared.config.hyperparameters import Hyperparameters
from shared.config.options import KEYS
from shared.config.settings import REMOVED, Settings, setting_name
from shared.conversion.converter import CHANGES
from shared.conversion.recognition import SHAPES
from shared.conversion.values import REASONS
from shared.ledger import notices
from shared.ledger.states import DATASET, SNAPSHOT
from shared.serving.fields import HintField, NeutralField, TakenField, marked
from shared.serving.requests import ChatRequest
from shared.serving.turns import ChatTurn
from shared.validation.policy import LIMITS, setting_of

ROOT = Path(__file__).parent.parent
_WITH_PARTS = (
    "life-cycles",
    "settings",
    "chat-requests",
    "command-line",
    "deploy",
    "bring-your-data",
    "snapshot-options",
    "notifications",
    "operate",
    "reference",
)
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs" / f"{name}.md" for name in _WITH_PARTS),
)
# What somebody decides who sets the app up; docs/settings.md has all.
DECIDED_BY_USERS = (
    "data",
    "azure_subscription_id",
    "azure_resource_group",
    "azureml_workspace",
    "scoring_keys",
    "base_model",
    "hyperparameters",
    "training_compute",
    "training_instance_type",
    "serving_instance_type",
    "max_runs_per_day",
    "validation_max_bad_percent",
    "rollout_stages",
    "idle_hours",
)
_BOUNDS = {"ge": "from", "gt": "above", "le": "up to", "lt": "below"}
_STRICTER = {"lower": "lower", "higher": "higher", "later": "stricter: of the values, one that comes later"}
_PART = re.compile(r"(?<=<!-- generated: )(?P<name>[a-z-]+) -->\n.*?(?=<!-- end -->)", re.DOTALL)


@cache
def parts() -> dict[str, str]:
    """Every generated part by its name."""
    return {
        "snapshot-diagram": f"```mermaid\n{SNAPSHOT.diagram()}\n```",
        "dataset-diagram": f"```mermaid\n{DATASET.diagram()}\n```",
        "main-settings": settings_table(DECIDED_BY_USERS, rooms=False),
        "settings": all_settings(),
        "removed-settings": "\n".join(f"- `{name}`: {reason}." for name, reason in sorted(REMOVED.items())),
        "rooms": rooms(),
        "costs": costs.table(),
        "large-files": large_files.table(),
        "request-fields": request_fields(),
        "commands": commands(),
        "program-options": program_options(),
        "routes": routes.table(),
        "options": "\n".join(["| key | what it says |", "|---|---|", *(f"| `{k}` | {v} |" for k, v in KEYS.items())]),
        "hyperparameters": hyperparameters(),
        "snapshot-limits": snapshot_limits(),
        "shapes": shapes(),
        "conversions": conversions(),
        "notification-types": notification_types(),
    }


def settings_table(names: Iterable[str], *, rooms: bool) -> str:
    """Name, default and help of settings, and on request the rooms that read them."""
    head = ["| setting | default | what it says |", "|---|---|---|"]
    if rooms:
        head = ["| setting | default | what it says | read by |", "|---|---|---|---|"]
    rows = []
    for name in names:
        field = Settings.model_fields[name]
        row = f"| `{setting_name(name)}` | {_default(field)} | {field.description} |"
        rows.append(f"{row} {', '.join(readers(name))} |" if rooms else row)
    return "\n".join([*head, *rows])


def all_settings() -> str:
    """Every setting, a table for each group in the order of the class."""
    groups = [base for base in Settings.__bases__ if base.__name__.endswith("Group")]
    return "\n\n".join(
        f"## {(group.__doc__ or '').rstrip('.')}\n\n{settings_table(vars(group)['__annotations__'], rooms=True)}"
        for group in groups
    )


def readers(name: str) -> list[str]:
    """The rooms of the app that read a setting."""
    as_a_setting = rf"(?:settings(?:\(\))?|given)\.{name}\b|%{name.upper()}%"
    found = _rooms_with(as_a_setting) or _rooms_with(rf"\.{name}\b")
    found |= set() if found else _rooms_with(rf"\.{name.partition('_')[2]}\b")  # the gate's come without their prefix
    if name.upper() in map(setting_of, LIMITS):
        found.add("snapshots")
    return sorted(found)


def _rooms_with(pattern: str) -> set[str]:
    read = re.compile(pattern)
    return {
        path.relative_to(ROOT).parts[1 if path.is_relative_to(ROOT / "shared") else 0].removesuffix(".py")
        for folder in ("functions", "shared")
        for path in (ROOT / folder).rglob("*.py")
        if "config" not in path.parts and read.search(path.read_text("utf-8"))
    }


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value == "" or isinstance(value, SecretStr):
        return ""
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"`{json.dumps(value) if isinstance(value, bool | dict) else value}`"


def commands() -> str:
    """Every command of `droptune` with what can be given to it, and the exit statuses."""
    rows = ["| command | what it does |", "|---|---|"]
    options = []
    for name, command in _command_group().commands.items():
        given = [_given(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        shown = " ".join([f"droptune {name}", *(text for kind, text, _ in given if kind == "argument")])
        rows.append(f"| `{shown}` | {(command.help or '').strip()} |")
        options += [f"| `{name}` | `{text}` | {about} |" for kind, text, about in given if kind == "option"]
    head = ["", "| command | option | what it says |", "|---|---|---|"]
    statuses = [
        "",
        "| exit status | what it says |",
        "|---|---|",
        *(f"| {s.value} | {m} |" for s, m in MEANINGS.items()),
    ]
    return "\n".join([*rows, *head, *options, *statuses])


def program_options() -> str:
    """What can be given to the commands that are programs of their own."""
    rows = ["| command | option | what it says |", "|---|---|---|"]
    for module in (check, doctor, ledger):
        name = module.__name__.rpartition(".")[2]
        for action in module.parser()._actions:
            shown = ", ".join(action.option_strings) or str(action.metavar)
            if action.dest != "help":
                rows.append(
                    f"| `{name}` | `{shown}` | {(action.help or '').strip() or action.dest.replace('_', ' ')} |"
                )
    return "\n".join(rows)


def hyperparameters() -> str:
    """Every hyperparameter with its default and the values that it may have."""
    rows = ["| hyperparameter | default | values | what it says |", "|---|---|---|---|"]
    for name, field in Hyperparameters.model_fields.items():
        rows.append(f"| `{name}` | `{field.default}` | {_values(field)} | {field.description} |")
    return "\n".join(rows)


def _values(field: FieldInfo) -> str:
    """The values that a field may have, in words."""
    if choices := get_args(field.annotation):
        return ", ".join(f"`{choice}`" for choice in choices)
    bounds = {kind: getattr(one, kind) for one in field.metadata for kind in _BOUNDS if hasattr(one, kind)}
    words = [f"{_BOUNDS[kind]} {bound:g}" for kind, bound in bounds.items()]
    return " ".join(["a whole number" if field.annotation is int else "a number", " and ".join(words)]).strip()


def snapshot_limits() -> str:
    """The limits that a snapshot may set for itself, and which way."""
    rows = ["| limit | may be | what it says |", "|---|---|---|"]
    for name, limit in LIMITS.items():
        if limit.tighter:
            rows.append(f"| `{name}` | {_STRICTER[limit.tighter]} | {limit.help} |")
    return "\n".join(rows)


def shapes() -> str:
    """Every shape that rows are read in: its name, a row, and what becomes of it."""
    rows = ["| shape | a row | what becomes of it |", "|---|---|---|"]
    for shape in SHAPES.values():
        example = shape.example.replace("|", "\\|")
        rows.append(f"| `{shape.name}` | `{example}` | {shape.becomes} {shape.also} |")
    return "\n".join(rows)


def conversions() -> str:
    """What may be changed in a row, and why a row may be left out, beyond the rules."""
    rows = ["| name | what it says |", "|---|---|"]
    rows += [f"| `{name}` | {about} |" for name, about in CHANGES.items()]
    rows += [f"| `{name}` | the row is left out: {about} |" for name, about in REASONS.items()]
    return "\n".join(rows)


def _command_group() -> Any:
    import typer

    return typer.main.get_command(app)


def _given(parameter: Any) -> tuple[str, str, str]:
    """Whether something is an argument or an option, how it is written, and what it says."""
    about = parameter.help or ""
    if parameter.param_type_name == "argument":
        return "argument", parameter.metavar or parameter.name.upper(), about
    names = ", ".join(parameter.opts) + "".join(f"/{name}" for name in parameter.secondary_opts)
    return "option", names, about


def notification_types() -> str:
    """The types of events, when each comes, and the fields of its data."""
    rows = ["| type | when it comes | `data` |", "|---|---|---|"]
    for kind in notices.TYPES:
        about = " ".join((kind.__doc__ or "").split())
        fields = ", ".join(f"`{name}`" for name in kind.__struct_fields__)
        rows.append(f"| `{notices.PREFIX}{kind.__name__}` | {about} | {fields} |")
    return "\n".join(rows)


def rooms() -> str:
    """The rooms as layers, top to bottom as in the linter's contract, each with what its package says of itself."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:rooms"]["layers"].split("\n")
    rows = []
    for layer in filter(None, layers):
        names = [name.strip() for name in layer.split("|")]
        rows += [f"| `{name}` | {_purpose(name)} |" for name in names]
    return "\n".join(["| room | what is in it |", "|---|---|", *rows])


def request_fields() -> str:
    """The fields of a chat request and of its turns, by how they are treated."""
    rows = ["| treated | fields of the request | fields of a turn |", "|---|---|---|"]
    treatments = (
        ("used", None, False),
        ("taken, not used", TakenField, False),
        ("a hint, passed on to an OpenAI route, else named in the header", HintField, True),
        ("a hint, named in the header", HintField, False),
    )
    for treated, kind, passed in treatments:
        rows.append(f"| {treated} | {_fields(ChatRequest, kind, passed)} | {_fields(ChatTurn, kind, passed)} |")
    for passed, head in (
        (True, "passed on to an OpenAI route; at `/score` refused, but at these values"),
        (False, "refused, but at these values"),
    ):
        rows += ["", f"| {head} | why |", "|---|---|"]
        for name, mark in [*marked(ChatRequest), *((f"messages[].{name}", mark) for name, mark in marked(ChatTurn))]:
            if isinstance(mark, NeutralField) and mark.passed == passed:
                values = " ".join(f"`{json.dumps(value)}`" for value in mark.values) or "`null`"
                rows.append(f"| `{name}`: {values} | {mark.why} |")
    return "\n".join(rows)


def _fields(model: type[BaseModel], kind: type | None, passed: bool) -> str:
    marks = dict(marked(model))
    found = [
        name
        for name in model.model_fields
        if (type(marks[name]) if name in marks else None) is kind
        and getattr(marks.get(name), "passed", False) == passed
    ]
    return ", ".join(f"`{name}`" for name in found)


def _purpose(room: str) -> str:
    """The first paragraph of a room's docstring."""
    path = ROOT / "shared" / room
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = re.match(r'\s*"""(.*?)(?:\n\n|""")', source.read_text("utf-8"), re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def written(text: str) -> str:
    """The text with every generated part as it has to be; KeyError for a marker nobody knows."""
    known = parts()
    return _PART.sub(lambda found: f"{found['name']} -->\n{known[found['name']]}\n", text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(written(page.read_text("utf-8")), "utf-8")
