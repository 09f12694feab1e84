"""Online endpoints: the address of a dataset, its traffic and its key."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from shared.azure.workspace.client import operation_of
from shared.azure.workspace.names import named
from shared.azure.workspace.translation import asking, or_none, reading, state_of, writing
from shared.errors import ServiceBusy
from shared.ledger.record import Struct

if TYPE_CHECKING:
    from shared.azure.workspace.client import AzureMlClient

_KEYS_API = "2022-02-01-preview"  # the version that the SDK asks for keys


class Endpoint(Struct, frozen=True, kw_only=True):
    """A managed online endpoint: provisioning state, traffic by deployment, scoring address, tags."""

    name: str
    state: str
    traffic: dict[str, int]
    tags: dict[str, str]
    scoring_uri: str = ""


class EndpointOperations:
    """Reads, writes and deletes endpoints."""

    def __init__(self, client: AzureMlClient) -> None:
        self._client = client

    def get(self, name: str) -> Endpoint | None:
        """An online endpoint."""
        with reading(named("endpoint", name)):
            found = or_none(lambda: self._client.workspace.online_endpoints.get(name))
        return None if found is None else _endpoint(found)

    def list(self) -> builtins.list[Endpoint]:
        """All online endpoints of the workspace, whoever made them."""
        with reading("endpoints"):
            return [_endpoint(found) for found in self._client.workspace.online_endpoints.list()]

    def write(self, name: str, tags: dict[str, str], traffic: dict[str, int]) -> str:
        """Starts creating the endpoint, or setting its traffic: the whole endpoint in one absolute write.

        Returns the address of the operation, for `Workspace.failure`; empty when the service names none. Raises
        EndpointNameTaken when it is to be created and somebody else in the region has one of that name.
        """
        from azure.ai.ml.entities import ManagedOnlineEndpoint

        # The tags are those that are there: people and policies may have put any on it.
        what = named("endpoint", name)
        named("deployment", *traffic)
        endpoint = ManagedOnlineEndpoint(name=name, auth_mode="key", tags=tags, traffic=traffic)
        with writing(what):
            return operation_of(self._client.workspace.online_endpoints.begin_create_or_update(endpoint))

    def delete(self, name: str) -> str:
        """Starts deleting an endpoint with all its deployments. Returns the address of the operation, as `write`."""
        with writing(named("endpoint", name)):
            return operation_of(or_none(lambda: self._client.workspace.online_endpoints.begin_delete(name)))

    def key(self, name: str) -> str:
        """The primary key of an endpoint. Never log it, never store it."""
        address = f"{self._client.resource_manager}{self.id(name)}/listKeys"
        with asking(named("endpoint", name)):
            found = self._client.send("POST", address, **{"api-version": _KEYS_API}).get("primaryKey")
        if not isinstance(found, str) or not found:
            raise ServiceBusy(f"endpoint {name}: the answer has no key")
        return found

    def id(self, name: str) -> str:
        """The ARM id of an endpoint, as metrics want it."""
        return self._client.id("onlineEndpoints", name)


def _endpoint(found: Any) -> Endpoint:
    return Endpoint(
        name=found.name,
        state=state_of(found),
        traffic={k: int(v) for k, v in (found.traffic or {}).items() if v},
        tags=dict(found.tags or {}),
        scoring_uri=found.scoring_uri or "",
    )
