"""What is done about an upload: the snapshot that it makes is recorded, or the upload is refused with the right form.

Called by the storage event and by the sweep. An event only says where to look. The blob's own time and ETag decide, so
an event that comes twice, late, or for a blob that was overwritten meanwhile finds the same row. Uploads of which no
event came count only from the first start on (`ACCEPT_SINCE`), so that a full container is not trained as a backlog.
"""

from __future__ import annotations

import contextlib
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared import naming
from shared.chatdata.formats import EXTENSIONS, seems_to_hold_rows
from shared.chatdata.splits import split_of
from shared.errors import LedgerConflict, NotFound
from shared.ledger.rows import Snapshot, SnapshotFile
from shared.ledger.states import SnapshotState
from shared.snapshots import refusals
from shared.snapshots.paths import FORM, MARKER, OPTIONS, InvalidUpload, SnapshotPath, parse_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from shared.azure.storage import Blob
    from shared.runtime import Services

log = logging.getLogger(__name__)

CONTAINER = "snapshots"
# States in which a snapshot is past VALIDATED and on its way: an older upload has come too late.
_ON_ITS_WAY = frozenset(
    {
        SnapshotState.SUBMITTING,
        SnapshotState.TRAINING,
        SnapshotState.TRAINED,
        SnapshotState.REGISTERING,
        SnapshotState.REGISTERED,
    }
)


def receive(services: Services, path: str) -> str | None:
    """Records the snapshot that an uploaded blob makes, if any, and returns the snapshot's id.

    None for a file that waits for its folder's marker, an upload that is refused, older than `ACCEPT_SINCE`, or gone
    again. A repeat finds the row that is there, and enqueues its poll if that is overdue.
    """
    try:
        parsed = parse_path(path)
        if parsed is None:
            return None
        blob = services.storage.head(CONTAINER, path)
        if blob.uploaded_at < _configured_start(services):
            return None
        snapshot = _snapshot_id(parsed, blob)
        # Asked before the folder is listed: files that changed since are the validation's business, and no refusal.
        if _resume(services, snapshot):
            return snapshot
        files, options = _pinned_files(services, parsed, blob)
    except InvalidUpload as error:
        refusals.refuse(services, path, str(error))
        return None
    except NotFound:
        return None  # deleted or renamed meanwhile
    return _record(services, parsed, blob, files, options)


def missed_uploads(services: Services, known: Collection[str]) -> Iterator[str]:
    """The paths in `snapshots` that no row and no refusal knows of: their event was lost. Called by the sweep.

    `known`: the ids of all snapshots on record. One listing, no request for single blobs: ids follow from what a
    listing shows.
    """
    since = accept_since(services)
    refused = refusals.names(services)
    for blob in services.storage.list(CONTAINER):
        if blob.uploaded_at < since or refusals.blob_name(blob) in refused:
            continue
        try:
            parsed = parse_path(blob.name)
        except InvalidUpload:
            yield blob.name
        else:
            if parsed and _snapshot_id(parsed, blob) not in known:
                yield blob.name


def accept_since(services: Services) -> float:
    """Uploads before this time are left alone by the sweep: the setting, else the time of the first start."""
    if configured := _configured_start(services):
        return configured
    name = "_installation.json"
    with contextlib.suppress(LedgerConflict, NotFound):
        recorded: float = json.loads(services.storage.read("ledger", name)[0])["first_start"]
        return recorded
    # Blob times have whole seconds: an upload in the second of the first start counts as after it.
    first = float(int(services.clock()))
    with contextlib.suppress(LedgerConflict):
        text = {"first_start": first, "at": datetime.fromtimestamp(first, UTC).isoformat()}
        services.storage.create("ledger", name, json.dumps(text).encode())
        return first
    return accept_since(services)


def _configured_start(services: Services) -> float:
    """The setting `ACCEPT_SINCE`; 0 without it.

    Without it every upload of which an event comes is new: it may be this event that starts the app for the first time.
    """
    moment = services.settings.accept_since
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else 0.0


def _snapshot_id(parsed: SnapshotPath, blob: Blob) -> str:
    return naming.snapshot_id(parsed.dataset, blob.uploaded_at, f"{CONTAINER}/{blob.name}", blob.etag)


def _resume(services: Services, snapshot: str) -> bool:
    """Whether the snapshot has its row; an overdue poll of it is enqueued."""
    try:
        row = services.ledger.read(f"snapshot/{snapshot}").row
    except NotFound:
        return False
    if row.poll_at is not None and row.poll_at <= services.clock():
        services.ledger.come_back(row.key, row.poll_at)
    return True


def _record(
    services: Services,
    parsed: SnapshotPath,
    blob: Blob,
    files: tuple[SnapshotFile, ...],
    options: SnapshotFile | None,
) -> str:
    """Writes the snapshot's row: RECEIVED, or SUPERSEDED when a newer snapshot is past VALIDATED."""
    row = Snapshot(
        id=_snapshot_id(parsed, blob),
        dataset=parsed.dataset,
        state=SnapshotState.RECEIVED,
        source=blob.name,
        uploaded_at=blob.uploaded_at,
        files=files,
        options=options,
        poll_at=services.clock(),
    )
    if newer := _newer_on_its_way(services, row):
        row = row.but(
            state=SnapshotState.SUPERSEDED,
            waiting=f"{newer} is newer and already on its way",
            poll_at=None,
        )
    try:
        services.ledger.create(row)
        log.info("%s received: %d file(s), %d bytes", row.id, len(files), sum(file.size for file in files))
    except LedgerConflict:
        _resume(services, row.id)
    return row.id


def _newer_on_its_way(services: Services, row: Snapshot) -> str:
    """The id of a newer snapshot of the dataset that is past VALIDATED, or nothing."""
    for listed in services.ledger.list("snapshot", row.dataset):
        if listed.state in _ON_ITS_WAY and listed.key > row.key:
            return listed.key.removeprefix("snapshot/")
    return ""


def _pinned_files(
    services: Services, parsed: SnapshotPath, blob: Blob
) -> tuple[tuple[SnapshotFile, ...], SnapshotFile | None]:
    """The snapshot's files, pinned by ETag, and its `snapshot.json` if there is one. Raises InvalidUpload."""
    if not parsed.folder:
        return (_pin(blob, None),), None
    found = [b for b in services.storage.list(CONTAINER, f"{parsed.folder}/") if not b.name.endswith(f"/{MARKER}")]
    late = sorted(b.name for b in found if b.uploaded_at > blob.uploaded_at)
    if late:
        raise InvalidUpload(
            f"{late[0]} is newer than {blob.name}: upload the marker last; upload {MARKER} again to try again"
        )
    options = next((_pin(b, None) for b in found if b.name == f"{parsed.folder}/{OPTIONS}"), None)
    if deep := next((b.name for b in found if b.name.count("/") > parsed.folder.count("/") + 1), None):
        raise InvalidUpload(f"{deep}: more than two folders deep; {FORM}")
    data = [b for b in found if seems_to_hold_rows(b.name)]
    if not data:
        raise InvalidUpload(f"{parsed.folder}/ holds no file that ends in {', '.join(EXTENSIONS)}")
    return tuple(_pin(b, split_of(b.name)) for b in data), options


def _pin(blob: Blob, split: str | None) -> SnapshotFile:
    return SnapshotFile(path=blob.name, etag=blob.etag, size=blob.size, split=split)
