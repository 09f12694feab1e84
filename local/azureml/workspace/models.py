"""Datastores: which container in Azurite each name stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from local.azureml.wire.errors import UserError

_SHORT = re.compile(r"^azureml://datastores/([^/]+)/paths/(.+)$", re.IGNORECASE)
_LONG = re.compile(r"^azureml://subscriptions/.+/datastores/([^/]+)/paths/(.+)$", re.IGNORECASE)


@dataclass(frozen=True)
class DatastorePath:
    """One blob, or all blobs below one prefix."""

    container: str
    path: str


@dataclass(frozen=True)
class Datastores:
    """The workspace's datastores in one storage account; the first is the default one."""

    connection: str
    containers: dict[str, str]

    @property
    def account(self) -> str:
        """Name of the storage account."""
        return self._setting("AccountName")

    @property
    def blob_url(self) -> str:
        """Address of the account's blobs, without a slash at the end."""
        return self._setting("BlobEndpoint").rstrip("/")

    def _setting(self, name: str) -> str:
        pairs = (part.partition("=") for part in self.connection.split(";"))
        return next((value for key, _, value in pairs if key == name), "")

    def name_of(self, uri: str) -> str | None:
        """The datastore that a URI goes through; None for one that names the account itself."""
        match = _SHORT.match(uri) or _LONG.match(uri)
        return match[1] if match else None

    def place(self, uri: str) -> DatastorePath:
        """Where a URI points; UserError when it is none of this workspace's places."""
        if match := _SHORT.match(uri) or _LONG.match(uri):
            name, path = match.groups()
            if name not in self.containers:
                raise UserError(f"Datastore '{name}' was not found in the workspace (in '{uri}').")
            return DatastorePath(self.containers[name], path)
        if uri.startswith(self.blob_url + "/"):
            container, _, path = uri.removeprefix(self.blob_url + "/").partition("/")
            return DatastorePath(container, path)
        raise UserError(f"'{uri}' is no place in a datastore of this workspace or in its storage account.")
