"""What people are told of, by type, and which change of a row makes which notice.

Pure. The ledger asks at every write what it makes true; docs/notifications.schema.json is made of the types. States in
which a step acts (VALIDATING, SUBMITTING, ...) are told of nobody: nobody waits for them.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from shared import naming
from shared.ledger.outbox import LONGEST_REASON, Notice
from shared.ledger.parts import ReleasePart, parts
from shared.ledger.record import Struct
from shared.ledger.rows import Dataset, Snapshot
from shared.ledger.states import DATASET, ROLLOUT, SNAPSHOT, DatasetState

# What stands before the name of a type in its events.
PREFIX = "Droptune."
_INTENTS = frozenset(step.intent for table in (SNAPSHOT, DATASET) for step in table.steps if step.intent)


class SnapshotChanged(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A snapshot is in another state, its own or the one that it has in its dataset; `reason` says why."""

    snapshot: str
    dataset: str
    state: str
    reason: str = ""


class DatasetChanged(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A dataset is LIVE, ASLEEP, EMPTY or DELETING now; `live` is the snapshot whose model it serves, or nothing."""

    dataset: str
    state: str
    live: str = ""
    reason: str = ""


class AttentionNeeded(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A step failed five times in a row: a person has to mend what `reason` says, then retry or resume.

    `snapshot` is empty where the dataset itself waits.
    """

    dataset: str
    state: str
    step: str
    snapshot: str = ""
    reason: str = ""


class UploadRefused(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """An upload makes no snapshot. `dataset`: the one that it may have been meant for, or nothing."""

    path: str
    reason: str
    dataset: str = ""


class NightlyReported(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """The report of a night is in the container `reports`. `saved` is null where prices are not known."""

    report: str
    summary: str
    asleep_hours: float
    saved: float | None = None
    currency: str = ""


class ImportEnded(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """An import from the Hub is IMPORTED, as `snapshot`, or IMPORT_FAILED; `reason` says why."""

    id: str
    source: str
    dataset: str
    state: str
    snapshot: str = ""
    reason: str = ""


type NoticeData = SnapshotChanged | DatasetChanged | AttentionNeeded

TYPES: tuple[type[Struct], ...] = (
    *(SnapshotChanged, DatasetChanged, AttentionNeeded),
    *(UploadRefused, NightlyReported, ImportEnded),
)


def type_name(data: Struct) -> str:
    """The type of the events that carry this."""
    return f"{PREFIX}{type(data).__name__}"


def of_write(
    before: Snapshot | Dataset | None, after: Snapshot | Dataset, installation: str, now: float, to: tuple[str, ...]
) -> tuple[Notice, ...]:
    """The notices of one write of a row, for the channels `to`; none for a row that is made anew or only noted on."""
    return tuple(
        Notice(
            id=naming.notice(installation, after.key, msgspec.json.encode(data).decode(), repr(now)),
            type=type_name(data),
            subject=f"snapshot/{data.snapshot}" if isinstance(data, SnapshotChanged) else after.key,
            at=now,
            data=msgspec.to_builtins(data),
            to=to,
        )
        for data in changes(before, after)
    )


def changes(before: Snapshot | Dataset | None, after: Snapshot | Dataset) -> Iterator[NoticeData]:
    """What a write of a row makes true that people are told of."""
    if isinstance(after, Snapshot):
        earlier = before.state if isinstance(before, Snapshot) else None
        if after.state != earlier and after.state not in _INTENTS:
            yield _snapshot_changed(after.id, str(after.state), after.reason or after.waiting)
    elif isinstance(before, Dataset):
        yield from _of_dataset(before, after)
    if after.attention and not (before and before.attention):
        yield _attention_needed(after)


def _of_dataset(before: Dataset, after: Dataset) -> Iterator[NoticeData]:
    known = _parts(before)
    for snapshot, part in _parts(after).items():
        if snapshot not in known or known[snapshot].state != part.state:
            yield _snapshot_changed(snapshot, part.state, part.reason)
    if after.state != before.state and after.state not in _INTENTS | ROLLOUT:
        live = after.live.snapshot if after.live else ""
        yield DatasetChanged(
            dataset=after.name, state=str(after.state), live=live, reason=after.reason[:LONGEST_REASON]
        )


def _parts(row: Dataset) -> dict[str, ReleasePart]:
    """The part of each snapshot that has one in its dataset, or had; that the dataset is deleted is told of that."""
    ended = {name: ReleasePart(str(found.state), found.reason, found.at) for name, found in row.outcomes.items()}
    return ended | (parts(row) if row.state != DatasetState.DELETING else {})


def _snapshot_changed(snapshot: str, state: str, reason: str) -> SnapshotChanged:
    dataset = naming.dataset_part(snapshot)
    return SnapshotChanged(snapshot=snapshot, dataset=dataset, state=state, reason=reason[:LONGEST_REASON])


def _attention_needed(row: Snapshot | Dataset) -> AttentionNeeded:
    return AttentionNeeded(
        dataset=row.dataset if isinstance(row, Snapshot) else row.name,
        state=str(row.state),
        step=row.fault.step if row.fault else "",
        snapshot=row.id if isinstance(row, Snapshot) else "",
        reason=(str(row.fault) if row.fault else row.reason)[:LONGEST_REASON],
    )
