"""The ledger: a row is one JSON blob, written on condition of its ETag. Called by the engine, actions and steps.

State and `next_look_at` are also the blob's metadata, so that a listing answers "what is due" without reading each
row. A write that loses raises LedgerConflict; `change` reads again and repeats, so its edit must bear repetition.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from shared import naming
from shared.errors import Damaged, LedgerConflict, NotFound, RowUnwritable
from shared.ledger.rows import Dataset, HistoryEntry, Snapshot
from shared.ledger.states import DatasetState, SnapshotState
from shared.ledger.storage import BlobStore

log = logging.getLogger(__name__)

CONTAINER = "ledger"
_SNAPSHOT, _DATASET = msgspec.json.Decoder(Snapshot), msgspec.json.Decoder(Dataset)

type AnyRow = Snapshot | Dataset


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with the ETag it was read or written under."""

    row: Any
    etag: str


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A row as a listing shows it. `damage` says what is wrong with what the listing shows of it."""

    key: str
    state: str
    poll_at: float | None
    attention: bool
    damage: str = ""


class Ledger:
    """Rows and messages over a BlobStore. `clock` gives seconds since 1970, UTC."""

    def __init__(self, storage: BlobStore, clock: Callable[[], float] = time.time) -> None:
        self.storage, self.clock = storage, clock

    def read(self, key: str) -> StoredRow:
        """The row under a key. Raises NotFound, and Damaged for what is no row."""
        data, etag = self.storage.read(CONTAINER, blob_name(key))
        return StoredRow(decode(key, data), etag)

    def create(self, row: AnyRow) -> StoredRow:
        """Writes a new row and schedules its first poll. Raises LedgerConflict when there is one already."""
        row = row.but(history=(HistoryEntry(state=row.state, at=self.clock(), reason=row.reason),))
        etag = self.storage.create(CONTAINER, blob_name(row.key), encode(row), metadata(row))
        if row.poll_at is not None:
            self.schedule(row.key, row.poll_at)
        return StoredRow(row, etag)

    def dataset(self, name: str) -> StoredRow:
        """The dataset's row, created EMPTY when it is missing. Its seed is derived from the name."""
        try:
            return self.read(f"dataset/{name}")
        except NotFound:
            row = Dataset(name=name, seed=int(naming.short_hash("seed", name), 16))
            try:
                return self.create(row)
            except LedgerConflict:
                return self.read(row.key)

    def write(self, stored: StoredRow, row: AnyRow) -> StoredRow:
        """Replaces the row if it is still the one that was read. Raises LedgerConflict, RowUnwritable."""
        etag = self.storage.replace(CONTAINER, blob_name(row.key), encode(row), stored.etag, metadata(row))
        return StoredRow(row, etag)

    def change(self, key: str, edit: Callable[[Any], Any]) -> StoredRow:
        """Reads, edits and writes until no other write came between; `edit` returning the same row writes nothing."""
        while True:
            stored = self.read(key)
            row = edit(stored.row)
            if row == stored.row:
                return stored
            try:
                return self.write(stored, row)
            except LedgerConflict:
                continue

    def list(self, kind: str, dataset: str = "") -> Iterator[ListedRow]:
        """Rows of a kind (`snapshot`, `dataset`), in the order of ids, optionally of one dataset only.

        What is damaged in one row is told with it (`damage`) and hides no other one; a blob that is no row is left out.
        """
        prefix = f"{kind}s/{dataset}/" if dataset else f"{kind}s/"
        for blob in self.storage.list(CONTAINER, prefix):
            if key := _key(kind, blob.name):
                yield _listed(key, blob.metadata)

    def rows(self, kind: str) -> Iterator[Any]:
        """Every row of a kind that can be read. What is damaged is left out, and told in the log."""
        for listed in list(self.list(kind)):
            try:
                yield self.read(listed.key).row
            except Damaged as error:
                log.error("%s is left out: %s", listed.key, error)
            except NotFound:
                continue

    def strays(self) -> Iterator[str]:
        """The names of blobs that lie among the rows and are none."""
        for kind in ("snapshot", "dataset"):
            yield from (b.name for b in self.storage.list(CONTAINER, f"{kind}s/") if not _key(kind, b.name))

    def hint(self, key: str) -> None:
        """Something may have happened to this row: it is polled now, whatever was planned."""
        self.storage.send(f"{key}?")

    def schedule(self, key: str, at: float) -> None:
        """The row is polled at that time; if it plans another one meanwhile, it ignores the message."""
        self.storage.send(key, at - self.clock())


def _key(kind: str, blob: str) -> str:
    """The key of the row that a blob of this name holds, or nothing."""
    key = f"{kind}/{blob.rsplit('/', 1)[-1].removesuffix('.json')}"
    try:
        return key if blob_name(key) == blob else ""
    except NotFound:
        return ""


def _listed(key: str, metadata: Mapping[str, str]) -> ListedRow:
    state, look = metadata.get("state", ""), metadata.get("next_look_at", "")
    states = SnapshotState if key.startswith("snapshot/") else DatasetState
    damage = "" if state in set(states) else f"its metadata has the state {state[:40]!r}"
    try:
        poll_at = float(look) if look else None
    except ValueError:
        poll_at, damage = None, f"its metadata has next_look_at {look[:40]!r}"
    return ListedRow(key, state, poll_at, metadata.get("attention") == "1", damage)


def blob_name(key: str) -> str:
    """`snapshots/<dataset>/<id>.json` or `datasets/<name>.json`, by the kind of key. Raises NotFound for any other."""
    kind, _, name = key.partition("/")
    if kind == "dataset" and naming.DATASET.fullmatch(name):
        return f"datasets/{name}.json"
    if kind == "snapshot" and (dataset := naming.dataset_of(name)):
        return f"snapshots/{dataset}/{name}.json"
    raise NotFound(f"{key[:100]!r} is not the key of a row")


def decode(key: str, data: bytes) -> AnyRow:
    """The row that a blob holds; the key says of which kind it is. Raises Damaged."""
    try:
        row: AnyRow = (_SNAPSHOT if key.startswith("snapshot/") else _DATASET).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged.named(f"{CONTAINER}/{blob_name(key)}", error) from error
    if row.key != key:
        raise Damaged.named(f"{CONTAINER}/{blob_name(key)}", f"it is the row of {row.key[:100]}")
    return row


def encode(row: AnyRow) -> bytes:
    """What is stored of a row. Raises RowUnwritable for what has no form in JSON, or could not be read again."""
    try:
        data = msgspec.json.encode(row)
        decode(row.key, data)
        return data
    except (UnicodeError, msgspec.MsgspecError, TypeError, OverflowError, Damaged) as error:
        why = str(error).encode("utf-8", "replace").decode()[:200]
        raise RowUnwritable(f"{row.key} cannot be stored as it is to be: {why}") from error


def metadata(row: AnyRow) -> dict[str, str]:
    """What a listing shall show of a row."""
    found = {"state": row.state.value}
    if row.poll_at is not None:
        found["next_look_at"] = repr(row.poll_at)
    if row.attention:
        found["attention"] = "1"
    return found
