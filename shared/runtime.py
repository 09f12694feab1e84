"""The one place that wires the parts: settings in, clients of Azure out, made once per process and when first used.

Steps get a `Parts` and nothing else; tests build one of fakes. Nothing is imported or connected before it is needed,
so that the app indexes quickly.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.config.settings import Settings, load
from shared.ledger.budget import Budget
from shared.ledger.claims import Claims
from shared.ledger.counts import Counts
from shared.ledger.store import Ledger

if TYPE_CHECKING:
    from shared.azure.inference import InferenceClient
    from shared.azure.metrics import Metrics
    from shared.azure.storage import Storage
    from shared.azure.workspace import Workspace


@dataclass
class Services:
    """What steps work with. `clock` gives seconds since 1970, UTC."""

    settings: Settings
    storage: Storage
    workspace: Workspace
    metrics: Metrics
    inference: InferenceClient
    clock: Callable[[], float] = time.time
    ledger: Ledger = field(init=False)
    budget: Budget = field(init=False)
    claims: Claims = field(init=False)
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.storage, self.clock)
        self.budget = Budget(self.storage, self.ledger, self.clock, self.settings)
        self.claims = Claims(self.storage, self.ledger)
        self.counts = Counts(self.storage, self.clock)

    @cached_property
    def installation(self) -> str:
        """The short name of this installation: in names and tags of all it makes."""
        return naming.installation(self.storage.address)


_LOCK = threading.Lock()


@cache
def settings() -> Settings:
    """The settings of this process; raises SettingsError when they are wrong."""
    return load()


@cache
def _services() -> Services:
    from shared.azure.inference import InferenceClient
    from shared.azure.metrics import Metrics
    from shared.azure.workspace import Workspace

    given = settings()
    logging.getLogger("azure").setLevel(logging.WARNING)  # it logs each request at INFO
    storage = _storage(given)
    storage.prepare()
    workspace = Workspace(
        credential(),
        given.azure_subscription_id,
        given.azure_resource_group,
        given.azureml_workspace,
        given.registry,
        given.resource_manager,
    )
    return Services(given, storage, workspace, Metrics(given, credential(), workspace), InferenceClient())


def services() -> Services:
    """The parts of this process, made by the first caller while others wait."""
    with _LOCK:
        return _services()


@cache
def credential() -> Any:
    """Managed identity in Azure, the developer's own sign-in on a laptop; never a browser."""
    from azure.identity import DefaultAzureCredential

    client_id = settings().azure_client_id
    return DefaultAzureCredential(**({"managed_identity_client_id": client_id} if client_id else {}))


def _storage(given: Settings) -> Storage:
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

    from shared.azure.storage import Storage

    if given.data:
        text = given.data.get_secret_value()
        return Storage(BlobServiceClient.from_connection_string(text), QueueServiceClient.from_connection_string(text))
    return Storage(
        BlobServiceClient(given.data_blobs, credential()), QueueServiceClient(given.data_queues, credential())
    )
