"""Uploads that make no snapshot, with the reason: on record in `ledger/_refused/`, one small blob an upload.

Recorded when an upload is received, listed for people by the status routes. Recording one twice changes nothing; the
blob's name is a hash of path and ETag, so the same file uploaded again has another chance.
"""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from shared import naming
from shared.chatdata.formats import printable
from shared.errors import LedgerConflict, NotFound

if TYPE_CHECKING:
    from shared.azure.storage import Blob
    from shared.runtime import Services

log = logging.getLogger(__name__)

_FOLDER = "_refused/"
_LONGEST_PATH, _LONGEST_REASON = 1024, 2000


@dataclass(frozen=True, slots=True)
class RefusedUpload:
    """An upload that makes no snapshot, and why. `at`: seconds since 1970, UTC."""

    path: str
    reason: str
    at: float


def refuse(services: Services, path: str, reason: str) -> None:
    """Records that the upload at this path is refused; nothing if it is recorded already, or the blob is gone."""
    reason = printable(reason, _LONGEST_REASON)
    text = json.dumps(asdict(RefusedUpload(path[:_LONGEST_PATH], reason, services.clock()))).encode()
    with contextlib.suppress(LedgerConflict, NotFound):
        services.storage.create("ledger", blob_name(services.storage.head("snapshots", path)), text)
        log.warning("refused an upload: %s", reason)


def newest(services: Services, limit: int) -> list[RefusedUpload]:
    """The newest refused uploads, newest first."""
    blobs = sorted(services.storage.list("ledger", _FOLDER), key=lambda blob: blob.uploaded_at, reverse=True)
    return [RefusedUpload(**json.loads(services.storage.read("ledger", blob.name)[0])) for blob in blobs[:limit]]


def names(services: Services) -> set[str]:
    """The blob names of all refusals on record."""
    return {blob.name for blob in services.storage.list("ledger", _FOLDER)}


def blob_name(upload: Blob) -> str:
    """The blob in `ledger` that records the refusal of this upload."""
    return f"{_FOLDER}{naming.short_hash(upload.name, upload.etag)}.json"
