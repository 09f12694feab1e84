"""That a dataset takes nothing on that costs money, until a person says otherwise. Part of a dataset's row.

Asked by the steps that reserve a slot, submit a job and begin a release. Reading it changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import Damaged, NotFound
from shared.ledger.record import Struct
from shared.ledger.waiting import LONGEST_PAUSE

if TYPE_CHECKING:
    from shared.ledger.store import Ledger

# So often (s) is looked whether a dataset is still paused; who ends a pause tells those that wait.
EVERY = LONGEST_PAUSE


class DatasetPause(Struct, frozen=True, kw_only=True):
    """Who paused a dataset, when (UTC seconds) and why."""

    by: str
    at: float
    reason: str = ""

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"paused by {self.by}{why}"


def why_paused(ledger: Ledger, dataset: str) -> str:
    """What to say of a dataset that is paused; nothing of one that is not."""
    try:
        pause: DatasetPause | None = ledger.read(f"dataset/{dataset}").row.pause
    except (NotFound, Damaged):
        return ""
    return f"{dataset} is {pause}: it goes on when it is unpaused" if pause else ""
