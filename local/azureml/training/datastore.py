"""The job's way to Azurite: datastore paths in, the finished model folder out."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from local.azureml.training.job import StepError

_DATASTORE = re.compile(r"^azureml://(?:subscriptions/.+/)?datastores/([^/]+)/paths/(.+)$", re.IGNORECASE)


class Datastore:
    """One storage account, its containers known by datastore names."""

    def __init__(self, connection: str, containers: dict[str, str]) -> None:
        self._account = BlobServiceClient.from_connection_string(connection)
        self._containers = containers

    def download(self, uri: str, target: Path) -> None:
        """Fetch one blob; StepError when it is not there."""
        container, path = self._place(uri)
        try:
            blob = self._account.get_blob_client(container, path)
            with target.open("wb") as file:
                blob.download_blob().readinto(file)
        except ResourceNotFoundError as error:
            message = f"The requested stream was not found. Please make sure the request uri is correct: {uri}"
            raise StepError(message, "ScriptExecution.StreamAccess.NotFound") from error

    def upload_folder(self, folder: Path, container: str, prefix: str) -> int:
        """Write every file of a folder below a prefix, over what is there; returns how many."""
        client = self._account.get_container_client(container)
        with contextlib.suppress(ResourceExistsError):
            client.create_container()
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        for path in files:
            name = prefix + path.relative_to(folder).as_posix()
            with path.open("rb") as content:
                client.upload_blob(name, content, overwrite=True)
        return len(files)

    def download_folder(self, container: str, prefix: str, folder: Path) -> int:
        """Fetch every blob below a prefix; returns how many."""
        client = self._account.get_container_client(container)
        count = 0
        for blob in client.list_blobs(name_starts_with=prefix):
            target = folder / blob.name.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                client.download_blob(blob.name).readinto(file)
            count += 1
        return count

    def _place(self, uri: str) -> tuple[str, str]:
        if match := _DATASTORE.match(uri):
            name, path = match.groups()
            if name not in self._containers:
                raise StepError(f"Datastore '{name}' was not found in the workspace ({uri}).")
            return self._containers[name], path
        account = str(self._account.url).rstrip("/") + "/"
        if uri.startswith(account):
            container, _, path = uri.removeprefix(account).partition("/")
            return container, path
        raise StepError(f"'{uri}' is in no datastore of the workspace.")
