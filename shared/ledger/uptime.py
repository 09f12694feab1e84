"""Since when a dataset's endpoint is up, and which of its deployments cost money now. Called by whatever tells of cost.

Pure: it computes from the row alone, so it may be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ledger.states import DatasetState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ledger.release import Release
    from shared.ledger.rows import Dataset

_WITHOUT_ENDPOINT = (DatasetState.EMPTY, DatasetState.ASLEEP)


def up_since(row: Dataset) -> float:
    """When the endpoint last came up: the last entry into LIVE from a state without it."""
    since, before = 0.0, ""
    for entry in row.history:
        if entry.state == DatasetState.LIVE and before != DatasetState.LIVE:
            since = entry.at
        before = entry.state
    return since


def is_live_up(row: Dataset) -> bool:
    """Whether what is live has machines now, or is getting them."""
    return (row.before_rollout if row.candidate else row.state) not in _WITHOUT_ENDPOINT


def running(row: Dataset) -> Iterator[Release]:
    """The releases whose deployments cost money now: what is live unless it sleeps, what is tried, what is kept to go
    back to."""
    releases = (row.live if is_live_up(row) else None, row.candidate, row.previous)
    yield from (release for release in releases if release is not None and release.deployment)
