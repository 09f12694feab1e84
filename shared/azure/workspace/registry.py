"""The registry: the base model that is fine-tuned, and the component that trains it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shared.azure.workspace.translation import or_none, reading
from shared.ledger.record import Struct

if TYPE_CHECKING:
    from shared.azure.workspace.client import AzureMlClient


class RegistryModel(Struct, frozen=True, kw_only=True):
    """A model of the registry: its id, whether it is archived, its tags and properties as they are (text)."""

    name: str
    version: str
    id: str
    archived: bool
    tags: dict[str, str]
    properties: dict[str, str] = msgspec.field(default_factory=dict)


class RegistryOperations:
    """What is read from the registry; nothing is written there."""

    def __init__(self, client: AzureMlClient) -> None:
        self._client = client

    def model(self, name: str, version: str) -> RegistryModel | None:
        """A model by version, or the latest one when the version is empty."""
        self._client.forget_raw()
        with reading(f"base model {name}"):
            model = or_none(lambda: self._client.registry.models.get(name, **_which(version)))
        if model is None:
            return None
        # The SDK's Model does not show whether it is archived; the answer it is made from does.
        told = self._client.last_raw().get("properties") or {}
        return RegistryModel(
            name=model.name,
            version=str(model.version),
            id=model.id,
            archived=bool(told.get("isArchived")),
            tags=dict(model.tags or {}),
            properties=dict(model.properties or {}),
        )

    def component(self, name: str, version: str) -> str | None:
        """The version of a component that this version, or the latest when it is empty, resolves to."""
        with reading(f"component {name}"):
            found = or_none(lambda: self._client.registry.components.get(name, **_which(version)))
        return str(found.version) if found else None


def _which(version: str) -> dict[str, str]:
    return {"version": version} if version else {"label": "latest"}
