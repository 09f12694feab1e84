"""Azurite as an account with a hierarchical namespace: what it cannot do itself, done between the SDK and the wire.

Folders come into being with the first file in them, as empty blobs with `hdi_isfolder` that every listing shows; one
that is not empty is not deleted; a name is that of a file or of a folder, never both.

Assumptions: `blob-folders`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import requests
from azure.core.pipeline.transport import RequestsTransport, RequestsTransportResponse
from azure.storage.blob import BlobServiceClient

FOLDER = {"hdi_isfolder": "true"}


class HierarchicalTransport(RequestsTransport):  # type: ignore[misc]
    """Sends requests on to Azurite as the blob service of such an account would take them."""

    def __init__(self, plain: BlobServiceClient) -> None:
        super().__init__()
        self.plain = plain

    def send(self, request: Any, **options: Any) -> Any:
        """One request."""
        where = urlsplit(request.url)
        _, _, container, *path = unquote(where.path).split("/")
        name, asks = "/".join(path), parse_qs(where.query).get("comp", [""])[0]
        if f"{where.scheme}://{where.netloc}" not in self.plain.url or not name:
            return super().send(request, **options)
        if refusal := self._refusal(container, name, request.method, asks):
            return _answer(request, *refusal)
        answer = super().send(request, **options)
        if request.method == "PUT" and asks in ("", "blocklist") and answer.status_code == 201:
            self._make_folders(container, name)
        return answer

    def _refusal(self, container: str, name: str, method: str, asks: str) -> tuple[int, str] | None:
        if method == "DELETE" and self._children(container, name):
            return 409, "DirectoryIsNotEmpty"
        if method == "PUT" and asks in ("", "block", "blocklist"):
            if self._is_folder(container, name):
                return 409, "ResourceTypeMismatch"
            if any(self._is_file(container, above) for above in _above(name)):
                return 409, "PathConflict"
        return None

    def _make_folders(self, container: str, name: str) -> None:
        for above in _above(name):
            client = self.plain.get_blob_client(container, above)
            if not client.exists():
                client.upload_blob(b"", metadata=FOLDER)

    def _children(self, container: str, name: str) -> bool:
        found = self.plain.get_container_client(container).list_blobs(name_starts_with=f"{name}/")
        return any(True for _ in found)

    def _is_folder(self, container: str, name: str) -> bool:
        client = self.plain.get_blob_client(container, name)
        return client.exists() and client.get_blob_properties().metadata == FOLDER

    def _is_file(self, container: str, name: str) -> bool:
        return self.plain.get_blob_client(container, name).exists() and not self._is_folder(container, name)


def _above(name: str) -> list[str]:
    """The folders that a name is in, the outermost first."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _answer(request: Any, status: int, code: str) -> RequestsTransportResponse:
    found = requests.Response()
    found.status_code, found.headers["x-ms-error-code"] = status, code
    found.headers["Content-Type"] = "application/xml"
    found._content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return RequestsTransportResponse(request, found)
