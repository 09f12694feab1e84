"""Which app the commands talk to: the one that the environment names, else the local cloud of this checkout.

    DROPTUNE_APP      https://<your app>.azurewebsites.net
    DROPTUNE_KEY      a function key of it, which SCORING_KEYS has as well
    DROPTUNE_STORAGE  https://<account>.blob.core.windows.net (your own sign-in counts), or a connection string

Keys come from the environment and never from an option: other users of a machine can read command lines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.failures import CommandFailed, Exit

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

APP, KEY, STORAGE = "DROPTUNE_APP", "DROPTUNE_KEY", "DROPTUNE_STORAGE"
RECORD = Path(".local") / "cloud.json"
_RECORDED = ("app_url", "app_key", "storage_connection_string", "master_key")
_CHECKOUT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Target:
    """An app, the key to it, and the storage account that it takes snapshots from (empty: unknown).

    `master`: the master key, where it is known and another one. `folder`: where a local cloud keeps what is private.
    """

    app: str
    key: str = field(repr=False)
    storage: str = field(repr=False)
    local: bool = False
    master: str = field(default="", repr=False)
    folder: Path | None = field(default=None, compare=False)

    def account(self) -> BlobServiceClient:
        """A client of the storage account. Raises CommandFailed when it is unknown."""
        from azure.storage.blob import BlobServiceClient

        if not self.storage:
            raise CommandFailed(Exit.USAGE, f"set {STORAGE} to the address of the app's storage account")
        if "AccountName=" in self.storage or "UseDevelopmentStorage" in self.storage:
            return BlobServiceClient.from_connection_string(self.storage)
        from azure.identity import DefaultAzureCredential

        return BlobServiceClient(self.storage, DefaultAzureCredential())


def find_target(environment: Mapping[str, str] = os.environ, start: Path | None = None) -> Target:
    """The app to talk to. Raises CommandFailed when none is known, or only half of one."""
    if app := environment.get(APP, ""):
        if not app.startswith(("https://", "http://")):
            raise CommandFailed(Exit.USAGE, f"{APP} must be an address that begins with https://, not {app[:80]!r}")
        if not environment.get(KEY):
            raise CommandFailed(Exit.USAGE, f"{APP} is set and {KEY} is not: set it to a function key of the app")
        base = app.rstrip("/").removesuffix("/api")
        return Target(base, environment[KEY], environment.get(STORAGE, ""))
    if environment.get(KEY) and environment.get(STORAGE):  # else they would go unsaid, to the local cloud
        raise CommandFailed(Exit.USAGE, f"{KEY} and {STORAGE} are set and {APP} is not: set it to the app's address")
    for path in _records(start or Path.cwd()):
        found = _recorded(path)
        address, key, storage, master = (found[name] for name in _RECORDED)
        return Target(address, key, storage, local=True, master=master, folder=path.parent)
    raise CommandFailed(
        Exit.USAGE, f"no app is known: start the local cloud with `make up`, or set {APP}, {KEY} and {STORAGE}"
    )


def _records(start: Path) -> Iterator[Path]:
    """The records of local clouds that count here, nearest first."""
    for folder in dict.fromkeys((start, *start.parents, _CHECKOUT)):
        if (folder / RECORD).is_file():
            yield folder / RECORD


def _recorded(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
        return {name: str(found.get(name, "") if name == "master_key" else found[name]) for name in _RECORDED}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandFailed(
            Exit.USAGE, f"{path} cannot be read: {error!r}; `make down` and `make up` write it anew"
        ) from error
