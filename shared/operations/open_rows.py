"""The look at every row that is open, and at every dataset: what is due is polled, what ended leaves the open ones.

Called by the sweep. The cards of snapshots and one listing of datasets say which rows there are; of snapshots that
ended long ago nothing is asked. Running it twice at once is harmless: a poll that is not due does nothing, and a card
is only taken away if nobody wrote it meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Collection, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.errors import LedgerConflict, NotFound, PipelineError
from shared.ledger.cards import card_of, is_open
from shared.ledger.states import RESTING, SnapshotState
from shared.ledger.waiting import LONGEST_PAUSE
from shared.operations import rebuild
from shared.operations.rounds import for_each
from shared.releases import outcomes

if TYPE_CHECKING:
    from shared.ledger.cards import Card, KeptCard
    from shared.ledger.listed import ListedDataset
    from shared.ledger.rows import Dataset, Snapshot
    from shared.runtime import Services

log = logging.getLogger(__name__)

# A card without a row is that of an arrival that was cut off; whoever is still at it has so long (s).
_ARRIVES_WITHIN = 3600.0
# For so long (s) after a release ended each sweep looks whether its snapshot tells it; later the nightly round does.
_LATELY = 3600.0
# Since when each dataset is as it was when all its snapshots told how their releases ended, by the ledger of a process.
_TELL_ALL: weakref.WeakKeyDictionary[Any, dict[str, float]] = weakref.WeakKeyDictionary()
# So many rows of an older version are brought up to date in one sweep.
_UPDATED_AT_ONCE = 100
# So many messages of other kinds (hints, parts of files) are in a queue that is not behind.
_BESIDES = 50


@dataclass
class EndedSnapshots:
    """Those whose cards were found, with what they tell now, and the newest model of each dataset among them.

    `untold`: the keys of all snapshots, ended or not, of which people are yet to be told something.
    """

    cards: list[tuple[KeptCard, Card]] = field(default_factory=list)
    newest: dict[str, str] = field(default_factory=dict)
    untold: list[str] = field(default_factory=list)

    def add(self, kept: KeptCard, row: Snapshot) -> None:
        """One more."""
        if row.key not in self.untold:  # it keeps its card until then: without one nobody would find it
            self.cards.append((kept, card_of(row)))
        if row.state == SnapshotState.REGISTERED:
            self.newest[row.dataset] = max(row.id, self.newest.get(row.dataset, ""))


def patience(services: Services, cards: Collection[KeptCard], datasets: Iterable[ListedDataset]) -> float:
    """How late (s) a row must be before its message is taken for lost: when the queue is behind, it may just be in it.

    Each row that is polled has about one message in the queue, most of them hidden.
    """
    polled = len(cards) + sum(found.poll_at is not None for found in datasets)
    try:
        is_behind = (services.storage.queue_length() or 0) > 2 * polled + _BESIDES
    except PipelineError as error:
        log.warning("how long the queue is could not be read: %s", error)
        return 0.0
    return LONGEST_PAUSE if is_behind else 0.0


def poll_snapshots(
    services: Services,
    cards: Iterable[KeptCard],
    ended: EndedSnapshots,
    patience: float,
    damaged: MutableMapping[str, str],
) -> list[str]:
    """Has every open row polled that is due, and brings its card up to date. Gives the keys of those polled.

    Rows that ended are collected in `ended`, and in `damaged` what is wrong with blobs that cannot be read. One row for
    which something fails stops no other.
    """
    polled = []

    def poll(kept: KeptCard) -> None:
        if _poll_snapshot(services, kept, ended, patience):
            polled.append(kept.key)

    list(for_each(cards, poll, damaged))
    return polled


def _poll_snapshot(services: Services, kept: KeptCard, ended: EndedSnapshots, patience: float) -> bool:
    """Whether the row was polled."""
    try:
        row: Snapshot = services.ledger.read(kept.key).row
    except NotFound:
        if services.clock() > kept.at + _ARRIVES_WITHIN:
            _remove(services, kept)
        return False
    if row.outbox and services.channels:
        ended.untold.append(row.key)
    if not is_open(row):
        ended.add(kept, row)
        return False
    is_sent = services.ledger.remind(row.key, row.poll_at if row.is_due(services.clock()) else None, patience)
    if kept.card != (now := card_of(row)):
        services.ledger.cards.put(now)
    return is_sent


def poll_datasets(
    services: Services, datasets: Iterable[ListedDataset], ended: EndedSnapshots, patience: float
) -> Iterator[str]:
    """Has every dataset polled that is due, or in which a release waits although nobody comes back to it, or which went
    live with an older version, that did not find out what its container speaks.

    A crash may have come between a snapshot's registration and the note of it in its dataset's row: it is made here.
    """
    now, older = services.clock(), 0
    for found in datasets:
        newest = ended.newest.get(found.name, "")
        noted = newest <= found.newest_registered
        older += found.is_outdated
        waits = found.waits or found.to_probe or not noted
        stuck = found.state in RESTING and not found.attention and found.poll_at is None and waits
        try:
            if stuck or not noted or (found.is_outdated and older <= _UPDATED_AT_ONCE):
                edit = partial(_put_right, services, newest=newest, now=now)
                row: Dataset = services.ledger.change(found.key, edit, always=True).row
                due_since = row.poll_at if row.is_due(now) else None
            else:
                due_since = found.poll_at if found.is_due(now) else None
            if services.ledger.remind(found.key, due_since, patience):
                yield found.key
        except PipelineError as error:
            log.warning("%s is left to the next sweep: %s", found.key, error)


def tell_outcomes(
    services: Services, datasets: Iterable[ListedDataset], damaged: MutableMapping[str, str]
) -> list[str]:
    """Has snapshots tell how their releases ended of late, should their datasets have been cut off before.

    Once for each change of a dataset, as long as this process lives. Gives the datasets, and collects in `damaged` what
    is wrong with blobs that cannot be read.
    """
    since, known = services.clock() - _LATELY, _TELL_ALL.get(services.ledger, {})
    lately = {found.name: found.since for found in datasets if found.since >= since and not found.damage}
    tell = partial(outcomes.tell_again, services, wanted=lambda _, outcome: outcome.at >= since)
    done = list(for_each([name for name, at in lately.items() if known.get(name) != at], tell, damaged))
    _TELL_ALL[services.ledger] = {name: at for name, at in lately.items() if name in done or known.get(name) == at}
    return done


def remake_lost(services: Services, datasets: Iterable[ListedDataset], ended: EndedSnapshots) -> Iterator[str]:
    """Makes the rows of datasets anew that somebody deleted although snapshots of theirs have models."""
    yield from remake(services, ended.newest.keys() - {found.name for found in datasets})


def remake(services: Services, lost: Iterable[str]) -> Iterator[str]:
    """Makes the rows of these datasets anew, from what Azure ML has; gives their keys."""
    for name in sorted(lost):
        try:
            yield services.ledger.create(rebuild.dataset(services, name, b"")).row.key
            log.error("dataset/%s had no row any more, which is made anew", name)
        except PipelineError as error:
            log.warning("dataset/%s has no row any more, which is left to the next sweep: %s", name, error)


def close(services: Services, ended: EndedSnapshots) -> None:
    """Puts the snapshots that ended into the index, and takes their cards away."""
    services.ledger.index.add(card for _, card in ended.cards)
    list(for_each([kept for kept, _ in ended.cards], partial(_remove, services)))


def _put_right(services: Services, row: Dataset, newest: str, now: float) -> Dataset:
    """The row with the newest model on record, without a request that its state has answered long ago, without what
    belongs beside it of releases that ended, and due now if a release or a probe waits."""
    kept = outcomes.settled(services, row, row.outcomes)
    changed: Dataset = row.but(outcomes=kept).with_registered(newest).settled()
    rests = changed.state in RESTING and not changed.attention and changed.poll_at is None
    if rests and (changed.next_release or changed.requested or changed.to_probe):
        changed = changed.but(poll_at=now)
    return changed


def _remove(services: Services, kept: KeptCard) -> None:
    with contextlib.suppress(LedgerConflict):  # the row opened again, or its release ended: the next sweep sees
        services.ledger.cards.remove(kept)
