"""What is done about an upload: the snapshot that it makes is recorded, or the upload is refused with the right form.

Called by the storage event and by the sweep. An event only says where to look. The blob's own time and ETag decide, so
an event that comes twice, late, or for a blob that was overwritten meanwhile finds the same row. Uploads of which no
event came count only from the first start on (`ACCEPT_SINCE`), so that a full container is not trained as a backlog.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared import naming
from shared.azure.storage.blobs import LONGEST_NAME, why_unreadable_name
from shared.chatdata.formats import EXTENSIONS, printable, seems_to_hold_rows
from shared.chatdata.splits import split_of
from shared.errors import Damaged, LedgerConflict, NotFound, PermanentError
from shared.ledger.rows import Dataset, Snapshot, SnapshotFile
from shared.ledger.states import SnapshotState
from shared.snapshots import refusals
from shared.snapshots.pace import pace_of
from shared.snapshots.paths import (
    FORM,
    MARKER,
    OPTIONS,
    InvalidUpload,
    SnapshotPath,
    options_path,
    parse_path,
    require_printable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.azure.storage import Blob
    from shared.ledger.deletions import UploadFate
    from shared.runtime import Services

log = logging.getLogger(__name__)

CONTAINER = "snapshots"
# The most files with rows that one snapshot has: each stands in its row, which is written at every step.
MOST_FILES = 1000
# The most files of any kind that are looked through in a folder, and the most names of those passed over that are kept.
MOST_LISTED, MOST_SHOWN = 5000, 20
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
    again, and for a path that no blob can have. A repeat finds the row that is there, and enqueues its poll if that is
    overdue.
    """
    if why_unreadable_name(path):
        return _receive_unreadable(services, path)
    try:
        if parse_path(path) is None:
            return None
    except InvalidUpload:
        pass  # refused below, if it is there
    try:
        blob = services.storage.head(CONTAINER, path)
    except NotFound:
        return None  # deleted or renamed meanwhile
    except PermanentError as error:
        log.info("left to the sweep, which need not ask for it: %s", error)
        return None
    return receive_listed(services, blob)


def receive_listed(services: Services, blob: Blob) -> str | None:
    """As `receive`, for a blob as a listing shows it: nothing is asked of the blob itself, whatever its name."""
    if blob.uploaded_at < _configured_start(services):
        return None
    if blob.copying:  # some accounts tell of a copy when it begins
        log.info("left to the sweep, as it is still being copied: %s", printable(blob.name, 200))
        return None
    try:
        parsed = parse_path(blob.name)
        if parsed is None:
            return None
        snapshot = _snapshot_id(parsed, blob)
        # Asked before the folder is listed: files that changed since are the validation's business, and no refusal.
        if _resume(services, snapshot):
            return snapshot
        if _is_of_deleted(services, blob):
            return None
        files, options, passed_over = _pinned_files(services, parsed, blob)
    except InvalidUpload as error:
        if upload_fate(services.ledger.deletions.fate, blob) != "deleted":
            refusals.refuse(services, blob, str(error))
        return None
    return _record(services, parsed, blob, files, options, passed_over)


def upload_fate(fate: Callable[[str, float], UploadFate], blob: Blob) -> UploadFate:
    """What becomes of an upload by what is known of deleted datasets; `fate` tells it of a dataset and a time."""
    dataset = refusals.owner_of(blob.name)
    return fate(dataset, blob.uploaded_at) if dataset else "kept"


def _is_of_deleted(services: Services, blob: Blob) -> bool:
    """Whether an upload came before its dataset was deleted, or while that was under way, which is refused."""
    found = upload_fate(services.ledger.deletions.fate, blob)
    if found == "refused":
        dataset = refusals.owner_of(blob.name)
        refusals.refuse(services, blob, f"{blob.name} came while {dataset} was being deleted: upload it again")
    elif found == "deleted":
        log.info("left alone, as its dataset was deleted since: %s", printable(blob.name, 200))
    return found != "kept"


def _receive_unreadable(services: Services, path: str) -> str | None:
    """As `receive`, for a name that no request can carry: a listing shows whether there is such a blob."""
    if len(path) > LONGEST_NAME:
        return None
    beginning = "".join(itertools.takewhile(str.isprintable, path))
    listed = itertools.islice(services.storage.list(CONTAINER, beginning), MOST_LISTED)
    blob = next((blob for blob in listed if blob.name == path), None)
    return receive_listed(services, blob) if blob else None


def accept_since(services: Services) -> float:
    """Uploads before this time are left alone by the sweep: the setting, else the time of the first start."""
    if configured := _configured_start(services):
        return configured
    name = "_installation.json"
    with contextlib.suppress(LedgerConflict, NotFound):
        return _first_start(name, services.storage.read("ledger", name)[0])
    # Blob times have whole seconds: an upload in the second of the first start counts as after it.
    first = float(int(services.clock()))
    with contextlib.suppress(LedgerConflict):
        text = {"first_start": first, "at": datetime.fromtimestamp(first, UTC).isoformat()}
        services.storage.create("ledger", name, json.dumps(text).encode())
        return first
    return accept_since(services)


def _first_start(name: str, data: bytes) -> float:
    try:
        return float(json.loads(data)["first_start"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Damaged.named(f"ledger/{name}", error) from error


def _configured_start(services: Services) -> float:
    """The setting `ACCEPT_SINCE`; 0 without it.

    Without it every upload of which an event comes is new: it may be this event that starts the app for the first time.
    """
    moment = services.settings.accept_since
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else 0.0


def snapshot_of(blob: Blob) -> str:
    """The id of the snapshot that an upload makes; empty for a file that waits for its marker. Raises InvalidUpload."""
    parsed = parse_path(blob.name)
    return _snapshot_id(parsed, blob) if parsed else ""


def _snapshot_id(parsed: SnapshotPath, blob: Blob) -> str:
    return naming.snapshot_id(parsed.dataset, blob.uploaded_at, f"{CONTAINER}/{blob.name}", blob.etag)


def _resume(services: Services, snapshot: str) -> bool:
    """Whether the snapshot has its row; an overdue poll of it is enqueued."""
    try:
        row = services.ledger.read(f"snapshot/{snapshot}").row
    except NotFound:
        return False
    if row.poll_at is not None and row.poll_at <= services.clock():
        services.ledger.schedule(row.key, row.poll_at)
    return True


def _record(
    services: Services,
    parsed: SnapshotPath,
    blob: Blob,
    files: tuple[SnapshotFile, ...],
    options: SnapshotFile | None,
    passed_over: tuple[str, ...],
) -> str:
    """Writes the snapshot's row: RECEIVED, or SUPERSEDED when a newer snapshot is past VALIDATED."""
    now = services.clock()
    row = Snapshot(
        id=_snapshot_id(parsed, blob),
        dataset=parsed.dataset,
        state=SnapshotState.RECEIVED,
        source=blob.name,
        uploaded_at=blob.uploaded_at,
        files=files,
        options=options,
        passed_over=passed_over,
        poll_at=now,
    )
    if newer := services.ledger.newer(row, _ON_ITS_WAY):
        row = row.but(
            state=SnapshotState.SUPERSEDED,
            waiting=f"{newer} is newer and already on its way",
            poll_at=None,
        )
    elif delay := pace_of(services.ledger).delay(row.dataset, _is_new(services, row.dataset), now):
        row = row.but(poll_at=now + delay, waiting="many uploads arrived at once: it is checked when it is its turn")
    try:
        services.ledger.create(row)
        log.info("%s received: %d file(s), %d bytes", row.id, len(files), sum(file.size for file in files))
    except LedgerConflict:
        _resume(services, row.id)
    return row.id


def _is_new(services: Services, dataset: str) -> bool:
    """Whether nothing of this dataset was ever released."""
    try:
        row: Dataset = services.ledger.read(f"dataset/{dataset}").row
    except NotFound:
        return True
    return row.live is None and not row.outcomes


def _pinned_files(
    services: Services, parsed: SnapshotPath, blob: Blob
) -> tuple[tuple[SnapshotFile, ...], SnapshotFile | None, tuple[str, ...]]:
    """The snapshot's files, pinned by ETag; its `snapshot.json` if there is one; the names of files passed over.

    Raises InvalidUpload.
    """
    if not parsed.folder:
        return (_pin(blob, None),), _options_beside(services, blob), ()
    found = _listed(services, parsed.folder)
    if copying := next((b.name for b in found if b.copying), None):
        raise InvalidUpload(f"{copying} is still being copied: upload {MARKER} again when that is done")
    late = sorted(b.name for b in found if b.uploaded_at > blob.uploaded_at)
    if late:
        raise InvalidUpload(
            f"{late[0]} is newer than {blob.name}: upload the marker last; upload {MARKER} again to try again"
        )
    if deep := next((b.name for b in found if b.name.count("/") > parsed.folder.count("/") + 1), None):
        raise InvalidUpload(f"{deep}: more than two folders deep; {FORM}")
    options = next((_pin(b, None) for b in found if b.name == f"{parsed.folder}/{OPTIONS}"), None)
    data = [b for b in found if seems_to_hold_rows(b.name)]
    others = [b.name for b in found if not seems_to_hold_rows(b.name) and b.name != f"{parsed.folder}/{OPTIONS}"]
    if not data:
        raise InvalidUpload(f"{parsed.folder}/ holds no file that ends in {', '.join(EXTENSIONS)}")
    if len(data) > MOST_FILES:
        raise InvalidUpload(f"{parsed.folder}/ holds {len(data)} files with rows; at most {MOST_FILES}: join some")
    for b in data:
        require_printable(b.name)
    return tuple(_pin(b, split_of(b.name)) for b in data), options, _shown(others)


def _options_beside(services: Services, blob: Blob) -> SnapshotFile | None:
    """The options that lie beside a single file, if there are some. Raises InvalidUpload when they came too late."""
    path = options_path(blob.name)
    # listed and not asked for: of a name that another one begins with, a listing gives the shorter one first
    found = next(iter(services.storage.list(CONTAINER, path)), None)
    if found is None or found.name != path:
        return None
    if found.copying:
        raise InvalidUpload(f"{path} is still being copied: upload {blob.name} again when that is done")
    if found.uploaded_at > blob.uploaded_at:
        raise InvalidUpload(f"{path} is newer than {blob.name}: upload it before the rows; upload {blob.name} again")
    return _pin(found, None)


def _listed(services: Services, folder: str) -> list[Blob]:
    """What is in the folder, but for the marker. Raises InvalidUpload when it is too much."""
    listed = list(itertools.islice(services.storage.list(CONTAINER, f"{folder}/"), MOST_LISTED + 1))
    if len(listed) > MOST_LISTED:
        raise InvalidUpload(f"{folder}/ holds more than {MOST_LISTED} files")
    return [blob for blob in listed if not blob.name.endswith(f"/{MARKER}")]


def _shown(names: list[str]) -> tuple[str, ...]:
    """The first names, without what would do harm where they are shown, and how many more there are."""
    more = (f"and {len(names) - MOST_SHOWN} more",) if len(names) > MOST_SHOWN else ()
    return (*(printable(name.rsplit("/", 1)[-1], 100) for name in names[:MOST_SHOWN]), *more)


def _pin(blob: Blob, split: str | None) -> SnapshotFile:
    return SnapshotFile(path=blob.name, etag=blob.etag, size=blob.size, split=split)
