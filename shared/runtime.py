"""Where everything is wired: settings in, one `Services` out, made once per process and when it is first used.

Steps and triggers get a `Services` and nothing else; tests build one of fakes. No SDK is imported and nothing is
connected before it is needed, so that the app indexes quickly.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING

from shared import naming
from shared.azure import notifications
from shared.azure.hub import Hub
from shared.config.settings import Settings, load
from shared.errors import DENIED, AccessDenied
from shared.ledger.budget import Budget
from shared.ledger.call_days import CallDays
from shared.ledger.claims import Claims
from shared.ledger.counts import Counts
from shared.ledger.endpoint_slots import EndpointSlots
from shared.ledger.month_costs import MonthCosts
from shared.ledger.store import Ledger
from shared.ledger.uptime import Machines

if TYPE_CHECKING:
    from shared.azure.inference import InferenceClient
    from shared.azure.metrics import Metrics
    from shared.azure.storage import Storage
    from shared.azure.workspace import Workspace
    from shared.ledger.outbox import Channel


@dataclass
class Services:
    """What steps work with. `clock` gives seconds since 1970, UTC; `channels` are those who are told of notices,
    `hub` is where imports come from."""

    settings: Settings
    storage: Storage
    workspace: Workspace
    metrics: Metrics
    inference: InferenceClient
    clock: Callable[[], float] = time.time
    channels: Mapping[str, Channel] = field(default_factory=dict)
    hub: Hub = field(default_factory=Hub)
    ledger: Ledger = field(init=False)
    budget: Budget = field(init=False)
    endpoint_slots: EndpointSlots = field(init=False)
    claims: Claims = field(init=False)
    counts: Counts = field(init=False)
    month_costs: MonthCosts = field(init=False)
    call_days: CallDays = field(init=False)

    def __post_init__(self) -> None:
        given = self.settings
        serving = Machines(size=given.serving_instance_type, count=given.serving_instances)
        self.ledger = Ledger(self.storage, self.clock, self.channels, serving)
        self.budget = Budget(self.storage, self.ledger, self.clock, self.settings)
        self.endpoint_slots = EndpointSlots(self.storage, self.ledger, self.clock, self.settings)
        self.call_days = CallDays(self.storage, self.clock)
        self.month_costs = MonthCosts(self.storage)
        self.claims = Claims(self.storage, self.ledger)
        self.counts = Counts(self.storage, self.clock, watched_seconds=max(1.0, self.settings.look_seconds / 4))

    @cached_property
    def installation(self) -> str:
        """The short name of this installation: in names and tags of all it makes."""
        return naming.installation(self.storage.address)


_LOCK = threading.Lock()
_MADE: list[Services] = []
_DENIED: list[str] = []


def services() -> Services:
    """The services of this process, made by the first caller while others wait. Raises what storage raises."""
    with _LOCK:
        try:
            made = _services()
        except AccessDenied as error:
            _DENIED[:] = [DENIED + str(error).partition(DENIED)[2]]
            raise
        _MADE[:], _DENIED[:] = [made], []
        return made


def services_if_made() -> Services | None:
    """The services of this process, if somebody needed them already; nothing is connected for it."""
    return _MADE[0] if _MADE else None


def storage_denied() -> str:
    """Which roles on storage this process lacked when it last wanted its services; nothing once it has them."""
    return next(iter(_DENIED), "")


@cache
def settings() -> Settings:
    """The settings of this process; raises SettingsError when they are wrong."""
    return load()


@cache
def _services() -> Services:
    from shared.azure.clouds import cloud_at
    from shared.azure.identity import identity
    from shared.azure.inference import InferenceClient
    from shared.azure.metrics import Metrics
    from shared.azure.storage import Storage, connection
    from shared.azure.workspace import Workspace

    logging.getLogger("azure").setLevel(logging.WARNING)  # it logs each request at INFO
    given = settings()
    cloud = cloud_at(given.resource_manager)
    signed_in = identity(given.azure_client_id, cloud.authority)
    if given.data:
        storage = Storage(*connection.connect(given.data.get_secret_value()))
    else:
        storage = Storage(*connection.connect_as(signed_in, given.data_blobs, given.data_queues))
    storage.prepare()
    workspace = Workspace(
        signed_in,
        given.azure_subscription_id,
        given.azure_resource_group,
        given.azureml_workspace,
        given.registry,
        cloud,
        given.base_model_registry,
    )
    return Services(
        settings=given,
        storage=storage,
        workspace=workspace,
        metrics=Metrics(given, signed_in, workspace, cloud),
        inference=InferenceClient(),
        channels=notifications.channels(given, signed_in),
    )
