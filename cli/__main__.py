"""`droptune`: the command line. The table of contents; each command is one call into a file named for it.

    python -m cli --help

It talks to the app that the environment names, else to the local cloud of the checkout (see `target`). Commands are
loaded when they run, so that help and completion come at once.
"""

from __future__ import annotations

import os
import sys
import textwrap
from inspect import getdoc
from pathlib import Path
from typing import Annotated

import typer

from cli import requesting
from cli.arguments import Before, Json, Limit, Prefix, SnapshotName
from cli.failures import MEANINGS, CommandFailed, Exit
from cli.importing import import_
from cli.preparing.command import prepare
from cli.session import app_client as _client
from cli.session import failures as _failures

# The mark keeps what comes after it from being made one paragraph.
_STATUSES = "\b\nExit statuses:\n" + "\n".join(
    textwrap.fill(meaning, 78, initial_indent=f"{status.value:>3}  ", subsequent_indent=" " * 5)
    for status, meaning in MEANINGS.items()
)
app = typer.Typer(
    name="droptune",
    help="Drop chat data, get a fine-tuned model that answers.",
    epilog=_STATUSES,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.callback()
def choose_app(
    address: Annotated[
        str, typer.Option("--app", metavar="URL", help="The app to talk to, with DROPTUNE_KEY; else DROPTUNE_APP.")
    ] = "",
) -> None:
    """Drop chat data, get a fine-tuned model that answers."""
    if address:
        os.environ["DROPTUNE_APP"] = address


@app.command(context_settings=PASS_ON)
def check(context: typer.Context) -> None:
    """Check files before they are dropped, by the rules of the app."""
    from cli.check import main

    raise typer.Exit(main(context.args))


app.command()(prepare)
app.command("import")(import_)


@app.command()
def drop(
    source: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER", help=".jsonl, .jsonl.gz, .parquet, or a folder.")],
    dataset: Annotated[str, typer.Option(help="The dataset; default: the file's or folder's own name.")] = "",
    checked: Annotated[bool, typer.Option("--check/--no-check", help="Check the rows before the upload.")] = True,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Follow the snapshot until it ends.")] = True,
    as_json: Json = False,
) -> None:
    """Upload a file or folder as a snapshot, and watch what becomes of it."""
    from cli import dropping

    with _client() as client:
        raise typer.Exit(dropping.drop(client, source, dataset, checked=checked, follow=watch, as_json=as_json))


@app.command()
def watch(snapshot: SnapshotName, as_json: Json = False) -> None:
    """Follow a snapshot until it is live, or ended otherwise."""
    from cli.watching import follow

    with _client() as client:
        raise typer.Exit(follow(client, client.snapshot_id(snapshot), as_json))


@app.command("ls")
def list_(
    dataset: Annotated[str, typer.Argument(metavar="[DATASET]", help="Only the snapshots of this dataset.")] = "",
    datasets: Annotated[bool, typer.Option("--datasets", "-d", help="List datasets, and what they cost now.")] = False,
    refused: Annotated[bool, typer.Option("--refused", help="List uploads that were refused.")] = False,
    state: Annotated[str, typer.Option(help="Only those in this state.")] = "",
    prefix: Prefix = "",
    sort: Annotated[str, typer.Option(help="Datasets by name, price, spent, calls, asked or since.")] = "",
    limit: Limit = "",
    before: Before = "",
    as_json: Json = False,
) -> None:
    """List snapshots, newest first, and refused uploads; or datasets."""
    from cli import showing

    asked = {"state": state, "limit": limit, "before": before}
    with _client() as client:
        if (prefix or sort) and not datasets:
            raise CommandFailed(Exit.USAGE, "--prefix and --sort go with --datasets")
        if refused:
            showing.list_refusals(client, dataset, as_json, limit=limit, before=before)
        elif datasets:
            showing.list_datasets(client, as_json, prefix=prefix or dataset, sort=sort, **asked)
        else:
            showing.list_snapshots(client, dataset, as_json, **asked)


@app.command()
def costs(
    dataset: Annotated[str, typer.Argument(metavar="[DATASET]", help="Its snapshots, instead of all datasets.")] = "",
    month: Annotated[str, typer.Option(help="Such as 2026-11; default: this one.")] = "",
    nights: Annotated[bool, typer.Option("--nights", help="What each nightly round saved, newest first.")] = False,
    prefix: Prefix = "",
    sort: Annotated[str, typer.Option(help="By name, or by what was spent.")] = "",
    limit: Limit = "",
    before: Before = "",
    as_json: Json = False,
) -> None:
    """What training and serving cost in a month, by dataset or snapshot; and what is not counted."""
    from cli import costing

    paged = {"limit": limit, "before": before}
    with _client() as client:
        if nights:
            costing.nights(client, as_json, month=month, **paged)
        elif dataset:
            costing.costs(client, client.dataset_name(dataset), as_json, month=month)
        else:
            costing.costs(client, "", as_json, month=month, prefix=prefix, sort=sort, **paged)


@app.command()
def prices(
    region: Annotated[str, typer.Option(envvar="AZURE_LOCATION", help="The workspace's, such as westeurope.")] = "",
    size: Annotated[list[str] | None, typer.Option(help="A machine size; several times for several.")] = None,
    currency: Annotated[str, typer.Option(help="Three letters.")] = "USD",
    write: Annotated[bool, typer.Option("--write", help="Put them into local.settings.json.")] = False,
    name: Annotated[str, typer.Option(help="The app's name, for the command that sets them in Azure.")] = "",
    group: Annotated[str, typer.Option(help="Its resource group, for the same.")] = "",
    old_name: Annotated[str, typer.Option("--app", hidden=True, help="What --name was before.")] = "",
    address: Annotated[str, typer.Option(help="Of the price list.")] = "https://prices.azure.com/api/retail/prices",
    as_json: Json = False,
) -> None:
    """Ask Azure's public price list what the machines of the settings cost, and print the settings for it."""
    from cli import prices

    with _failures():
        if "/" in old_name:
            raise CommandFailed(Exit.USAGE, "prices asks Azure's price list and no app; --name takes the app's name")
        app_name = name or old_name
        raise typer.Exit(
            prices.prices(
                size or (), region, currency.upper(),
                address=address, write=write, app=app_name, group=group, as_json=as_json,
            )
        )  # fmt: skip


@app.command()
def show(snapshot: SnapshotName, as_json: Json = False) -> None:
    """Everything about one snapshot."""
    from cli import showing

    with _client() as client:
        showing.show(client, client.snapshot_id(snapshot), as_json)


@app.command()
def report(snapshot: SnapshotName, as_json: Json = False) -> None:
    """The validation report of a snapshot: every finding with its rows. Status 1 if it was rejected."""
    from cli import showing

    with _client() as client:
        raise typer.Exit(0 if showing.report(client, client.snapshot_id(snapshot), as_json) else Exit.FAILED)


@app.command()
def logs(snapshot: SnapshotName, as_json: Json = False) -> None:
    """The ends of the logs of training steps and deployments that failed."""
    from cli import showing

    with _client() as client:
        showing.logs(client, client.snapshot_id(snapshot), as_json)


@app.command()
def ask(
    model: Annotated[str, typer.Argument(metavar="DATASET", help="A dataset, or DATASET@SNAPSHOT for one release.")],
    question: Annotated[str, typer.Argument(metavar="[QUESTION]", help="Without: a chat.")] = "",
    system: Annotated[str, typer.Option(help="A system turn to begin with.")] = "",
    max_tokens: Annotated[int, typer.Option(help="Tokens that the answer may have; 0: the app's own limit.")] = 0,
) -> None:
    """Ask a model one question, or chat with it."""
    from cli import asking

    turns = [{"role": "system", "content": system}] if system else []
    parameters = {"max_tokens": max_tokens} if max_tokens else {}
    with _client() as client:
        if question or not sys.stdin.isatty():
            turns.append({"role": "user", "content": question or sys.stdin.read()})
            asking.once(client, model, turns, **parameters)
        else:
            asking.chat(client, model, turns, _read_question, **parameters)


def _read_question() -> str:
    try:
        return input("> ")
    except EOFError:
        return ""


for command in requesting.COMMANDS:
    app.command()(command)


@app.command()
def night(
    dry_run: Annotated[bool, typer.Option("--dry-run/--for-real", help="Only say what would be done.")] = True,
    as_json: Json = False,
) -> None:
    """Make the nightly cleanup now; dry by default, which says what it would remove and save."""
    import getpass

    from cli import nights

    with _client() as client:
        nights.night(client, dry_run=dry_run, by=getpass.getuser(), as_json=as_json)


@app.command("open")
def open_(
    name: Annotated[str, typer.Argument(metavar="[DATASET_OR_SNAPSHOT]", help="Without: what there is.")] = "",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Only print the address.")] = True,
    as_json: Json = False,
) -> None:
    """Open the app's page in the browser, signed in, and print its address."""
    import webbrowser

    from cli import opening
    from shared import naming

    path = f"/{'snapshots' if naming.dataset_of(name) else 'datasets'}/{name}" if name else ""
    with _client() as client:
        opening.open_page(client.target, path, webbrowser.open if browser else None, as_json)


@app.command()
def rm(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The whole name of a dataset.")],
    files: Annotated[bool, typer.Option("--files", help="What was dropped goes as well.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a dataset with everything that is its own, after showing what goes and what stays."""
    import getpass

    from cli import removing

    with _client() as client:
        raise typer.Exit(removing.remove(client, dataset, files=files, yes=yes, by=getpass.getuser(), as_json=as_json))


@app.command(context_settings=PASS_ON)
def ledger(context: typer.Context) -> None:
    """Look for what is damaged in the ledger, mend it or set it aside."""
    from cli.ledger import main

    raise typer.Exit(main(context.args))


@app.command(context_settings=PASS_ON)
def doctor(context: typer.Context) -> None:
    """Say what is wrong with an installation, and what mends it."""
    from cli.doctor import main

    raise typer.Exit(main(context.args))


@app.command(context_settings=PASS_ON)
def settings(context: typer.Context) -> None:
    """Say whether the app's settings in the environment are right, and what misspelt ones were meant to be."""
    from cli.settings import main

    raise typer.Exit(main(context.args))


for _command in app.registered_commands:  # whole in the list of commands: what is not said to be short is cut there
    _command.short_help = getdoc(_command.callback)

if __name__ == "__main__":
    app(prog_name="droptune")
