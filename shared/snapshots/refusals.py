"""Uploads that make no snapshot, with the reason: on record in `ledger/_refused/`, one small blob an upload.

Recorded when an upload is received, listed for people by the status routes, forgotten by the sweep when they are old or
too many. Recording one twice changes nothing; the blob's name is a hash of path and ETag, so the same file uploaded
again has another chance.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from shared import naming
from shared.chatdata.formats import printable
from shared.errors import LedgerConflict, NotFound
from shared.ledger.outbox import channels_of, untold
from shared.ledger.record import cut
from shared.ledger.store import PUBLISH

if TYPE_CHECKING:
    from shared.azure.storage import Blob
    from shared.runtime import Services

log = logging.getLogger(__name__)

FOLDER = "_refused/"
# So many are kept: whoever may upload may upload any number of files that make no snapshot.
MOST_KEPT = 1000
_LONGEST_PATH, _LONGEST_REASON = 1024, 2000
_SHOWN_PATH, _SHOWN_REASON = 200, 400
_LONGEST_NAME = 64
_NOT_OF_A_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class RefusedUpload:
    """An upload that makes no snapshot, and why. `at`: seconds since 1970, UTC."""

    path: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class RefusalIndex:
    """The blob names of all refusals on record. What was uploaded up to `forgotten` may have had one, too."""

    names: frozenset[str]
    forgotten: float


def refuse(services: Services, upload: Blob, reason: str) -> None:
    """Records that an upload is refused; nothing if it is recorded already."""
    reason = printable(reason, _LONGEST_REASON)
    path = upload.name[:_LONGEST_PATH].encode("utf-8", "replace").decode()
    text = json.dumps(asdict(RefusedUpload(path, reason, services.clock()))).encode()
    with contextlib.suppress(LedgerConflict):
        # All that a list tells of it is in the metadata, so that one listing gives them all.
        shown = {
            "uploaded_at": repr(upload.uploaded_at),
            "refusal": _quoted(path, reason, services.clock()),
            "dataset": meant_for(upload.name),
            **untold(services.channels),
        }
        name = blob_name(upload)
        services.storage.create("ledger", name, text, shown)
        log.warning("refused an upload: %s", reason)
        if services.channels:
            services.storage.send(f"refused/{name.removeprefix(FOLDER).removesuffix('.json')}{PUBLISH}")


def newest(services: Services, limit: int, dataset: str = "") -> list[RefusedUpload]:
    """The newest refused uploads, newest first: all, or those that may have been meant for one dataset."""
    found = sorted(listed(services, dataset), reverse=True)[:limit]
    return [refusal for _, _, blob in found if (refusal := read(services, blob))]


def listed(services: Services, dataset: str = "") -> list[tuple[float, str, Blob]]:
    """Every refusal on record, or those that may have been meant for one dataset: when, its name, its blob."""
    blobs = services.storage.list("ledger", FOLDER)
    mine = (blob for blob in blobs if not dataset or blob.metadata.get("dataset", "") == dataset)
    return [(_refused_at(blob), blob.name.removeprefix(FOLDER).removesuffix(".json"), blob) for blob in mine]


def read(services: Services, blob: Blob) -> RefusedUpload | None:
    """A refusal as it was listed, or read where an older version wrote it; None for one that is gone or damaged."""
    return _shown(blob) or _read(services, blob.name)


def of_dataset(services: Services, dataset: str, until: float) -> Iterator[str]:
    """The blobs with the refusals of a dataset's uploads up to a time (UTC seconds)."""
    for blob in list(services.storage.list("ledger", FOLDER)):
        if _uploaded_at(blob) > until or blob.metadata.get("dataset", dataset) not in (dataset, meant_for(dataset)):
            continue
        refusal = _shown(blob) or _read(services, blob.name)
        if refusal and owner_of(refusal.path) == dataset:
            yield blob.name


def meant_for(path: str) -> str:
    """The dataset that somebody may have meant by a path: its beginning, spelled as names of datasets are.

    `Support_Bot.JSONL` may have been meant for `support-bot`.
    """
    first, below, _ = path[:_LONGEST_PATH].partition("/")
    name = first if below else first.partition(".")[0]
    return _NOT_OF_A_NAME.sub("-", name.lower()).strip("-")[:_LONGEST_NAME]


def owner_of(path: str) -> str:
    """The dataset that a path belongs to: by its beginning as it is if that is a name, else the one that it may have
    been meant for; empty where there is none."""
    first, below, _ = path[:_LONGEST_PATH].partition("/")
    name = first if below else first.partition(".")[0]
    found = name if naming.DATASET.fullmatch(name) else meant_for(path)
    return found if naming.DATASET.fullmatch(found) else ""


def index(services: Services) -> RefusalIndex:
    """All refusals on record, after those are deleted that are over the keep time or not among the newest 1000.

    A file that is still there when the record of its refusal is over the keep time is refused once more. What people
    are yet to be told of stays until then.
    """
    oldest = services.clock() - services.settings.keep_days * 86_400
    blobs = sorted(services.storage.list("ledger", FOLDER), key=_uploaded_at, reverse=True)
    kept = [blob for blob in blobs[:MOST_KEPT] if blob.uploaded_at > oldest]
    names = frozenset(blob.name for blob in kept)
    for blob in blobs:
        waits = services.channels and channels_of(blob.metadata)
        if blob.name not in names and not waits:
            with contextlib.suppress(LedgerConflict):  # refused once more meanwhile
                services.storage.delete("ledger", blob.name, blob.etag)
    return RefusalIndex(names, _uploaded_at(kept[-1]) if len(kept) == MOST_KEPT else 0.0)


def _quoted(path: str, reason: str, at: float) -> str:
    """A refusal as metadata, of which a blob has 8 KB; the blob itself has the whole text."""
    shown = RefusedUpload(cut(path, _SHOWN_PATH), cut(reason, _SHOWN_REASON), at)
    return quote(json.dumps(asdict(shown), ensure_ascii=False), safe=" ")


def _shown(blob: Blob) -> RefusedUpload | None:
    """A refusal as the listing shows it; None for those of older versions."""
    try:
        return _refusal(unquote(blob.metadata["refusal"]))
    except (KeyError, ValueError, TypeError, RecursionError):
        return None


def _refusal(text: str | bytes) -> RefusedUpload:
    found = json.loads(text)
    return RefusedUpload(str(found["path"]), str(found["reason"]), float(found["at"]))


def _read(services: Services, name: str) -> RefusedUpload | None:
    """One refusal; None for one that was forgotten meanwhile, or is damaged."""
    try:
        return _refusal(services.storage.read("ledger", name)[0])
    except NotFound:
        return None
    except (KeyError, ValueError, TypeError, RecursionError):
        log.warning("ledger/%s is damaged and passed over; it can be deleted", name)
        return None


def _refused_at(refusal: Blob) -> float:
    """When it was refused: the blob is written once more when people were told of it."""
    shown = _shown(refusal)
    return shown.at if shown else refusal.uploaded_at


def _uploaded_at(refusal: Blob) -> float:
    """When the refused file was uploaded; for records of older versions, when it was refused."""
    try:
        return float(refusal.metadata.get("uploaded_at", ""))
    except ValueError:
        return refusal.uploaded_at


def blob_name(upload: Blob) -> str:
    """The blob in `ledger` that records the refusal of this upload."""
    return f"{FOLDER}{naming.short_hash(upload.name, upload.etag)}.json"
