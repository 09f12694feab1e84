"""Whether the compute that trains can read the training files and write the model, as whom and through what.

Called by preflight. A job of a registry's component takes no identity of its own: its data is mounted as the compute's
managed identity, or with the datastore's own credential. Only reads, so it may be repeated. Which roles an identity has
is not asked: Azure says so in the job's first step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.ledger.rows import Blocker, Check
from shared.training import compute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.azure.workspace.compute import Cluster
    from shared.azure.workspace.datastores import WorkspaceDatastore
    from shared.runtime import Services

CONTAINER = "frozen"


def blockers(services: Services, cluster: Cluster | None) -> Iterator[Blocker]:
    """What keeps a job from its data. `cluster` trains; None: there is none (yet), or compute is serverless."""
    name = services.settings.training_datastore
    datastore = services.workspace.datastores.get(name)
    if datastore is None:
        yield Blocker(text=f"TRAINING_DATASTORE = {name}: there is no such datastore in the workspace")
    elif datastore.container and datastore.container != CONTAINER:
        text = f"it points at the container {datastore.container}, and training files are in {CONTAINER}"
        yield Blocker(text=f"TRAINING_DATASTORE = {name}: {text}")
    elif (ours := _account(services.storage.address)) and datastore.account and datastore.account != ours:
        text = f"it points at the account {datastore.account}, and training files are in {ours}"
        yield Blocker(text=f"TRAINING_DATASTORE = {name}: {text}", check=Check.DATASTORE)
    stores = [store for store in (datastore, services.workspace.datastores.get("")) if store is not None]
    bare = [store for store in stores if not store.credential]
    if bare and (problem := _nobody(services, cluster)):
        yield Blocker(text=f"{problem}, and {_named(bare)} without a credential; {_MEND}", check=Check.DATASTORE)


_MEND = (
    "give the cluster that trains a user-assigned identity with Storage Blob Data Contributor on the account "
    "(TRAINING_IDENTITY for one that the app makes), or the datastore an account key or SAS"
)


def _nobody(services: Services, cluster: Cluster | None) -> str:
    """Why there is no identity to read as; empty when there is one."""
    name = services.settings.training_compute
    if name == compute.SERVERLESS:
        return f"TRAINING_COMPUTE = {name}: serverless compute has no identity"
    if cluster is not None:
        return "" if cluster.identities else f"TRAINING_COMPUTE = {name}: the cluster has no managed identity"
    given = services.settings
    if given.create_compute and not given.training_identity:
        return f"TRAINING_COMPUTE = {name}: it would be made without an identity"
    return ""


def _account(address: str) -> str:
    """The storage account of a container's address: `https://NAME.blob.../c`, or the emulator's `http://host/NAME/c`."""
    parts = urlsplit(address)
    below = parts.path.strip("/").split("/")
    return below[-2] if len(below) > 1 else (parts.hostname or "").partition(".")[0]


def _named(stores: list[WorkspaceDatastore]) -> str:
    names = list(dict.fromkeys(store.name for store in stores))
    return f"the datastore {names[0]} is" if len(names) == 1 else f"the datastores {' and '.join(names)} are"
