"""What has changed of snapshots and datasets since somebody looked last. Called by the event feed, for all listeners.

One look is a listing of the datasets and one of the cards of open snapshots, however many rows have ended; of what has
changed the row is read, which knows each state that it went through; of each snapshot that trains, what its job logged,
a few times a minute at most. Looking changes nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from shared.errors import Damaged, NotFound
from shared.ledger.cards import Card, is_open
from shared.ledger.states import RESTING, TOLD_BY_DATASET, SnapshotState
from shared.operations import pages, status, training
from shared.operations.status import DAMAGED
from shared.operations.times import shown_if_known
from shared.training import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.ledger.listed import ListedDataset
    from shared.ledger.rows import Dataset, HistoryEntry, Row, Snapshot
    from shared.runtime import Services

# Clocks of instances may differ by so much (s).
_CLOCKS_DIFFER = 30.0


class StateEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, or the present state of what is under way.

    `kind`: `snapshot` or `dataset` entered a state or waits for something else; `training`: the snapshot's job logged
    more (`training` as in `GET /api/snapshots/{id}/training`, without the curves). `id` is the snapshot's, or the
    dataset's name; `snapshot` of a dataset's event: whose release it is about. `at` is when it happened. `reason` of a
    present state may be cut short.
    """

    kind: Literal["snapshot", "dataset", "training"]
    id: str
    dataset: str
    state: str
    reason: str = ""
    at: str | None = None
    snapshot: str | None = None
    waiting: str | None = None
    needs_attention: bool = False
    training: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Whose events are wanted; empty: everybody's."""

    snapshot: str = ""
    dataset: str = ""

    def fits(self, event: StateEvent) -> bool:
        """Whether an event is wanted."""
        if self.snapshot and self.snapshot not in (event.id, event.snapshot):
            return False
        return self.dataset in ("", event.dataset)


@dataclass
class ChangeWatcher:
    """Looks again and again; `snapshots` and `datasets` are as they were at the last look. Not for two threads."""

    services: Services
    snapshots: dict[str, Card] = field(default_factory=dict)
    datasets: dict[str, ListedDataset] = field(default_factory=dict)
    _looked_at: float | None = None
    _trained_at: float = 0.0
    _newest: dict[str, HistoryEntry] = field(default_factory=dict)
    _logged: dict[str, StateEvent] = field(default_factory=dict)

    def look(self) -> list[StateEvent]:
        """What happened since the last look, oldest first; nothing at the first one. Raises PipelineError."""
        services, now = self.services, self.services.clock()
        datasets = {found.name: found for found in services.ledger.datasets()}
        snapshots = _visible(services, datasets)
        found: list[StateEvent] = []
        if self._looked_at is not None:
            rows: dict[str, Dataset] = {}
            for name, row in datasets.items():
                if _mark(row) != _mark(self.datasets.get(name)):
                    found += self._of_dataset(row, rows)
            for name, card in snapshots.items():
                if card != self.snapshots.get(name):
                    found += self._of_snapshot(card, rows)
        self.snapshots, self.datasets, self._looked_at = snapshots, datasets, now
        keys = {*(f"snapshot/{name}" for name in snapshots), *(f"dataset/{name}" for name in datasets)}
        self._newest = {key: entry for key, entry in self._newest.items() if key in keys}
        return sorted(found, key=lambda event: event.at or "") + list(self._trained(now))

    def present(self) -> Iterator[StateEvent]:
        """What is under way or has just ended, as the last look found it. Asks nobody."""
        for row in self.datasets.values():
            if row.state not in RESTING or row.attention:
                yield _dataset_event(row)
        for card in self.snapshots.values():
            if card.state not in ("LIVE", "ASLEEP"):
                yield _card_event(card)
        yield from self._logged.values()

    def present_of(self, query: EventQuery) -> list[StateEvent]:
        """The same, of those that are asked for; of one that is named, whatever it is doing. Raises ServiceBusy."""
        found = [event for event in self.present() if query.fits(event)]
        if not found and query.dataset in self.datasets:
            found.append(_dataset_event(self.datasets[query.dataset]))
        if query.snapshot and not any(event.id == query.snapshot for event in found):
            if card := self.snapshots.get(query.snapshot):
                return [*found, _card_event(card)]
            found += self._ended(query.snapshot)
        return found

    def ended_since(self, at: float) -> Iterator[StateEvent]:
        """Snapshots that ended since then, of this day, and are no longer looked at. One request."""
        for card in self.services.ledger.index.recent():
            if card.since > at and card.id not in self.snapshots:
                yield _card_event(card)

    def _ended(self, name: str) -> Iterator[StateEvent]:
        try:
            row: Snapshot = self.services.ledger.read(f"snapshot/{name}").row
        except (NotFound, Damaged):
            return
        dataset: Dataset | None = None
        with contextlib.suppress(NotFound, Damaged):
            dataset = self.services.ledger.read(f"dataset/{row.dataset}").row
        yield _snapshot_event(row, *status.visible_state(row, dataset), row.since)

    def _of_dataset(self, now: ListedDataset, rows: dict[str, Dataset]) -> Iterator[StateEvent]:
        """Each state that a dataset entered; or that it waits for a person now."""
        before = self.datasets.get(now.name)
        try:
            row: Dataset = self.services.ledger.read(now.key).row
        except (NotFound, Damaged):
            return
        rows[now.name] = row
        entries = self._news(row, before)
        about = row.candidate or row.live
        for entry in entries:
            yield _dataset_event(now, entry.state, entry.reason, entry.at, about.snapshot if about else "")
        if not entries and before is not None and now.attention != before.attention:
            yield _dataset_event(now, row.state, row.reason, row.since, about.snapshot if about else "")

    def _of_snapshot(self, card: Card, rows: Mapping[str, Dataset]) -> Iterator[StateEvent]:
        """Each state that a snapshot entered; one that it has of its dataset with that one's reason."""
        before = self.snapshots.get(card.id)
        try:
            snapshot: Snapshot = self.services.ledger.read(f"snapshot/{card.id}").row
        except (NotFound, Damaged):
            yield _card_event(card)
            return
        entries = self._news(snapshot, before)
        for entry in entries:
            yield _snapshot_event(snapshot, entry.state, entry.reason, entry.at)
        if card.state in TOLD_BY_DATASET:
            row = rows.get(card.dataset)
            if before is None or before.state != card.state:
                yield _card_event(card.but(reason=row.reason, since=row.since) if row else card)
        elif not entries or entries[-1].state != card.state:
            yield _snapshot_event(snapshot, card.state, card.reason, card.since)

    def _news(self, row: Snapshot | Dataset, before: Card | ListedDataset | None) -> list[HistoryEntry]:
        """The entries of a row's history since it was looked at; several may be of one moment."""
        since = before.since if before else (self._looked_at or 0.0) - _CLOCKS_DIFFER
        known = self._newest.get(row.key)
        mark = known or next((e for e in row.history if before and (e.at, e.state) == (since, before.state)), None)
        if row.history:
            self._newest[row.key] = row.history[-1]
        if mark in row.history:
            return list(row.history[row.history.index(mark) + 1 :])
        return [entry for entry in row.history if entry.at > since]

    def _trained(self, now: float) -> Iterator[StateEvent]:
        """What jobs logged since it was read last."""
        services = self.services
        training_now = [name for name, card in self.snapshots.items() if card.state == SnapshotState.TRAINING]
        self._logged = {name: event for name, event in self._logged.items() if name in training_now}
        if now < self._trained_at + services.settings.look_seconds / 4:
            return
        self._trained_at = now
        for name in training_now:
            try:
                row: Snapshot = services.ledger.read(f"snapshot/{name}").row
                metrics = progress.metrics_of(services, row)
            except (NotFound, Damaged):
                continue
            at, known = shown_if_known(metrics.read_at), self._logged.get(name)
            if at and (known is None or known.at != at):
                brief = training.progress_of(row, metrics, now).brief()
                event = StateEvent(
                    kind="training", id=name, dataset=row.dataset, state=row.state, at=at, training=brief
                )
                self._logged[name] = event
                yield event


def _visible(services: Services, datasets: Mapping[str, ListedDataset]) -> dict[str, Card]:
    """The snapshots of which something may be told: with the parts that they play in their datasets."""
    found = {kept.snapshot: kept.card or Card(id=kept.snapshot, state=DAMAGED) for kept in services.ledger.cards.list()}
    for row in datasets.values():
        for snapshot in (row.candidate, row.live):
            if snapshot and snapshot not in found:
                found[snapshot] = Card(id=snapshot, state=str(SnapshotState.REGISTERED), since=row.since)
    return {name: pages.with_part(card, datasets.get(card.dataset)) for name, card in found.items()}


def _mark(row: ListedDataset | None) -> tuple[Any, ...]:
    """What of a dataset is told as an event when it changes."""
    return (row.state, row.since, row.attention) if row else ()


def _dataset_event(
    row: ListedDataset, state: str = "", reason: str = "", at: float = 0.0, snapshot: str = ""
) -> StateEvent:
    return StateEvent(
        kind="dataset",
        id=row.name,
        dataset=row.name,
        state=str(state or row.state),
        reason=reason,
        at=shown_if_known(at or row.since),
        snapshot=snapshot or row.candidate or row.live or None,
        needs_attention=row.attention,
    )


def _card_event(card: Card) -> StateEvent:
    return StateEvent(
        kind="snapshot",
        id=card.id,
        dataset=card.dataset,
        state=card.state,
        reason=card.reason,
        at=shown_if_known(card.since),
        waiting=card.waiting or None,
        needs_attention=card.attention,
    )


def _snapshot_event(row: Snapshot, state: str, reason: str, at: float) -> StateEvent:
    waits = is_open(row) and state == row.state
    return StateEvent(
        kind="snapshot",
        id=row.id,
        dataset=row.dataset,
        state=str(state),
        reason=reason,
        at=shown_if_known(at),
        waiting=row.waiting or None if waits else None,
        needs_attention=row.attention and _is_last(row, at),
    )


def _is_last(row: Row, at: float) -> bool:
    return at >= row.since
