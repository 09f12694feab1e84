"""Since when a dataset's endpoint is up, and which of its deployments cost money now. Called by whatever tells of cost,
and by the ledger, which notes in each row that it writes when a deployment began to run and when it ended.

Pure: it computes from rows alone, so it may be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ledger.machine_time import MachineTime
from shared.ledger.record import Struct
from shared.ledger.states import WITHOUT_ENDPOINT, DatasetState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ledger.release import Release
    from shared.ledger.rows import Dataset


class Machines(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """So many machines of one size."""

    size: str = ""
    count: int = 0


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
    return row.state_of_live not in WITHOUT_ENDPOINT


def running(row: Dataset) -> Iterator[Release]:
    """The releases whose deployments cost money now: what is live unless it sleeps, what is tried, what is kept to go
    back to."""
    releases = (row.live if is_live_up(row) else None, row.candidate, row.previous)
    yield from (release for release in releases if release is not None and release.deployment)


def timed(before: Dataset | None, row: Dataset, now: float, machines: Machines) -> Dataset:
    """The row with the times of its deployments: those that run from now on, and those that ended now.

    `before`: the row that this one takes the place of; `machines`: what a deployment is made of. A deployment that an
    older version put on record ran since the newest entry of that row at least.
    """
    up = {release.deployment: release.snapshot for release in running(row)}
    times = [one if one.ended or one.name in up else one.but(ended=now) for one in row.machine_time]
    known = {one.name for one in times if not one.ended}
    was_up = {release.deployment for release in running(before)} if before is not None else set()
    times += [
        MachineTime(
            what="endpoint",
            name=name,
            snapshot=snapshot,
            size=machines.size,
            machines=machines.count,
            began=before.since if before is not None and name in was_up else now,
        )
        for name, snapshot in up.items()
        if name not in known
    ]
    found: Dataset = row.but(machine_time=tuple(times)) if times != [*row.machine_time] else row
    return found
