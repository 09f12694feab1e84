"""Listings of blobs: the SDK's own pipeline (its credentials, retries and version of the API), and a reader of our own.

Called by `Storage.list`. The SDK's reader makes a tree of each page and an object of each element, which takes twenty
times as long: `docs/decisions/scale.md`. A page is read whole before anything of it is given; a repeat lists anew.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from xml.parsers import expat

from shared.azure.storage.blobs import Blob, blob_from, is_folder_name

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

_MONTHS = {name: n for n, name in enumerate(calendar.month_abbr)}
# A page whose body is cut off is asked for once more; the SDK repeats only what brought no headers.
_TRIES = 2


def pages(service: BlobServiceClient, container: str, prefix: str, folders: bool = False) -> Iterator[list[Blob]]:
    """The blobs under a prefix with their metadata, up to 5,000 at a time; folders too, if asked for.

    Raises the SDK's errors.
    """
    marker = ""
    while True:
        found, marker = parse(_body(service, container, prefix, marker), folders)
        yield found
        if not marker:
            return


def _body(service: BlobServiceClient, container: str, prefix: str, marker: str) -> bytes:
    from azure.core.exceptions import AzureError, HttpResponseError

    for left in reversed(range(_TRIES)):
        response = _asked(service, container, prefix, marker)
        try:
            body: bytes = response.read()
        except AzureError:
            if not left:
                raise
            continue
        if response.status_code != 200:
            raise HttpResponseError(response=response)
        return body
    raise AssertionError("the last try returns or raises")


def _asked(service: BlobServiceClient, container: str, prefix: str, marker: str) -> Any:
    from azure.core.rest import HttpRequest

    query = {"restype": "container", "comp": "list", "include": "copy,metadata"}
    query |= {name: value for name, value in (("prefix", prefix), ("marker", marker)) if value}
    headers = {"x-ms-version": service.api_version, "Accept": "application/xml"}
    request = HttpRequest("GET", service.get_container_client(container).url, params=query, headers=headers)
    # As a stream: else the pipeline makes the tree that is to be spared.
    return service._pipeline.run(request, stream=True).http_response


def parse(page: bytes, folders: bool = False) -> tuple[list[Blob], str]:
    """The blobs of one page of a listing (and its folders), and the marker of the next page, empty after the last."""
    reader = _Reader(folders)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text.append
    parser.Parse(page, True)
    return reader.blobs, reader.fields.get("NextMarker", "")


class _Reader:
    """Collects the texts of elements by name. What is in metadata, however it is called, is no property."""

    def __init__(self, folders: bool) -> None:
        self.folders = folders
        self.blobs: list[Blob] = []
        self.text: list[str] = []
        self.fields: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        self.encoded = False
        # How deep in the metadata of a blob; 0: not in it.
        self.depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.text.clear()
        if self.depth:
            self.depth += 1
        elif name == "Blob":
            self.fields.clear()
            self.metadata = {}
        elif name == "Metadata":
            self.depth = 1
        elif name == "Name":
            self.encoded = attributes.get("Encoded") == "true"

    def end(self, name: str) -> None:
        if self.depth:
            self.depth -= 1
            if self.depth:
                self.metadata[name] = "".join(self.text)
        elif name == "Blob":
            if self.folders or not is_folder_name(self.metadata):
                self.blobs.append(_blob(self.fields, self.metadata, self.encoded))
        else:
            self.fields[name] = "".join(self.text)
        self.text.clear()


def _blob(fields: dict[str, str], metadata: dict[str, str], encoded: bool) -> Blob:
    name = fields["Name"]
    return blob_from(
        name=unquote(name) if encoded else name,
        etag=fields["Etag"],
        size=int(fields["Content-Length"]),
        uploaded_at=_seconds(fields["Last-Modified"]),
        metadata=metadata,
        tier=fields.get("AccessTier", ""),
        kind=fields.get("BlobType", ""),
        key=fields.get("CustomerProvidedKeySha256", ""),
        copying=fields.get("CopyStatus") == "pending",
    )


def _seconds(date: str) -> float:
    """Seconds since 1970 of a date as HTTP writes it: `Fri, 27 Nov 2026 03:03:23 GMT`."""
    day, month, year, clock = date[5:7], _MONTHS[date[8:11]], date[12:16], date[17:25].split(":")
    return float(calendar.timegm((int(year), month, int(day), *map(int, clock))))
