"""The step that cancels a snapshot which has its model: its dataset is told not to release it, or to take it back.

Called by the queue function. A repeat changes the dataset's row once: what is to be done is read from that row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shared.ledger.engine import StepResult
from shared.ledger.release import ReleaseOutcome
from shared.ledger.rows import Dataset, Origin, Request, Snapshot
from shared.ledger.states import ReleaseState

if TYPE_CHECKING:
    from shared.errors import PermanentError
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services


@dataclass(frozen=True, slots=True)
class CancelRelease:
    """REGISTERED -> REGISTERED: never released, or taken back from a rollout, on request.

    One that went live in the same moment stays live: whoever asked may roll back.
    """

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Whether somebody asked for it."""
        return row.cancel_request is not None

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Tells the dataset; the snapshot's own row keeps how its release ended."""
        request = row.cancel_request
        assert request is not None
        why = f": {request.reason}" if request.reason else ""
        now, reason = self.services.clock(), f"canceled by {request.by}{why}"
        outcome = ReleaseOutcome(state=ReleaseState.CANCELED, at=now, reason=reason)
        ledger = self.services.ledger
        ledger.dataset(row.dataset)
        edit = partial(_without_release, snapshot=row, outcome=outcome, by=request.by, now=now)
        dataset: Dataset = ledger.change(f"dataset/{row.dataset}", edit).row
        ledger.hint(dataset.key)
        ended = dataset.outcomes.get(row.id)
        changes = {"requested": None, "outcome": ended.brief if ended else row.outcome}
        return StepResult(row.state, reason, changes, poll_in=None)

    def failed(self, row: Snapshot, error: PermanentError) -> None:
        """A person asked for it, and it is left to a person."""


def _without_release(row: Dataset, snapshot: Snapshot, outcome: ReleaseOutcome, by: str, now: float) -> Dataset:
    """The dataset that does not release the snapshot. As it is, if the release has ended or serves."""
    if (row.live and row.live.snapshot == snapshot.id) or row.outcome_of(snapshot) is not None:
        return row
    changed: Dataset
    if row.candidate and row.candidate.snapshot == snapshot.id:
        if row.requested and row.requested.what == "roll_back":
            return row
        request = Request(what="roll_back", by=by, at=now, origin=Origin.PERSON)
        changed = row.but(requested=request, poll_at=now, attention=False, fault=None, pending={})
        return changed
    history = row.longer_history(row.state, f"{snapshot.id}: {outcome.reason}", now)
    changed = row.but(outcomes={**row.outcomes, snapshot.id: outcome}, history=history)
    return changed
