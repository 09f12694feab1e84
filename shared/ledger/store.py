"""The ledger: a row is one JSON blob, written on condition of its ETag. Called by the engine, actions and steps.

State and `next_look_at` are also the blob's metadata, so that a listing answers "what is due" without reading each
row. A write that loses raises LedgerConflict; `change` reads again and repeats, so its edit must bear repetition.
"""

from __future__ import annotations

import builtins
import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from shared import naming
from shared.errors import Damaged, LedgerConflict, NotFound, PipelineError, RowUnwritable
from shared.ledger import listed, notices, uptime
from shared.ledger.cards import Cards, card_of, is_open
from shared.ledger.deletions import Deletions
from shared.ledger.index import EndedIndex
from shared.ledger.listed import ListedDataset, ListedRow, blob_name, key_of, metadata
from shared.ledger.outbox import MOST_IN_ROW
from shared.ledger.record import UNREADABLE
from shared.ledger.rows import Dataset, HistoryEntry, Snapshot
from shared.ledger.states import UNCHECKED, SnapshotState
from shared.ledger.storage import BlobStore
from shared.ledger.uptime import Machines
from shared.ledger.waiting import Reminders

log = logging.getLogger(__name__)

CONTAINER = "ledger"
# The longest (s) that a message is hidden in the queue.
LONGEST_HIDDEN = 3600.0
# Behind a key in a message: what its outbox has is to be sent.
PUBLISH = "!"
_SNAPSHOT, _DATASET = msgspec.json.Decoder(Snapshot), msgspec.json.Decoder(Dataset)

_UNKNOWN = Machines()

type AnyRow = Snapshot | Dataset


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with the ETag it was read or written under."""

    row: Any
    etag: str


class Ledger:
    """Rows and messages over a BlobStore. `clock` gives seconds since 1970, UTC.

    `channels`: the names of those who are told what writes make true. Without one no notice is made. `machines`: what
    serves a release.
    """

    def __init__(
        self,
        storage: BlobStore,
        clock: Callable[[], float] = time.time,
        channels: Collection[str] = (),
        machines: Machines = _UNKNOWN,
    ) -> None:
        self.storage, self.clock, self.channels, self.machines = storage, clock, tuple(channels), machines
        self.cards, self.index = Cards(storage), EndedIndex(storage)
        self.deletions = Deletions(storage)
        # Whether this process knows that the ledger has its index.
        self.is_indexed = False
        self._reminders = Reminders()

    def read(self, key: str) -> StoredRow:
        """The row under a key. Raises NotFound, and Damaged for what is no row."""
        data, etag = self.storage.read(CONTAINER, blob_name(key))
        return StoredRow(decode(key, data), etag)

    def create(self, row: AnyRow) -> StoredRow:
        """Writes a new row and schedules its first poll. Raises LedgerConflict when there is one already."""
        row = row.but(history=(HistoryEntry(state=row.state, at=self.clock(), reason=row.reason),))
        row = self._with_notices(None, row)
        row = self._timed(None, row)
        data = encode(row)
        if isinstance(row, Snapshot):
            self.cards.put(card_of(row))
        etag = self.storage.create(CONTAINER, blob_name(row.key), data, metadata(row))
        if row.poll_at is not None:
            self.schedule(row.key, row.poll_at)
        self._publish(None, row)
        return StoredRow(row, etag)

    def dataset(self, name: str) -> StoredRow:
        """The dataset's row, created EMPTY when it is missing. Its seed is derived from the name.

        Somebody may have deleted it: then a snapshot with a model is there already, whose release is next.
        """
        try:
            return self.read(f"dataset/{name}")
        except NotFound:
            models = [row.name for row in self.list("snapshot", name) if row.state == SnapshotState.REGISTERED]
            due = self.clock() if models else None
            row = Dataset(name=name, seed=naming.seed(name), newest_registered=max(models, default=""), poll_at=due)
            try:
                return self.create(row)
            except LedgerConflict:
                return self.read(row.key)

    def write(self, stored: StoredRow, row: AnyRow) -> StoredRow:
        """Replaces the row if it is still the one that was read. Raises LedgerConflict, RowUnwritable.

        A snapshot that opens again has its card before: whoever is cut off leaves no open row without one.
        """
        row = self._with_notices(stored.row, row)
        row = self._timed(stored.row, row)
        data = encode(row)
        if isinstance(row, Snapshot) and is_open(row) and not is_open(stored.row):
            self.cards.put(card_of(row))
        etag = self.storage.replace(CONTAINER, blob_name(row.key), data, stored.etag, metadata(row))
        if isinstance(row, Snapshot) and card_of(row).tells_more_than(card_of(stored.row)):
            self._tell(row)
        self._publish(stored.row, row)
        return StoredRow(row, etag)

    def _with_notices(self, before: AnyRow | None, row: AnyRow) -> AnyRow:
        """The row with what people are to be told once it is written."""
        if not self.channels:
            return row
        installation = naming.installation(self.storage.address)
        made = notices.of_write(before, row, installation, self.clock(), self.channels)
        changed: AnyRow = row.but(outbox=(*row.outbox, *made)[-MOST_IN_ROW:]) if made else row
        return changed

    def _publish(self, before: AnyRow | None, row: AnyRow) -> None:
        """Has what a write added to the outbox sent by a worker of its own; where that is cut off the sweep does it."""
        if not row.outbox or (before is not None and row.outbox[-1] in before.outbox):
            return
        try:
            self.storage.send(f"{row.key}{PUBLISH}")
        except PipelineError as error:
            log.info("what %s tells is left to the sweep: %s", row.key, error)

    def _timed(self, before: AnyRow | None, row: AnyRow) -> AnyRow:
        """A dataset's row with the times of what it runs."""
        if not isinstance(row, Dataset):
            return row
        return uptime.timed(before if isinstance(before, Dataset) else None, row, self.clock(), self.machines)

    def remove(self, stored: StoredRow) -> None:
        """Deletes the row if it is still the one that was read. Raises LedgerConflict."""
        self.storage.delete(CONTAINER, blob_name(stored.row.key), stored.etag)

    def _tell(self, row: Snapshot) -> None:
        """The card as the row is now. Where it cannot be written the next sweep does it."""
        try:
            self.cards.put(card_of(row))
        except PipelineError as error:
            log.info("the card of %s is left to the sweep: %s", row.id, error)

    def change(self, key: str, edit: Callable[[Any], Any], always: bool = False) -> StoredRow:
        """Reads, edits and writes until no other write came between; `edit` returning the same row writes nothing.

        `always`: writes even that, so that what a listing shows of the row is up to date.
        """
        while True:
            stored = self.read(key)
            row = edit(stored.row)
            if row == stored.row and not always:
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
            if key := key_of(kind, blob.name):
                yield listed.listed(key, blob.metadata)

    def datasets(self) -> builtins.list[ListedDataset]:
        """All datasets as one listing shows them. What an older version wrote is read, which tells the same."""
        return [self._whole(found) for found in self.list("dataset") if isinstance(found, ListedDataset)]

    def _whole(self, found: ListedDataset) -> ListedDataset:
        if found.is_whole or found.damage:
            return found
        try:
            shown = metadata(self.read(found.key).row)
            whole = listed.listed(found.key, {**shown, "form": listed.READ})
        except (Damaged, NotFound):
            return found
        return whole if isinstance(whole, ListedDataset) else found

    def newer(self, row: Snapshot, states: Collection[SnapshotState], moves: bool = False, surely: bool = False) -> str:
        """The newest snapshot of the dataset that is newer than this one and in one of these states, or nothing.

        With `moves` those that wait for a person are passed over, with `surely` those that may be the older content of
        the same blob: uploaded in the same second, in an order that nobody knows. Of those with a model the dataset's
        row tells; of all others the cards do, and the row itself confirms it.
        """
        newest = self._newest_registered(row.dataset) if SnapshotState.REGISTERED in states else ""
        if newest > row.id and (
            not surely or _is_later(newest, row) or self._confirms(newest, row, states, moves, surely)
        ):
            return newest
        found = [kept for kept in self.cards.list(row.dataset) if kept.snapshot > row.id]
        # The newest that its card says is unchecked may just have become more: the row is written first.
        unsure = next((kept for kept in reversed(found) if kept.card is None or kept.card.state in UNCHECKED), None)
        for kept in reversed(found):
            may_be = kept is unsure or (kept.card and kept.card.state in states)
            if may_be and self._confirms(kept.snapshot, row, states, moves, surely):
                return kept.snapshot
        return ""

    def _confirms(
        self, snapshot: str, row: Snapshot, states: Collection[SnapshotState], moves: bool, surely: bool
    ) -> bool:
        """Whether the row of a snapshot says of it what `newer` asks for."""
        try:
            other: Snapshot = self.read(f"snapshot/{snapshot}").row
        except (NotFound, Damaged):
            return False
        if other.state not in states or (moves and other.attention):
            return False
        return not surely or _is_later(snapshot, row) or other.source != row.source

    def older(self, row: Snapshot, states: Collection[SnapshotState]) -> builtins.list[str]:
        """The keys of the dataset's snapshots that are older and in one of these states, as their cards say; oldest
        first, without those that wait for a person, who hear of nothing."""
        listed = [(kept, kept.card) for kept in self.cards.list(row.dataset) if kept.snapshot < row.id]
        return [kept.key for kept, card in listed if card and card.state in states and not card.attention]

    def _newest_registered(self, dataset: str) -> str:
        try:
            return str(self.read(f"dataset/{dataset}").row.newest_registered)
        except (NotFound, Damaged):
            return ""

    def rows(self, kind: str) -> Iterator[Any]:
        """Every row of a kind that can be read. What is damaged is left out, and told in the log."""
        for found in list(self.list(kind)):
            try:
                yield self.read(found.key).row
            except Damaged as error:
                log.error("%s is left out: %s", found.key, error)
            except NotFound:
                continue

    def hint(self, key: str) -> None:
        """Something may have happened to this row: it is polled now, whatever was planned."""
        self.storage.send(f"{key}?")

    def schedule(self, key: str, at: float) -> None:
        """The row is polled at that time; if it plans another one meanwhile, it ignores the message.

        What is to come later than within an hour is left to the sweep: the platform counts hidden messages as work.
        """
        if (delay := at - self.clock()) <= LONGEST_HIDDEN:
            self.storage.send(key, delay)

    def remind(self, key: str, overdue_since: float | None, patience: float) -> bool:
        """A row whose planned poll has not come is polled now, unless a message for it was sent of late.

        None: it is not overdue. `patience`: how late (s) it must be before its first message is taken for lost. Says
        whether a message was sent.
        """
        if overdue_since is None or not self._reminders.wanted(key, overdue_since, self.clock(), patience):
            return False
        self.schedule(key, self.clock())
        return True


# The year 9999, in seconds since 1970.
_END_OF_TIME = 253_370_764_800.0


def decode(key: str, data: bytes) -> AnyRow:
    """The row that a blob holds; the key says of which kind it is. Raises Damaged."""
    try:
        row: AnyRow = (_SNAPSHOT if key.startswith("snapshot/") else _DATASET).decode(data)
    except UNREADABLE as error:
        raise Damaged.named(f"{CONTAINER}/{blob_name(key)}", error) from error
    if row.poll_at is not None and not 0 <= row.poll_at < _END_OF_TIME:
        raise Damaged.named(f"{CONTAINER}/{blob_name(key)}", f"next_look_at {row.poll_at:g} is no time")
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


def _is_later(snapshot: str, row: Snapshot) -> bool:
    """Whether a snapshot was uploaded in a later second than a row."""
    return naming.upload_order(snapshot)[0] > naming.upload_order(row.id)[0]
