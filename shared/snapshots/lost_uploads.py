"""Uploads of which no event came: looked for once an hour, by one listing of the container `snapshots`.

Called by the sweep. Events are the way; this is the net under them. A look that was complete is put on record
(`ledger/_uploads.json`), and the next one asks only about what was uploaded since, so that it costs what is new and not
what there ever was. One look a day asks about everything, for a row may have been lost. A look that is cut off is made
again by the next sweep, and finds what it has recorded already.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from shared.errors import NotFound
from shared.ledger.listed import blob_name
from shared.ledger.record import Struct
from shared.ledger.storage import read_record
from shared.ledger.store import CONTAINER as LEDGER
from shared.snapshots import refusals
from shared.snapshots.intake import CONTAINER, accept_since, receive_listed, snapshot_of, upload_fate
from shared.snapshots.paths import InvalidUpload

if TYPE_CHECKING:
    from shared.azure.storage import Blob
    from shared.ledger.deletions import DatasetDeletion, UploadFate
    from shared.runtime import Services
    from shared.snapshots.refusals import RefusalIndex

log = logging.getLogger(__name__)

BLOB = "_uploads.json"
# How often the container is listed (s); and so much older than the last look may be what that did not see yet: clocks
# differ, and a listing takes a while.
EVERY, OVERLAP, WHOLE_EVERY = 3600.0, 3600.0, 86_400.0
# The most uploads that one look takes in.
MOST_MISSED = 500


class UploadsLook(Struct, frozen=True, kw_only=True):
    """The last look that took in all it found: when it began, and until when all uploads have their row or refusal.

    `whole_at`: when the last one began that looked at every upload there is. Times are UTC seconds.
    """

    at: float = 0.0
    until: float = 0.0
    whole_at: float = 0.0


_LOOK = msgspec.json.Decoder(UploadsLook)


def record(services: Services) -> Iterator[str]:
    """Records the uploads that no event told of, unless there was a look within the hour; gives the keys of their rows.

    Raises Damaged when the record of the last look cannot be read.
    """
    last, now = on_record(services), services.clock()
    if now < last.at + EVERY:
        return
    whole_at = now if now >= last.whole_at + WHOLE_EVERY else last.whole_at
    since = max(accept_since(services), 0.0 if whole_at == now else last.until)
    missed, until = _missed(services, since, _lookup(services, whole=whole_at == now), now - OVERLAP)
    for blob in heapq.nlargest(MOST_MISSED, missed, key=lambda blob: blob.uploaded_at):
        if snapshot := receive_listed(services, blob):
            log.warning("%s: no event told us about %s", snapshot, blob.name)
            yield f"snapshot/{snapshot}"
    if len(missed) <= MOST_MISSED:
        look = UploadsLook(at=now, until=max(until, last.until), whole_at=whole_at)
        services.storage.put(LEDGER, BLOB, msgspec.json.encode(look))


def missed_uploads(services: Services) -> list[Blob]:
    """Everything in `snapshots` that has neither a row nor a refusal, though the app was there when it was uploaded."""
    return _missed(services, accept_since(services), _lookup(services, whole=True), 0.0)[0]


def on_record(services: Services) -> UploadsLook:
    """The last complete look. Raises Damaged."""
    return read_record(services.storage, LEDGER, BLOB, _LOOK, UploadsLook())[0]


def _missed(
    services: Services, since: float, is_known: Callable[[str], bool], until: float
) -> tuple[list[Blob], float]:
    """The uploads since a time without a row, and until when there can be no others: what is still being copied
    comes."""
    refused, found = refusals.index(services), []
    deleted = services.ledger.deletions.all()
    for blob in services.storage.list(CONTAINER):
        if blob.uploaded_at < since or upload_fate(partial(_fate, deleted), blob) == "deleted":
            continue
        if blob.copying:
            until = min(until, blob.uploaded_at)
        elif _is_missed(blob, is_known, refused):
            found.append(blob)
    return found, until


def _fate(deleted: Mapping[str, DatasetDeletion], dataset: str, uploaded_at: float) -> UploadFate:
    return deleted[dataset].fate(uploaded_at) if dataset in deleted else "kept"


def _is_missed(blob: Blob, is_known: Callable[[str], bool], refused: RefusalIndex) -> bool:
    if refusals.blob_name(blob) in refused.names:
        return False
    try:
        snapshot = snapshot_of(blob)
    except InvalidUpload:
        return blob.uploaded_at > refused.forgotten
    return bool(snapshot) and not is_known(snapshot)


def _lookup(services: Services, whole: bool) -> Callable[[str], bool]:
    """Whether a snapshot has a row: of the few since the last look asked one by one, of all by one listing of rows."""
    if whole:
        known = {found.name for found in services.ledger.list("snapshot")}
        return known.__contains__

    def is_known(snapshot: str) -> bool:
        try:
            services.storage.head(LEDGER, blob_name(f"snapshot/{snapshot}"))
        except NotFound:
            return False
        return True

    return is_known
