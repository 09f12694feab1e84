"""What is on record of imports: one JSON blob each, `ledger/imports/<id>.json`, written on condition of its ETag.

An import ends with a snapshot that is taken in like any other; until then this is all that is known of it. Its id is
made of what was asked for, so asking twice finds the first. Called by `snapshots.imports` and the routes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from shared import naming
from shared.chatdata.splits import Split
from shared.conversion import Reading
from shared.errors import Damaged, NotFound
from shared.ledger.outbox import untold
from shared.ledger.record import UNREADABLE, Struct
from shared.ledger.storage import BlobStore, ListedBlob, write_if_still

CONTAINER, FOLDER = "ledger", "imports/"
# What stands before the id in the message that has an import go on.
MESSAGE = "import/"


class ImportState(StrEnum):
    """Where an import is."""

    ASKED = "ASKED"
    IMPORTING = "IMPORTING"
    IMPORTED = "IMPORTED"
    IMPORT_FAILED = "IMPORT_FAILED"


class ImportRequest(Struct, frozen=True, kw_only=True):
    """What is to be imported: a dataset of the Hub, how much of it, how its rows are read, and into which dataset.

    `splits`: none named means those that are plainly for training, validation and test. `rows`: the most of each split;
    0: all. The columns are those of `droptune prepare`. `options` go into `snapshot.json`.
    """

    source: str
    dataset: str
    subset: str = ""
    revision: str = ""
    splits: tuple[str, ...] = ()
    fraction: float = 1.0
    rows: int = 0
    seed: int = 0
    shape: str = ""
    user: tuple[str, ...] = ()
    assistant: str = ""
    system: str = ""
    turns: str = ""
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def id(self) -> str:
        """Made of all of it."""
        return naming.import_id(msgspec.json.encode(self, order="deterministic").decode())


class ImportedSplit(Struct, frozen=True, kw_only=True):
    """One split on its way: what it is on the Hub and here, its parts, and how its rows are read."""

    name: str
    split: Split
    parts: int
    reading: Reading


class ImportRecord(Struct, frozen=True, kw_only=True):
    """One import. `poll_at`, stored as `next_look_at`: when it goes on; None once it has ended.

    `tries`: how often the present part was begun. `done`: so many parts, of all splits together, are written. `read`,
    `written`, `size` (bytes), `left_out` and `changed` count rows of those. `snapshot`: what came of it. `waiting`: why
    the last try came to nothing. Times are UTC seconds.
    """

    request: ImportRequest
    by: str
    asked_at: float
    state: ImportState = ImportState.ASKED
    since: float = 0.0
    reason: str = ""
    poll_at: float | None = msgspec.field(default=None, name="next_look_at")
    tries: int = 0
    waiting: str = ""
    revision: str = ""
    splits: tuple[ImportedSplit, ...] = ()
    done: int = 0
    read: int = 0
    written: dict[Split, int] = msgspec.field(default_factory=dict)
    size: int = 0
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    changed: dict[str, int] = msgspec.field(default_factory=dict)
    files: int = 0
    snapshot: str = ""

    @property
    def id(self) -> str:
        """The same for the same request."""
        return self.request.id

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it by itself."""
        return self.state in (ImportState.IMPORTED, ImportState.IMPORT_FAILED)

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return sum(split.parts for split in self.splits)

    @property
    def folder(self) -> str:
        """Where in `snapshots` its files are."""
        return f"{self.request.dataset}/import-{self.id}"


_RECORD = msgspec.json.Decoder(ImportRecord)


def message_of(import_id: str) -> str:
    """The message that has an import go on."""
    return f"{MESSAGE}{import_id}"


def read(storage: BlobStore, import_id: str) -> tuple[ImportRecord, str]:
    """An import, and its ETag. Raises NotFound, and Damaged for what is none."""
    name = _blob(import_id)
    data, etag = storage.read(CONTAINER, name)
    try:
        return _RECORD.decode(data), etag
    except UNREADABLE as error:
        raise Damaged.named(f"{CONTAINER}/{name}", error) from error


def write(storage: BlobStore, record: ImportRecord, etag: str, channels: Mapping[str, object]) -> str:
    """Writes an import over the version that was read; without an ETag it is a new one. Raises LedgerConflict.

    Of one that has ended the channels are to be told: that is written with it.
    """
    shown = {"state": str(record.state), "asked_at": repr(record.asked_at), "source": record.request.source}
    if record.poll_at is not None:
        shown["next_look_at"] = repr(record.poll_at)
    if record.has_ended:
        shown |= untold(channels)
    return write_if_still(storage, CONTAINER, _blob(record.id), msgspec.json.encode(record), etag, shown)


def listed(storage: BlobStore) -> Iterator[tuple[str, ListedBlob]]:
    """The ids of all imports, each with what a listing shows of it."""
    for blob in storage.list(CONTAINER, FOLDER):
        yield blob.name.removeprefix(FOLDER).removesuffix(".json"), blob


def _blob(import_id: str) -> str:
    if not naming.IMPORT_ID.fullmatch(import_id):
        raise NotFound(f"{import_id[:60]!r} is not the id of an import")
    return f"{FOLDER}{import_id}.json"
