"""A page of snapshots for people, newest upload first. Called by the HTTP status functions.

It is made of what lies ready: one listing of datasets, one of the cards of open snapshots, and the index of those that
ended, of which no more is read than the page needs. No row is read, so a page costs the same however many there are.
What it tells is right within a write; what a row waits for, within a sweep. Everything about one: `status.snapshot`.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.ledger.cards import Card
from shared.ledger.states import TOLD_BY_DATASET, ReleaseState, SnapshotState
from shared.operations import paging
from shared.operations.paging import LIMIT, PageQuery
from shared.operations.status import DAMAGED
from shared.operations.times import shown_if_known, shown_time

if TYPE_CHECKING:
    from shared.ledger.cards import KeptCard
    from shared.ledger.index import EndedIndex
    from shared.ledger.listed import ListedDataset
    from shared.operations.ledger_lists import LedgerLists
    from shared.runtime import Services

# Those of a snapshot that no release has changed.
_OWN = frozenset(SnapshotState) - {SnapshotState.REGISTERED, SnapshotState.SUPERSEDED, SnapshotState.CANCELED}
FILTERS = ("dataset", "state")
STATES = frozenset({*map(str, SnapshotState), *map(str, ReleaseState), DAMAGED})


def check(query: PageQuery) -> tuple[str, str]:
    """The dataset and the state that are asked for. Raises BadPageQuery."""
    paging.snapshot(query.before)
    return paging.dataset(query.filter("dataset")), paging.one_of("state", query.filter("state"), STATES)


def snapshots(
    services: Services,
    dataset: str = "",
    state: str = "",
    before: str = "",
    limit: int = LIMIT,
    damaged: Mapping[str, str] = MappingProxyType({}),
    lists: LedgerLists | None = None,
) -> dict[str, Any]:
    """The newest snapshots, of one dataset or in one state if these are given, uploaded before the snapshot `before`.

    `damaged`: why rows of snapshots cannot be read, by their ids. `lists`: what was listed for this answer already.
    `next` is what to give as `before` for the page after this one.
    """
    rows = lists.datasets if lists else services.ledger.datasets()
    kept = lists.cards_of(dataset) if lists else services.ledger.cards.list(dataset)
    index, datasets = (lists or services.ledger).index, {found.name: found for found in rows}
    cards = _cards(kept, index, datasets, dataset, state, before)
    shown = (with_part(card, datasets.get(card.dataset), damaged) for card in cards)
    page = list(itertools.islice((card for card in shown if state in ("", card.state)), limit + 1))
    following = page[limit - 1].id if len(page) > limit else None
    return {"snapshots": [_shown(card) for card in page[:limit]], "next": following}


def _cards(
    kept: Iterable[KeptCard],
    index: EndedIndex,
    datasets: Mapping[str, ListedDataset],
    dataset: str,
    state: str,
    before: str,
) -> Iterator[Card]:
    """The cards that may be on the page, newest upload first."""
    last = naming.upload_order(before)
    opened = {found.snapshot: found.card or Card(id=found.snapshot, state=DAMAGED) for found in kept}
    if state in TOLD_BY_DATASET:
        found = [card for one in datasets.values() if dataset in ("", one.name) for card in _of_dataset(one)]
        ended: Iterator[Card] = iter(sorted(found, key=_newest_first, reverse=True))
    else:
        ended = index.find(_stored(state), dataset, before)
    newest = sorted(opened.values(), key=_newest_first, reverse=True)
    others = (card for card in ended if card.id not in opened)
    both = heapq.merge(newest, others, key=_newest_first, reverse=True)
    return (card for card in both if not last or card.uploaded < last)


def _newest_first(card: Card) -> tuple[str, ...]:
    return card.uploaded


def _stored(state: str) -> tuple[str, ...]:
    """The states in which the index may have those that are shown in this one."""
    if state == ReleaseState.SUPERSEDED:
        return (state, str(SnapshotState.REGISTERED))
    return (state,) if state else ()


def _of_dataset(row: ListedDataset) -> Iterator[Card]:
    for snapshot in {row.candidate, row.live} - {""}:
        yield Card(id=snapshot, state=str(SnapshotState.REGISTERED), since=row.since)


def with_part(card: Card, dataset: ListedDataset | None, damaged: Mapping[str, str] = MappingProxyType({})) -> Card:
    """The card with the part that its snapshot plays in the dataset now."""
    if why := damaged.get(card.id):
        gone: Card = card.but(state=DAMAGED, reason=f"its row cannot be read: {why}")
        return gone
    if dataset is None or card.state in _OWN:
        return card
    state, reason = dataset.part_of(card.id)
    if not state and card.state == SnapshotState.REGISTERED and dataset.newest_released > card.id:
        state = str(ReleaseState.SUPERSEDED)
    changed: Card = card.but(state=state or card.state, reason=reason or card.reason)
    return changed


def _shown(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "dataset": card.dataset,
        "state": card.state,
        "reason": card.reason,
        "waiting": card.waiting or None,
        "fault": card.fault or None,
        "needs_attention": card.attention or card.state == DAMAGED,
        "uploaded_at": shown_time(naming.uploaded_at(card.id)),
        "since": shown_if_known(card.since),
    }
