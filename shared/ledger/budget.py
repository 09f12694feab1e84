"""How many training jobs run at once and begin in a day: places reserved in one small blob, `ledger/budget.json`.

A place is reserved under the name of a job before it is submitted, and given back when the job has ended; both may be
repeated. The blob is written on condition of its ETag, so two workers never take the last place together. What a crash
leaves behind is found by `audit`, which the sweep calls: it asks row and workspace before it gives a place back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from shared import naming
from shared.errors import LedgerConflict, NotFound
from shared.ledger.rows import Blocker, Check, Struct
from shared.ledger.states import SnapshotState

if TYPE_CHECKING:
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

log = logging.getLogger(__name__)

CONTAINER, BLOB = "ledger", "budget.json"
DAY = 86_400.0
ENDED = ("Completed", "Failed", "Canceled")
# A row that waits for a person gives its place to others after this long (s); it takes one again when it goes on.
ATTENTION_GRACE = 3600.0
# A place is for a job that begins within so long (s).
_PLACE_SECONDS = 3600.0
# The longest pause (s) until what waits for the day's limit looks again: limits are settings and may be raised.
_LONGEST_LOOK = 900.0


class ReservedRun(Struct, frozen=True, kw_only=True):
    """One job's place: from when, and until when (None: still)."""

    snapshot: str
    dataset: str
    begun: float
    ended: float | None = None


class Budget(Struct, frozen=True, kw_only=True):
    """The runs under way, and those of the last 24 hours, by job name."""

    runs: dict[str, ReservedRun] = msgspec.field(default_factory=dict)


_BUDGET = msgspec.json.Decoder(Budget)


def reserve(services: Services, row: Snapshot, job: str) -> list[Blocker]:
    """Takes a place for a job, or says which limits are in the way. A job that has one keeps it.

    Asked again right before the job is submitted: a place that was taken long ago would count for another day, so it
    is taken anew.
    """
    found: list[Blocker] = []

    def edit(budget: Budget) -> Budget:
        if _held(budget, job) and budget.runs[job].begun > services.clock() - _PLACE_SECONDS:
            found[:] = []
            return budget
        others = {name: run for name, run in budget.runs.items() if name != job}
        found[:] = problems(services, Budget(runs=others), row)
        if found:
            return budget
        run = ReservedRun(snapshot=row.id, dataset=row.dataset, begun=services.clock())
        return Budget(runs={**others, job: run})

    _change(services, edit)
    return found


def release(services: Services, job: str, begun: bool = True) -> None:
    """Gives a job's place back. One that never began does not count for the day either."""

    def edit(budget: Budget) -> Budget:
        run = budget.runs.get(job)
        if run is None or (begun and run.ended is not None):
            return budget
        others = {name: other for name, other in budget.runs.items() if name != job}
        return Budget(runs={**others, job: run.but(ended=services.clock())} if begun else others)

    _change(services, edit)


def look(services: Services) -> Budget:
    """The budget as it is."""
    return _read(services)[0]


def problems(services: Services, budget: Budget, row: Snapshot) -> list[Blocker]:
    """The limits that keep a snapshot from having a place now, but for those a person excused."""
    given, now = services.settings, services.clock()
    running = [run for run in budget.runs.values() if run.ended is None]
    own = [run.snapshot for run in running if run.dataset == row.dataset]
    today = sorted(run.begun for run in budget.runs.values() if run.begun > now - DAY)
    found = []
    if len(running) >= given.max_runs:
        text = f"{len(running)} jobs run at once and MAX_RUNS is {given.max_runs}"
        found.append(Blocker(text=text, check=Check.CONCURRENT_RUNS, poll_in=given.look_seconds))
    if len(own) >= given.max_runs_per_dataset:
        text = f"{', '.join(own)} of this dataset trains and MAX_RUNS_PER_DATASET is {given.max_runs_per_dataset}"
        found.append(Blocker(text=text, check=Check.CONCURRENT_RUNS, poll_in=given.look_seconds))
    if len(today) >= given.max_runs_per_day:
        free = today[-given.max_runs_per_day] + DAY - now
        text = f"{len(today)} jobs began within 24 hours and MAX_RUNS_PER_DAY is {given.max_runs_per_day}"
        poll_in = max(given.look_seconds, min(free, _LONGEST_LOOK))
        found.append(Blocker(text=text, check=Check.DAILY_RUNS, poll_in=poll_in))
    return [p for p in found if p.check not in row.overrides]


def audit(services: Services) -> list[str]:
    """Gives back the places that nothing stands for any more; returns the jobs. Called by the sweep."""
    given_back = []
    for job, run in look(services).runs.items():
        if run.ended is not None or _wanted(services, job, run):
            continue
        found = services.workspace.job(job)
        if found is None or found.status in ENDED:
            log.warning("the place of job %s is given back: its row has gone on and no such job runs", job)
            release(services, job, begun=found is not None)
            given_back.append(job)
    return given_back


def _held(budget: Budget, job: str) -> bool:
    return job in budget.runs and budget.runs[job].ended is None


def _wanted(services: Services, job: str, run: ReservedRun) -> bool:
    """Whether the snapshot's row still counts on this place."""
    try:
        row: Snapshot = services.ledger.read(f"snapshot/{run.snapshot}").row
    except NotFound:
        return False
    under_way = row.state in (SnapshotState.VALIDATED, SnapshotState.SUBMITTING, SnapshotState.TRAINING)
    given_up = row.attention and row.fault is not None and services.clock() > row.fault.since + ATTENTION_GRACE
    return under_way and not given_up and job == naming.job(services.installation, row.id, row.attempt)


def _read(services: Services) -> tuple[Budget, str]:
    try:
        data, etag = services.storage.read(CONTAINER, BLOB)
    except NotFound:
        return Budget(), ""
    return _BUDGET.decode(data), etag


def _change(services: Services, edit: Callable[[Budget], Budget]) -> None:
    """Reads, edits and writes until no other write came between; runs that ended over a day ago are forgotten."""
    while True:
        budget, etag = _read(services)
        edited = edit(budget)
        if edited == budget:
            return
        since = services.clock() - DAY
        kept = {job: run for job, run in edited.runs.items() if run.ended is None or run.begun > since}
        data = msgspec.json.encode(Budget(runs=kept))
        try:
            if etag:
                services.storage.replace(CONTAINER, BLOB, data, etag)
            else:
                services.storage.create(CONTAINER, BLOB, data)
            return
        except LedgerConflict:
            continue
