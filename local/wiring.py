"""Where the parts of one local cloud find each other: ports, keys and names, chosen once for a folder.

Made by `Cloud`, read by `parts` and `provision`. Kept in the folder, so that addresses and keys survive restarts; a
port that somebody else has taken meanwhile is replaced.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from local.azurite import AzuritePorts
from local.ports import free_port, is_free

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
PORTS = ("blob", "queue", "table", "eventgrid", "azureml", "identity", "host")


class Wiring(msgspec.Struct, frozen=True):
    """One cloud's addresses and secrets."""

    home: str
    ports: dict[str, int]
    eventgrid_key: str
    identity_header: str
    subscription_id: str = SUBSCRIPTION
    resource_group: str = "droptune-local"
    workspace: str = "local"

    @property
    def folder(self) -> Path:
        """Where the cloud keeps everything."""
        return Path(self.home)

    @property
    def logs(self) -> Path:
        """One file for each part."""
        return self.folder / "logs"

    @property
    def azurite_ports(self) -> AzuritePorts:
        """The three that Azurite listens on."""
        return AzuritePorts(self.ports["blob"], self.ports["queue"], self.ports["table"])

    @property
    def storage(self) -> str:
        """Connection string of the storage account."""
        return self.azurite_ports.connection_string

    @property
    def account_id(self) -> str:
        """Resource id of the storage account, the source of its events."""
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/Microsoft.Storage/storageAccounts/devstoreaccount1"

    @property
    def training_identity(self) -> str:
        """Resource id of the identity as which the cluster reads training files and writes models."""
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/droptune-training"

    @property
    def eventgrid_url(self) -> str:
        """The broker."""
        return f"http://127.0.0.1:{self.ports['eventgrid']}"

    @property
    def azureml_url(self) -> str:
        """The control plane; its certificate knows `localhost`."""
        return f"https://localhost:{self.ports['azureml']}"

    @property
    def azureml_ca(self) -> Path:
        """The certificate authority of the control plane alone."""
        return self.folder / "azureml" / "ca.pem"

    @property
    def azureml_ca_bundle(self) -> Path:
        """The same with the public authorities."""
        return self.folder / "azureml" / "ca-bundle.pem"

    @property
    def identity_endpoint(self) -> str:
        """Where the app gets its tokens."""
        return f"http://127.0.0.1:{self.ports['identity']}/msi/token"

    @property
    def app_url(self) -> str:
        """The Functions host; the app's routes are under /api."""
        return f"http://127.0.0.1:{self.ports['host']}"

    @property
    def host_keys(self) -> Path:
        """The keys that the host makes at its first start."""
        return self.folder / "host" / "keys.json"


def wire(folder: Path) -> Wiring:
    """The wiring of the cloud in this folder, which must not run: as it was, with new ports for those taken."""
    file = folder / "wiring.json"
    known = msgspec.json.decode(file.read_bytes(), type=Wiring) if file.exists() else None
    remembered = known.ports if known else {}
    ports = {name: _port(remembered.get(name)) for name in PORTS}
    if known:
        wiring = msgspec.structs.replace(known, home=str(folder), ports=ports)
    else:
        # Hex only: a key that begins with "-" would be taken for an option on a command line.
        wiring = Wiring(str(folder), ports, secrets.token_hex(32), secrets.token_hex(16))
    write_private(file, msgspec.json.encode(wiring))
    return wiring


def _port(remembered: int | None) -> int:
    return remembered if remembered and is_free(remembered) else free_port()


def write_private(file: Path, content: bytes) -> None:
    """Replace the file as a whole, readable by its owner only."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
    partial.replace(file)
