"""One attempt at training a snapshot: the name of its job, and its end when it fails or is canceled.

Used by the steps `validate`, `submit`, `finish`, `register` and `cancel`. A repeat gives back nothing twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import naming
from shared.ledger.engine import Announcement, StepResult
from shared.ledger.pending import WRITES, Patience, PendingWrite, pursue
from shared.ledger.states import SnapshotState
from shared.training import spent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

S = SnapshotState
# States in which a snapshot may wait for another one of its dataset; and so many are told when that one ends.
_MAY_WAIT = (S.RECEIVED, S.VALIDATING, S.VALIDATED)
_TOLD_AT_ONCE = 20


def job_name(services: Services, row: Snapshot) -> str:
    """The name of the job of this attempt; a retry has another one."""
    return naming.job(services.installation, row.id, row.attempt)


def fail(
    services: Services, row: Snapshot, reason: str, changes: Mapping[str, object], begun: bool = True
) -> StepResult:
    """-> TRAINING_FAILED: claim and slot go to others; the training files stay for a retry, for `KEEP_DAYS`.

    `begun`: whether a job ran, which then counts for the day and for the month.
    """
    if begun:
        spent.record(services, row)
    services.claims.release(row)
    services.budget.release(job_name(services, row), begun)
    over = {**changes, "silent_since": None, "cancel_asked_at": None}
    return StepResult(S.TRAINING_FAILED, reason, over, poll_in=services.settings.keep_days * 86_400)


def canceled(
    services: Services, row: Snapshot, changes: Mapping[str, object] | None = None, note: str = "", begun: bool = True
) -> StepResult:
    """-> CANCELED, as somebody asked: claim and slot go to others, and what waited for this snapshot goes on.

    `begun` as for `fail`; `note` is added to the reason.
    """
    request = row.cancel_request
    if begun:
        spent.record(services, row)
    services.claims.release(row)
    services.budget.release(job_name(services, row), begun)
    why = f": {request.reason}" if request and request.reason else ""
    reason = f"canceled by {request.by if request else 'somebody'}{why}{note}"
    over = {"blocked": (), "silent_since": None, "cancel_asked_at": None, "requested": None, **(changes or {})}
    keep = services.settings.keep_days * 86_400
    return StepResult(S.CANCELED, reason, over, poll_in=keep, then=tuple(_waiting(services, row)))


def cancel_job(
    services: Services, pending: Mapping[str, PendingWrite], job: str, limit: float, raises: bool = True
) -> Mapping[str, PendingWrite]:
    """Asks for a job to be canceled, a few times within the limit (s), and returns what is pending then.

    Raises AzureFailed once that was in vain; with `raises` off nothing more is asked for instead.
    """
    what = f"end of job {job}"
    if not raises and what in pending and pending[what].writes >= WRITES:
        return pending

    def write() -> str:
        services.workspace.jobs.cancel(job)
        return ""

    return pursue(
        pending,
        what,
        now=services.clock(),
        patience=Patience(2 * limit, limit / 2 ** (WRITES - 1)),
        changing="",
        write=write,
        failure=lambda operation: "",
    )


def _waiting(services: Services, row: Snapshot) -> Iterator[Announcement]:
    """The other snapshots of the dataset that may wait for this one, the newest first."""
    others = [kept for kept in services.ledger.cards.list(row.dataset) if kept.snapshot != row.id and kept.card]
    waiting = [kept for kept in reversed(others) if kept.card and kept.card.state in _MAY_WAIT]
    return (Announcement(kept.key) for kept in waiting[:_TOLD_AT_ONCE])
