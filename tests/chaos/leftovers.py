"""Fields of a row that belong to a state or an attempt that is over: no transition may leave them set.

Whatever is left set is taken for true later on: a job that was given up, a candidate that was removed, a claim.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.ledger.rows import Dataset, Snapshot
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S

_BEFORE_A_JOB = (S.RECEIVED, S.VALIDATING, S.REJECTED, S.DUPLICATE, S.SUPERSEDED)
_WITH_A_MODEL = (S.REGISTERED,)
_MAY_BE_BLOCKED = (
    S.VALIDATED,
    S.REJECTED,
    S.DUPLICATE,
    S.SUPERSEDED,
    S.TRAINING_FAILED,
    S.CANCELING,
    S.CLEANING,
    S.CLEANED,
)
_ROLLOUT = (D.DEPLOYING, D.EVALUATING, D.SHIFTING)
_WITHOUT_ENDPOINT = (D.EMPTY, D.ASLEEP)


def in_snapshot(row: Snapshot) -> Iterator[str]:
    """What is left over in a snapshot's row."""
    left = {
        "job": row.state in _BEFORE_A_JOB and row.job,
        "studio_url": row.state in _BEFORE_A_JOB and row.studio_url,
        "estimate": row.state in (S.RECEIVED, S.VALIDATING, S.REJECTED, S.DUPLICATE) and row.estimate,
        "job_status": row.state in _BEFORE_A_JOB and row.job_status,
        "silent_since": row.state not in (S.TRAINING, S.CANCELING) and row.silent_since is not None,
        "cancel_asked_at": row.state not in (S.TRAINING, S.CANCELING) and row.cancel_asked_at is not None,
        "a request": row.state in (*_BEFORE_A_JOB[2:], S.TRAINING_FAILED, S.REGISTER_FAILED, S.CANCELED)
        and row.requested,
        "model": row.state not in _WITH_A_MODEL and row.model,
        "blocked": row.state not in _MAY_BE_BLOCKED and row.blocked,
        "duplicate_of": row.state not in (S.DUPLICATE, S.CLEANING, S.CLEANED) and row.duplicate_of,
        "pending": row.state not in (S.VALIDATED, S.TRAINING, S.CANCELING) and row.pending,
    }
    yield from (f"{row.id} is {row.state} and has {field}" for field, found in left.items() if found)


def in_dataset(row: Dataset) -> Iterator[str]:
    """What is left over in a dataset's row."""
    live = row.live
    left = {
        "a candidate": row.state not in _ROLLOUT and row.candidate,
        "no candidate": row.state in _ROLLOUT and not row.candidate,
        "traffic": row.state in _WITHOUT_ENDPOINT and row.traffic,
        "a scoring address": row.state in _WITHOUT_ENDPOINT and row.scoring_uri,
        "a release to go back to": row.state in _WITHOUT_ENDPOINT and row.previous,
        "a live release that failed": live and live.failed and row.state != D.WAKING,
        "a live release that is gone back to": live and live.returned_by,
        "pending writes": row.state in _WITHOUT_ENDPOINT and row.pending,
    }
    yield from (f"{row.name} is {row.state} and has {what}" for what, found in left.items() if found)
