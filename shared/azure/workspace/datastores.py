"""Datastores of the workspace: where jobs read their data and leave their models, and as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.azure.workspace.names import named
from shared.azure.workspace.translation import or_none, reading
from shared.ledger.record import Struct

if TYPE_CHECKING:
    from shared.azure.workspace.client import AzureMlClient


class WorkspaceDatastore(Struct, frozen=True, kw_only=True):
    """A datastore. `credential`: whether it has a key or SAS of its own; else a job reads as its compute's identity."""

    name: str
    container: str
    credential: bool
    account: str = ""


class DatastoreOperations:
    """Reads datastores, never their secrets."""

    def __init__(self, client: AzureMlClient) -> None:
        self._client = client

    def get(self, name: str) -> WorkspaceDatastore | None:
        """A datastore of the workspace; an empty name is its default one, where jobs leave their models."""
        from azure.ai.ml.entities import NoneCredentialConfiguration

        stores = self._client.workspace.datastores
        with reading(named("datastore", name) if name else "default datastore"):
            found = or_none(lambda: stores.get(name) if name else stores.get_default())
        if found is None:
            return None
        credentials = getattr(found, "credentials", None)
        return WorkspaceDatastore(
            name=str(found.name),
            container=str(getattr(found, "container_name", "") or ""),
            account=str(getattr(found, "account_name", "") or ""),
            credential=credentials is not None and not isinstance(credentials, NoneCredentialConfiguration),
        )
