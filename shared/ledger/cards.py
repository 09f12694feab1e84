"""The cards of snapshots: what a list tells of each, kept apart for those whose rows changed of late.

A card lies at `ledger/open/<dataset>/<id>`, all of it in the blob's metadata, so that one listing gives them all. It is
there from before a row opens until the sweep has put it into the index of those that ended: an ended row that has a
card costs one read, and an open row without one is found by the nightly look at the whole ledger. Called by the ledger,
which writes a card when a row opens, and again when what it tells has changed; a repeat writes the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from shared import naming
from shared.ledger.record import Struct, cut, from_metadata, to_metadata
from shared.ledger.rows import Snapshot
from shared.ledger.states import ENDED, SnapshotState
from shared.ledger.storage import BlobStore

CONTAINER, FOLDER = "ledger", "open/"
# So much is told of a reason in a list: of any characters, three such texts fit into the 8 KB of a blob's metadata.
LONGEST = 160


class Card(Struct, frozen=True, kw_only=True):
    """What a list tells of a snapshot. `state`: its own, or how its release ended. Times are UTC seconds."""

    id: str
    state: str
    since: float = 0.0
    reason: str = ""
    waiting: str = ""
    fault: str = ""
    attention: bool = False

    @property
    def dataset(self) -> str:
        """The dataset that it belongs to."""
        return naming.dataset_part(self.id)

    @property
    def uploaded(self) -> tuple[str, ...]:
        """What orders snapshots of all datasets by the time of their upload."""
        return naming.upload_order(self.id)

    def tells_more_than(self, other: Card) -> bool:
        """Whether it is another one in more than the words of what is waited for, which change with each poll."""
        return bool(self.but(waiting="") != other.but(waiting=""))


@dataclass(frozen=True, slots=True)
class KeptCard:
    """A card as it was listed. Its `card` is None where it cannot be read. `at`: when it was written."""

    snapshot: str
    card: Card | None
    blob: str
    etag: str
    at: float

    @property
    def key(self) -> str:
        """The key of its row."""
        return f"snapshot/{self.snapshot}"


_CARD = msgspec.json.Decoder(Card)


class Cards:
    """The cards of all snapshots that changed of late."""

    def __init__(self, storage: BlobStore) -> None:
        self._storage = storage

    def put(self, card: Card) -> None:
        """Writes a card over the one that may be there."""
        self._storage.put(CONTAINER, f"{FOLDER}{card.dataset}/{card.id}", b"", {"card": to_metadata(card)})

    def list(self, dataset: str = "") -> Iterator[KeptCard]:
        """Every card, or those of one dataset, in the order of ids."""
        for blob in self._storage.list(CONTAINER, f"{FOLDER}{dataset}/" if dataset else FOLDER):
            snapshot = blob.name.rsplit("/", 1)[-1]
            if naming.dataset_of(snapshot):
                card = _read(blob.metadata.get("card", ""), snapshot)
                yield KeptCard(snapshot, card, blob.name, blob.etag, blob.uploaded_at)

    def forget(self, snapshot: str) -> None:
        """Takes away the card of a snapshot whose row is gone."""
        self._storage.delete(CONTAINER, f"{FOLDER}{naming.dataset_of(snapshot)}/{snapshot}")

    def remove(self, kept: KeptCard) -> None:
        """Takes a card away. Raises LedgerConflict when it was written again since it was listed."""
        self._storage.delete(CONTAINER, kept.blob, kept.etag)


def card_of(row: Snapshot) -> Card:
    """The card of a row."""
    ended = row.outcome if row.state == SnapshotState.REGISTERED else None
    return Card(
        id=row.id,
        state=str(ended.state if ended else row.state),
        since=ended.at if ended else row.since,
        reason=cut(ended.reason if ended else row.reason, LONGEST),
        waiting=cut(row.waiting, LONGEST),
        fault=cut(str(row.fault), LONGEST) if row.fault else "",
        attention=row.attention,
    )


def is_open(row: Snapshot) -> bool:
    """Whether something is still to become of it by itself, or by a person who is asked for."""
    return row.state not in ENDED or row.requested is not None


def _read(text: str, snapshot: str) -> Card | None:
    card = from_metadata(text, _CARD)
    return card if card is not None and card.id == snapshot else None
