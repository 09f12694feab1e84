"""Ranges of one version of a blob, read into memory that is there: the SDK's pipeline, without its downloader.

Called by `Storage.open` for each block that is read ahead. Credentials, retries, redirects and the version of the API
are the SDK's; its downloader copies each byte three times more, into memory that is new each time. A body that is cut
off is asked for again from where it ended; a repeat fills the same room with the same bytes.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shared.azure.storage.connection import BACKOFF_SECONDS, JITTER_SECONDS
from shared.errors import LedgerConflict

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

# So many bodies of one range may be cut off; what brings no headers is the pipeline's to repeat.
_TRIES = 3


def fill(client: BlobClient, offset: int, room: memoryview, etag: str, seconds: float) -> None:
    """Fills `room` with the bytes of the blob from `offset` on, each answer within `seconds` between two pieces.

    Raises the SDK's errors, and LedgerConflict for an answer of another version than `etag`.
    """
    from azure.core.exceptions import AzureError, HttpResponseError, IncompleteReadError

    filled = 0
    for left in reversed(range(_TRIES)):
        try:
            for piece in _body(client, offset + filled, len(room) - filled, etag, seconds):
                room[filled : filled + len(piece)] = piece
                filled += len(piece)
            return
        except AzureError as error:
            # What was refused, the pipeline has asked for again already where that helps.
            is_refused = isinstance(error, HttpResponseError) and not isinstance(error, IncompleteReadError)
            if is_refused or not left:
                raise
        time.sleep(random.uniform(BACKOFF_SECONDS - JITTER_SECONDS, BACKOFF_SECONDS + JITTER_SECONDS))


def _body(client: BlobClient, offset: int, length: int, etag: str, seconds: float) -> Iterator[bytes]:
    """The bytes of a range, piece by piece; exactly so many of them, of this version."""
    from azure.core.exceptions import AzureError, HttpResponseError, IncompleteReadError, ServiceResponseError

    response = _asked(client, offset, length, etag, seconds)
    try:
        if response.status_code not in (200, 206):
            with contextlib.suppress(AzureError):
                response.read()
            raise HttpResponseError(response=response)
        if response.headers.get("ETag", etag).strip('"') != etag:
            raise LedgerConflict("the answer is of another version than was asked for")
        given = 0
        for piece in response.iter_raw():
            given += len(piece)
            if given > length:
                raise ServiceResponseError(f"more than the {length} bytes that were asked for")
            yield piece
        if given < length:
            raise IncompleteReadError(f"{given} of {length} bytes")
    finally:
        response.close()


def _asked(client: BlobClient, offset: int, length: int, etag: str, seconds: float) -> Any:
    from azure.core.rest import HttpRequest

    headers = {
        "x-ms-version": client.api_version,
        "x-ms-range": f"bytes={offset}-{offset + length - 1}",
        "If-Match": f'"{etag}"',
        "Accept": "application/xml",
    }
    request = HttpRequest("GET", client.url, headers=headers)
    return client._pipeline.run(request, stream=True, retry_read=0, read_timeout=seconds).http_response
