"""What a person asks of a snapshot or a dataset with one request: each is a route, and says what will happen.

Registered by the table of contents, `cli.__main__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments import DatasetName, Json, SnapshotName
from cli.session import app_client

if TYPE_CHECKING:
    from cli.client import AppClient


def retry(snapshot: SnapshotName, as_json: Json = False) -> None:
    """Go on with a snapshot that failed, or that waits for a person."""
    _request("snapshots/{name}/retry", _snapshot, snapshot, as_json)


def override(
    snapshot: SnapshotName,
    what: Annotated[str, typer.Option(help="Names of checks, with commas between; default: those that block it.")] = "",
    as_json: Json = False,
) -> None:
    """Excuse checks for one snapshot, on record, and take it after all."""
    _request("snapshots/{name}/override", _snapshot, snapshot, as_json, what=what)


def cancel(
    snapshot: SnapshotName,
    reason: Annotated[str, typer.Option(help="Why, in words: it is kept with the snapshot.")] = "",
    as_json: Json = False,
) -> None:
    """End a snapshot that does not serve yet: its job is canceled, or its release taken back."""
    _request("snapshots/{name}/cancel", _snapshot, snapshot, as_json, reason=reason)


def sleep(dataset: DatasetName, as_json: Json = False) -> None:
    """Remove a live dataset's endpoint, which costs money; its model is kept."""
    _request("datasets/{name}/sleep", _dataset, dataset, as_json)


def wake(dataset: DatasetName, as_json: Json = False) -> None:
    """Make a sleeping dataset's endpoint again."""
    _request("datasets/{name}/wake", _dataset, dataset, as_json)


def rollback(dataset: DatasetName, as_json: Json = False) -> None:
    """Go back to the release before; during a rollout, take the candidate back."""
    _request("datasets/{name}/rollback", _dataset, dataset, as_json)


def resume(dataset: DatasetName, as_json: Json = False) -> None:
    """Go on with a dataset that waits for a person."""
    _request("datasets/{name}/resume", _dataset, dataset, as_json)


def pause(
    dataset: DatasetName,
    reason: Annotated[str, typer.Option(help="Why, in words: it is kept with the dataset.")] = "",
    as_json: Json = False,
) -> None:
    """Have a dataset begin nothing that costs money: new snapshots are checked and wait, what serves goes on."""
    _request("datasets/{name}/pause", _dataset, dataset, as_json, reason=reason)


def unpause(dataset: DatasetName, as_json: Json = False) -> None:
    """Have a paused dataset go on; the newest of what waited is taken first."""
    _request("datasets/{name}/unpause", _dataset, dataset, as_json)


COMMANDS = (retry, override, cancel, sleep, wake, rollback, resume, pause, unpause)


def _snapshot(client: AppClient, name: str) -> str:
    return client.snapshot_id(name)


def _dataset(client: AppClient, name: str) -> str:
    return client.dataset_name(name)


def _request(route: str, resolve: Callable[[AppClient, str], str], name: str, as_json: bool, **query: str) -> None:
    """Asks the app for something, and prints what it says will happen."""
    import getpass

    from cli import printing

    with app_client() as client:
        found: Any = client.post(route.format(name=resolve(client, name)), by=getpass.getuser(), **query)
    printing.print_result(found, found["message"], as_json)
