"""What to do about an upload: tell which snapshot it is, or refuse it with the right form. Called by the storage event
and by the sweep.

An event only says where to look. The blob's own time and ETag decide, so an event that comes twice, late or for a
blob that was overwritten meanwhile finds the same row. Uploads that no event told us about count only from the first
start on (`ACCEPT_SINCE`), so that a full container is not trained as a backlog.
"""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared import naming
from shared.chatdata.formats import EXTENSIONS, printable, seems_to_hold_rows
from shared.chatdata.splits import split_of
from shared.errors import LedgerConflict, NotFound
from shared.ledger.rows import Snapshot, SnapshotFile
from shared.ledger.states import SnapshotState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from shared.azure.storage import Blob
    from shared.runtime import Services

log = logging.getLogger(__name__)

CONTAINER = "snapshots"
MARKER = "_SUCCESS"
OPTIONS = "snapshot.json"
FORM = (
    "drop <dataset>.jsonl, <dataset>/<name>.jsonl, or a folder <dataset>/<name>/ with train, validation and test files "
    "and then an empty _SUCCESS; .jsonl.gz and .parquet are fine too; "
    "a dataset's name has 2 to 41 of a-z, 0-9 and '-'"
)
# States in which a snapshot is past VALIDATED and on its way: an older upload has come too late.
_AHEAD = frozenset(
    {
        SnapshotState.SUBMITTING,
        SnapshotState.TRAINING,
        SnapshotState.TRAINED,
        SnapshotState.REGISTERING,
        SnapshotState.REGISTERED,
    }
)


@dataclass(frozen=True, slots=True)
class Drop:
    """What a path means: a dataset's snapshot in one file, or in a folder that its marker completes."""

    dataset: str
    folder: str = ""


@dataclass(frozen=True, slots=True)
class RefusedUpload:
    """An upload that is no snapshot, with the reason and the right form. `at`: seconds since 1970, UTC."""

    path: str
    reason: str
    at: float


class NotADrop(Exception):
    """The path is not one that people drop snapshots at; the text says why and what the right form is."""


def read_path(path: str) -> Drop | None:
    """What a blob's path means; None for a file that waits for its folder's marker. Raises NotADrop."""
    *folders, name = path.split("/")
    if not folders:
        stem = _stem(name, path)
        if split_of(name):
            raise NotADrop(f"{path}: is named like a split, not like a dataset; {FORM}")
        return _single(stem, name)
    dataset = _named(folders[0], path)
    if "" in folders:
        raise NotADrop(f"{path}: has a folder without a name; {FORM}")
    if len(folders) == 1:
        if name == MARKER:
            raise NotADrop(f"{path}: the marker belongs into a folder <dataset>/<name>/; {FORM}")
        if name == OPTIONS:
            raise NotADrop(f"{path}: {OPTIONS} goes with a folder snapshot, <dataset>/<name>/{OPTIONS}; {FORM}")
        if split_of(name):
            raise NotADrop(
                f"{path}: a file named like a split belongs into a folder <dataset>/<name>/, completed by {MARKER}"
            )
        return _single(dataset, name, path)
    if len(folders) == 2:
        if name == MARKER:
            return Drop(dataset, "/".join(folders))
        if name == OPTIONS:
            return None
        _stem(name, path)
        return None
    raise NotADrop(f"{path}: more than two folders deep; {FORM}")


def receive(services: Services, path: str) -> str | None:
    """Looks at an uploaded blob and records the snapshot it makes, if any. Returns the snapshot's id.

    Repeating it finds the row that is there, and looks at it again if its look is overdue.
    """
    try:
        drop = read_path(path)
        if drop is None:
            return None
        blob = services.storage.head(CONTAINER, path)
        if blob.uploaded_at < _told_since(services):
            return None
        if _known(services, _id(drop, blob)):
            return _id(drop, blob)
        files, options = _files(services, drop, blob)
    except NotADrop as refusal:
        refuse(services, path, str(refusal))
        return None
    except NotFound:
        return None  # deleted or renamed meanwhile
    return _recorded(services, drop, blob, files, options)


def refuse(services: Services, path: str, reason: str) -> None:
    """Records a refused upload once, under a hash of its path and ETag: another upload of it has another chance."""
    reason = printable(reason, 2000)
    text = json.dumps(asdict(RefusedUpload(path[:1024], reason, services.clock()))).encode()
    with contextlib.suppress(LedgerConflict, NotFound):
        services.storage.create("ledger", _refusal(services.storage.head(CONTAINER, path)), text)
        log.warning("refused an upload: %s", reason)


def refusals(services: Services, limit: int) -> list[RefusedUpload]:
    """The newest refused uploads, newest first."""
    blobs = sorted(services.storage.list("ledger", "_refused/"), key=lambda blob: blob.uploaded_at, reverse=True)
    return [RefusedUpload(**json.loads(services.storage.read("ledger", blob.name)[0])) for blob in blobs[:limit]]


def _refusal(blob: Blob) -> str:
    return f"_refused/{naming.short_hash(blob.name, blob.etag)}.json"


def _told_since(services: Services) -> float:
    """The setting, if there is one. Without it every upload that an event tells of is new: it may be this very event
    that starts the app for the first time."""
    moment = services.settings.accept_since
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else 0.0


def accept_since(services: Services) -> float:
    """Uploads before this time are left alone by the sweep: the setting, else the time of the first start."""
    if told := _told_since(services):
        return told
    name = "_installation.json"
    with contextlib.suppress(LedgerConflict, NotFound):
        found: float = json.loads(services.storage.read("ledger", name)[0])["first_start"]
        return found
    # Blob times have whole seconds: an upload in the second of the first start counts as after it.
    first = float(int(services.clock()))
    with contextlib.suppress(LedgerConflict):
        text = {"first_start": first, "at": datetime.fromtimestamp(first, UTC).isoformat()}
        services.storage.create("ledger", name, json.dumps(text).encode())
        return first
    return accept_since(services)


def _recorded(
    services: Services, drop: Drop, blob: Blob, files: tuple[SnapshotFile, ...], options: SnapshotFile | None
) -> str:
    row = Snapshot(
        id=_id(drop, blob),
        dataset=drop.dataset,
        state=SnapshotState.RECEIVED,
        source=blob.name,
        uploaded_at=blob.uploaded_at,
        files=files,
        options=options,
        poll_at=services.clock(),
    )
    if newer := _newer_ahead(services, row):
        row = row.but(
            state=SnapshotState.SUPERSEDED,
            waiting=f"{newer} is newer and already on its way",
            poll_at=None,
        )
    try:
        services.ledger.create(row)
        log.info("%s received: %d file(s), %d bytes", row.id, len(files), sum(f.size for f in files))
    except LedgerConflict:
        _known(services, row.id)
    return row.id


def _known(services: Services, snapshot: str) -> bool:
    """Whether the snapshot has its row, which is looked at again if its look is overdue.

    Asked before its folder is listed: files that changed since are the validation's business, and no refusal.
    """
    try:
        found = services.ledger.read(f"snapshot/{snapshot}").row
    except NotFound:
        return False
    if found.poll_at is not None and found.poll_at <= services.clock():
        services.ledger.come_back(found.key, found.poll_at)
    return True


def _id(drop: Drop, blob: Blob) -> str:
    return naming.snapshot_id(drop.dataset, blob.uploaded_at, f"{CONTAINER}/{blob.name}", blob.etag)


def _newer_ahead(services: Services, row: Snapshot) -> str:
    """The id of a newer snapshot of the dataset that is past VALIDATED, or nothing."""
    for listed in services.ledger.list("snapshot", row.dataset):
        if listed.state in _AHEAD and listed.key > row.key:
            return listed.key.removeprefix("snapshot/")
    return ""


def _files(services: Services, drop: Drop, blob: Blob) -> tuple[tuple[SnapshotFile, ...], SnapshotFile | None]:
    """The files of a snapshot, pinned by ETag, and its `snapshot.json` if there is one."""
    if not drop.folder:
        return (_file(blob, None),), None
    found = [b for b in services.storage.list(CONTAINER, f"{drop.folder}/") if not b.name.endswith(f"/{MARKER}")]
    late = sorted(b.name for b in found if b.uploaded_at > blob.uploaded_at)
    if late:
        raise NotADrop(
            f"{late[0]} is newer than {blob.name}: upload the marker last; upload {MARKER} again to try again"
        )
    options = next((_file(b, None) for b in found if b.name == f"{drop.folder}/{OPTIONS}"), None)
    if deep := next((b.name for b in found if b.name.count("/") > drop.folder.count("/") + 1), None):
        raise NotADrop(f"{deep}: more than two folders deep; {FORM}")
    data = [b for b in found if seems_to_hold_rows(b.name)]
    if not data:
        raise NotADrop(f"{drop.folder}/ holds no file that ends in {', '.join(EXTENSIONS)}")
    return tuple(_file(b, split_of(b.name)) for b in data), options


def _file(blob: Blob, split: str | None) -> SnapshotFile:
    return SnapshotFile(path=blob.name, etag=blob.etag, size=blob.size, split=split)


def _single(dataset: str, name: str, path: str = "") -> Drop:
    _stem(name, path or name)
    return Drop(_named(dataset, path or name))


def _stem(name: str, path: str) -> str:
    """The file's name without its extension. Raises NotADrop for any other extension."""
    for extension in EXTENSIONS:
        if name.endswith(extension) and len(name) > len(extension):
            return name.removesuffix(extension)
    raise NotADrop(f"{path}: expected a name that ends in {', '.join(EXTENSIONS)}; {FORM}")


def _named(dataset: str, path: str) -> str:
    if not naming.DATASET.fullmatch(dataset):
        raise NotADrop(f"{path}: {dataset!r} is not a dataset name; {FORM}")
    return dataset


def lost(services: Services, known: Collection[str]) -> Iterator[str]:
    """The paths in `snapshots` that no row and no refusal knows of: their event was lost. For the sweep.

    One listing, no look at single blobs: ids follow from what a listing shows.
    """
    since = accept_since(services)
    refused = {blob.name for blob in services.storage.list("ledger", "_refused/")}
    for blob in services.storage.list(CONTAINER):
        if blob.uploaded_at < since:
            continue
        try:
            drop = read_path(blob.name)
        except NotADrop:
            drop = None
            if _refusal(blob) not in refused:
                yield blob.name
        if drop and _id(drop, blob) not in known and _refusal(blob) not in refused:
            yield blob.name
