"""The part that a snapshot's release plays in its dataset now, and why: what people see as the snapshot's state.

Called by the notices, the status routes and the page, and for what a listing shows of a dataset: so all tell the same.
Pure: it looks at the dataset's row alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import naming
from shared.ledger.states import DatasetState, part_of_live

if TYPE_CHECKING:
    from shared.ledger.rows import Dataset, HistoryEntry

# States in which nothing but what is live is spoken of.
_OF_LIVE = (DatasetState.LIVE, DatasetState.SLEEPING, DatasetState.ASLEEP, DatasetState.WAKING)


@dataclass(frozen=True, slots=True)
class ReleasePart:
    """What a release is doing, why, and since when (UTC seconds)."""

    state: str
    reason: str
    at: float


def parts(row: Dataset) -> dict[str, ReleasePart]:
    """The parts of what is live and of the candidate, by snapshot."""
    found = {}
    if row.live:
        entry = row.history[-1] if row.state == DatasetState.DELETING else _entry_about_live(row)
        why, at = (entry.reason, entry.at) if entry else ("", row.since)
        found[row.live.snapshot] = ReleasePart(part_of_live(row.state, row.is_asleep), why, at)
    if row.candidate:
        found[row.candidate.snapshot] = ReleasePart(str(row.state), row.candidate.failed or row.reason, row.since)
    return found


def live_reason(row: Dataset) -> str:
    """Why what is live is in its state; nothing where no entry says so."""
    entry = _entry_about_live(row)
    return entry.reason if entry else ""


def _entry_about_live(row: Dataset) -> HistoryEntry | None:
    """The newest entry of the history with a reason that is about what is live, and not about a candidate.

    Entries of rollouts are about candidates; others may name the snapshot whose release ended.
    """
    live = row.live.snapshot if row.live else ""
    for entry in reversed(row.history):
        named = {found[0] for found in naming.SNAPSHOT_ID.finditer(entry.reason)}
        if entry.reason and (live in named if named else entry.state in _OF_LIVE):
            return entry
    return None
