"""Whether a snapshot's dataset is paused. Asked by the steps that reserve a slot and submit a job; it only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import Damaged, NotFound
from shared.ledger.waiting import LONGEST_PAUSE

if TYPE_CHECKING:
    from shared.ledger.pause import DatasetPause
    from shared.ledger.store import Ledger

# So often (s) is looked whether a dataset is still paused; who ends a pause tells those that wait.
EVERY = LONGEST_PAUSE


def why_paused(ledger: Ledger, dataset: str) -> str:
    """What to say of a dataset that is paused; nothing of one that is not."""
    try:
        pause: DatasetPause | None = ledger.read(f"dataset/{dataset}").row.pause
    except (NotFound, Damaged):
        return ""
    return f"{dataset} is {pause}: it goes on when it is unpaused" if pause else ""
