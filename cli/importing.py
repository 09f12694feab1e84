"""`droptune import`: has the app itself import a dataset of the Hugging Face Hub, and follows that.

The app goes on whether or not somebody looks. The same command again finds the import that it asked for before.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments import Json
from cli.failures import CommandFailed, Exit
from cli.listening import POLL_SECONDS
from cli.preparing import command as prepare
from cli.session import app_client

if TYPE_CHECKING:
    from cli.client import AppClient

_ENDED = ("IMPORTED", "IMPORT_FAILED")

Source = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The dataset's name on the Hub.")]
Dataset = Annotated[str, typer.Option(help="The dataset here; default: made of the name on the Hub.")]
Watch = Annotated[bool, typer.Option("--watch/--no-watch", help="Follow the import, then its snapshot.")]


def import_(
    context: typer.Context,
    source: Source,
    dataset: Dataset = "",
    split: prepare.Splits = None,
    subset: prepare.Subset = "",
    revision: prepare.Revision = "",
    fraction: prepare.Fraction = 1.0,
    rows: prepare.MostRows = 0,
    seed: prepare.Seed = 0,
    shape: prepare.Shape = "",
    user: prepare.User = "",
    assistant: prepare.Assistant = "",
    system: prepare.System = "",
    turns: prepare.Turns = "",
    base_model: prepare.BaseModel = "",
    base_model_version: prepare.Version = "",
    hyperparameter: prepare.Hyperparameters = None,
    note: prepare.Note = "",
    watch: Watch = True,
    as_json: Json = False,
) -> None:
    """Have the app import a dataset of the Hub, as far as IMPORT_SOURCES allows it."""
    from cli import printing

    with app_client() as client:
        body = asked(context.params)
        answer = client.post("imports", body, by=getpass.getuser())
        if not watch:
            printing.print_result(answer, f"{answer['id']}: {answer['message']}", as_json)
            raise typer.Exit(Exit.DONE)
        raise typer.Exit(_follow(client, answer, as_json))


def asked(given: dict[str, Any]) -> dict[str, Any]:
    """The body of the request, without what was not given. Raises CommandFailed for options that the app refuses."""
    from pathlib import Path

    from cli.prepare import dataset_name, options_of
    from shared.errors import BadSnapshot

    hyperparameters = given["hyperparameter"] or ()
    try:
        options = options_of(given["base_model"], given["base_model_version"], hyperparameters, given["note"])
    except (ValueError, BadSnapshot) as error:
        raise CommandFailed(Exit.USAGE, str(error)) from error
    alike = ("source", "subset", "revision", "rows", "seed", "shape", "assistant", "system", "turns")
    body = {
        **{name: given[name] for name in alike if given[name]},
        "dataset": given["dataset"] or dataset_name(given["source"], Path(given["source"].rsplit("/", 1)[-1])),
        "splits": list(given["split"] or ()),
        "user": [name.strip() for name in given["user"].split(",") if name.strip()],
        "options": options,
    }
    if given["fraction"] != 1:
        body["fraction"] = given["fraction"]
    return {name: value for name, value in body.items() if value}


def _follow(client: AppClient, answer: dict[str, Any], as_json: bool) -> Exit:
    """Prints how far it is until it has ended, then follows its snapshot."""
    from cli import printing, watching

    last: dict[str, Any] = {}
    try:
        for last in progress(client, answer["id"]):
            if as_json:
                printing.print_json_line(last)
            else:
                printing.print_line(_line(last))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    if last["state"] != "IMPORTED":
        return Exit.FAILED
    return watching.follow(client, last["snapshot"], as_json)


def progress(
    client: AppClient, import_id: str, sleep: Callable[[float], None] | None = None
) -> Iterator[dict[str, Any]]:
    """An import each time that it got further, its end last. Raises CommandFailed."""
    before: tuple[Any, ...] = ()
    while True:
        found = client.get(f"imports/{import_id}")
        now = (found["state"], found["parts"]["done"], found["waiting"])
        if now != before:
            yield found
        if found["state"] in _ENDED:
            return
        before = now
        (sleep or time.sleep)(POLL_SECONDS)


def _line(found: dict[str, Any]) -> str:
    parts, rows = found["parts"], sum(found["rows"]["written"].values())
    text = f"{found['id']} {found['state']}"
    if parts["of"]:
        text += f": {parts['done']} of {parts['of']} parts, {rows} rows"
    left_out = sum(found["rows"]["left_out"].values())
    text += f", {left_out} left out" if left_out else ""
    return f"{text}; {found['reason'] or found['waiting']}" if found["reason"] or found["waiting"] else text
