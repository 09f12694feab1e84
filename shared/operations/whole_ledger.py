"""The look at the whole ledger: once a night, and by the first sweep over a ledger that an older version wrote.

One listing of all rows, which reads none that ended. A row without a card gets one if it is open, or if people are yet
to be told of it; what is to be cleaned is polled; a registered model that its dataset does not know of is noted there,
and on a snapshot how its release ended; the index of ended snapshots is made anew; claims of what trains nothing are
deleted. Cut off anywhere, it is made again the next night; two at once write the same.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from shared import naming
from shared.errors import Damaged, NotFound
from shared.ledger.cards import Card, card_of, is_open
from shared.ledger.states import ENDED, ReleaseState, SnapshotState
from shared.operations import open_rows
from shared.operations.rounds import for_each
from shared.releases import outcomes

if TYPE_CHECKING:
    from shared.ledger.listed import ListedDataset, ListedRow
    from shared.ledger.rows import Dataset, Snapshot
    from shared.runtime import Services

log = logging.getLogger(__name__)

# So many ended rows are polled in one night, to be cleaned; and so many are read for what the index tells of them.
_POLLED, _READ = 2000, 1000
_RELEASED = frozenset(str(state) for state in ReleaseState)


def look_once(services: Services) -> list[str]:
    """The look, if there never was one: nothing is known of a ledger that an older version wrote."""
    if services.ledger.is_indexed:
        return []
    found = [] if services.ledger.index.exists() else look(services)
    services.ledger.is_indexed = True
    return found


def look(services: Services) -> list[str]:
    """Looks at every row; gives the keys of those that are polled because of it."""
    rows = list(services.ledger.list("snapshot"))
    carded = {kept.snapshot for kept in services.ledger.cards.list()}
    for found in rows:
        untold = found.has_outbox and bool(services.channels)
        if found.name not in carded and (found.state not in ENDED or untold):
            _give_card(services, found)
    datasets, known = services.ledger.datasets(), services.ledger.index.cards()
    _note_newest(services, rows, datasets)
    _tell_outcomes(services, rows, datasets, known)
    _rebuild_index(services, rows, known)
    services.claims.forget(
        services.clock() - services.settings.keep_days * 86_400, {row.name: row.state for row in rows}
    )
    now = services.clock()
    due = [row.key for row in rows if row.state in ENDED and row.name not in carded and row.is_due(now)][:_POLLED]
    for key in due:
        services.ledger.schedule(key, now)
    return due


def _give_card(services: Services, found: ListedRow) -> None:
    """A row without a card is not seen by any sweep: its card was lost, or an older version wrote it."""
    with contextlib.suppress(NotFound):
        try:
            row: Snapshot = services.ledger.read(found.key).row
            card = card_of(row) if is_open(row) or row.outbox else None
        except Damaged as error:
            log.error("%s cannot be looked at: %s", found.key, error)
            card = Card(id=found.name, state=found.state)
        if card:
            log.warning("%s had no card: the sweep sees it from now on", found.key)
            services.ledger.cards.put(card)


def _note_newest(services: Services, rows: Iterable[ListedRow], datasets: Iterable[ListedDataset]) -> None:
    """Notes the newest model of each dataset whose row does not know it."""
    newest: dict[str, str] = {}
    for row in rows:
        if row.state == SnapshotState.REGISTERED:
            dataset = naming.dataset_part(row.name)
            newest[dataset] = max(row.name, newest.get(dataset, ""))
    list(open_rows.remake(services, newest.keys() - {found.name for found in datasets}))
    behind = [one for one in datasets if newest.get(one.name, "") > one.newest_registered and not one.damage]
    edit = {one.key: partial(_with_registered, snapshot=newest[one.name]) for one in behind}
    list(for_each(edit, lambda key: services.ledger.change(key, edit[key])))


def _tell_outcomes(
    services: Services, rows: Iterable[ListedRow], datasets: Iterable[ListedDataset], known: Mapping[str, Card]
) -> None:
    """Has each registered snapshot tell how its release ended, whose dataset was cut off before it told it.

    `known`: what the index tells of snapshots that ended.
    """
    silent: dict[str, set[str]] = {}
    for row in rows:
        if row.state == SnapshotState.REGISTERED and (card := known.get(row.name)) and card.state == row.state:
            silent.setdefault(card.dataset, set()).add(row.name)
    behind = [one.name for one in datasets if one.newest_released and one.name in silent]
    list(for_each(behind, lambda name: outcomes.tell_again(services, name, lambda one, _: one in silent[name])))


def _with_registered(row: Dataset, snapshot: str) -> Dataset:
    changed: Dataset = row.with_registered(snapshot)
    return changed


def _rebuild_index(services: Services, rows: Iterable[ListedRow], known: Mapping[str, Card]) -> None:
    """The index of these rows. What it told of a row (`known`) stays, as long as the row is in that state."""
    ended = [row for row in rows if row.state in ENDED]
    kept = {row.name: known[row.name] for row in ended if row.name in known and _tells_of(known[row.name], row)}
    missing = iter([row for row in ended if row.name not in kept])
    for row in itertools.islice(missing, _READ):
        kept |= {card.id: card for card in _read(services, row)}
    kept |= {row.name: Card(id=row.name, state=row.state) for row in missing}
    services.ledger.index.rebuild(kept, known)


def _tells_of(card: Card, row: ListedRow) -> bool:
    return card.state == row.state or (row.state == SnapshotState.REGISTERED and card.state in _RELEASED)


def _read(services: Services, found: ListedRow) -> Iterator[Card]:
    try:
        yield card_of(services.ledger.read(found.key).row)
    except NotFound:
        return
    except Damaged:
        yield Card(id=found.name, state=found.state)
