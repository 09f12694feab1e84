"""Where things are, and whether the app's identity gets there."""

from __future__ import annotations

import uuid
from typing import Any

from shared.azure.storage import CONTAINERS, QUEUE
from shared.config.groups.values import is_unread, keys_in
from shared.operations import access
from shared.operations.doctor.report import CheckResult, well, wrong
from shared.runtime import Services

# Beyond, tokens are refused and leases are reckoned wrongly.
_CLOCK_SECONDS = 60.0
SCRATCH = "_doctor/"
# The version of the workspace's API.
ML_VERSION = "2025-06-01"
_BLOB_ROLE = "give the app's identity Storage Blob Data Contributor on the data account (infra/modules/roles.bicep)"


def identity(services: Services) -> CheckResult:
    """Who the app is to Azure."""
    return well(f"signed in as {services.workspace.documents.identity()}")


def storage(services: Services) -> CheckResult:
    """Whether blobs can be written, read, leased and deleted."""
    name = f"{SCRATCH}{uuid.uuid4().hex}"
    services.storage.put("work", name, b"")
    services.storage.read("work", name)
    services.storage.delete("work", name)
    services.storage.lease(f"{SCRATCH}lease").release()
    return well(f"blobs are written, read, leased and deleted at {services.storage.address.removesuffix('/ledger')}")


def clock(services: Services) -> CheckResult:
    """Whether this clock and that of storage agree."""
    name = f"{SCRATCH}{uuid.uuid4().hex}"
    services.storage.put("work", name, b"")
    here = services.clock()
    (blob,) = services.storage.list("work", name)
    services.storage.delete("work", name)
    apart = here - blob.uploaded_at
    if abs(apart) > _CLOCK_SECONDS:
        return wrong(f"this clock is {apart:.0f} s from that of storage", "set the clock: sudo chronyc makestep")
    return well(f"this clock is less than {_CLOCK_SECONDS:.0f} s from that of storage")


def containers(services: Services) -> CheckResult:
    """Whether every container is there; the app makes them when it starts."""
    missing = sorted(set(CONTAINERS) - services.storage.containers())
    if missing:
        return wrong(
            f"missing: {', '.join(missing)}", f"restart the app, which makes them; if that fails, {_BLOB_ROLE}"
        )
    return well(f"{', '.join(CONTAINERS)}")


def queue(services: Services) -> CheckResult:
    """Whether the queue is there, and nothing ended in its poison queue."""
    waiting = services.storage.queue_length(QUEUE)
    if waiting is None:
        return wrong(f"there is no queue {QUEUE}", "restart the app, which makes it")
    if poison := services.storage.queue_length(f"{QUEUE}-poison"):
        return wrong(
            f"{poison} messages in {QUEUE}-poison", "docs/operate.md, Poison queue: read, mend, then delete them"
        )
    return well(f"{waiting} messages in {QUEUE}")


def workspace(services: Services) -> CheckResult:
    """Whether the workspace is there, and its region known."""
    return well(f"{services.settings.azureml_workspace} in {services.workspace.location()}")


def datastore(services: Services) -> CheckResult:
    """Whether the datastore points at the frozen rows of this account."""
    name = services.settings.training_datastore
    found = services.workspace.documents.get(f"datastores/{name}", ML_VERSION)
    if found is None:
        return wrong(
            f"there is no datastore {name}", "azd provision, or docs/deploy.md#a-workspace-that-is-there-already"
        )
    properties = found.get("properties", {})
    account, container = str(properties.get("accountName", "")), properties.get("containerName")
    if account != services.storage.account or container != "frozen":
        where = f"{account}/{container}, and the app freezes rows at {services.storage.address}"
        return wrong(f"{name} points at {where.removesuffix('/ledger')}", f"point {name} at the container frozen there")
    kind = credential_of(found)
    credential = "no credential: the machines' identity reads it" if kind == "None" else f"a credential ({kind})"
    return well(f"{name} points at {account}/frozen, with {credential}")


def roles(services: Services) -> CheckResult:
    """Whether each harmless read is allowed that stands for a role of the app's identity."""
    refused = list(access.refused_reads(services))
    if refused:
        return wrong("; ".join(refused), "docs/security.md#who-may-do-what lists every role and where")
    return well("every read that a role is needed for is allowed")


def scoring_keys(services: Services) -> CheckResult:
    """Whether somebody can ask: there is a key, and the vault that has it could be read."""
    given = services.settings.scoring_keys
    if is_unread(given):
        return wrong(
            "SCORING_KEYS is in a vault that the platform could not read",
            "give the app's identity Key Vault Secrets User on the vault (infra/modules/roles.bicep), restart the app",
        )
    if not (keys := keys_in(given)):
        return wrong(
            "nobody can ask: there is no key", "put a key into the vault's secret scoring-keys, restart the app"
        )
    return well(f"{len(keys)} keys")


def page_keys(services: Services) -> CheckResult:
    """Whether the keys that open the page could be read. Without any, and without accounts, nobody opens it: that is
    for the operator to choose."""
    given = services.settings
    if any(is_unread(keys) for keys in (given.page_keys, given.page_reader_keys)):
        return wrong(
            "the keys of the page are in a vault that the platform could not read",
            "put a key into the vault's secret page-keys, and see that the app's identity has Key Vault Secrets User "
            "on the vault; restart the app",
        )
    steer, look = len(keys_in(given.page_keys)), len(keys_in(given.page_reader_keys))
    if not (steer or look or given.page_accounts):
        return well("nobody can open the page: PAGE_KEYS is empty")
    accounts = ", and accounts of App Service authentication" if given.page_accounts else ""
    return well(f"{steer} keys to steer with, {look} to look with{accounts}")


def imports(services: Services) -> CheckResult:
    """Whether the Hub can be reached, where imports from it are allowed."""
    sources = services.settings.import_sources
    if not sources:
        return well("imports are off: IMPORT_SOURCES is empty")
    if why := services.hub.unreachable():
        return wrong(
            f"the Hub cannot be reached: {why}", "let the app connect to huggingface.co, or set HF_ENDPOINT to a mirror"
        )
    return well(f"{', '.join(sources)} may be imported")


def credential_of(store: dict[str, Any]) -> str:
    """The type of a datastore's credential by its document; `None`: it has none."""
    properties = store.get("properties")
    given = properties.get("credentials") if isinstance(properties, dict) else None
    return str(given.get("credentialsType", "None")) if isinstance(given, dict) else "None"
