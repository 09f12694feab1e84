"""One attempt at training a snapshot: the name of its job, and its end when it fails. Used by `submit` and `finish`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import naming
from shared.ledger.engine import StepResult
from shared.ledger.states import SnapshotState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.ledger.rows import Snapshot
    from shared.runtime import Services


def job_name(services: Services, row: Snapshot) -> str:
    """The name of the job of this attempt; a retry has another one."""
    return naming.job(services.installation, row.id, row.attempt)


def fail(
    services: Services, row: Snapshot, reason: str, changes: Mapping[str, object], begun: bool = True
) -> StepResult:
    """-> TRAINING_FAILED: claim and slot go to others; the training files stay for a retry, for `KEEP_DAYS`.

    `begun`: whether a job ran, which then counts for the day. A repeat gives back nothing twice.
    """
    services.claims.release(row)
    services.budget.release(job_name(services, row), begun)
    over = {**changes, "silent_since": None, "cancel_asked_at": None}
    return StepResult(SnapshotState.TRAINING_FAILED, reason, over, poll_in=services.settings.keep_days * 86_400)
