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
from shared.errors import LedgerConflict, Unknown
from shared.lifecycle import SnapshotState
from shared.records import Check, Problem, Struct

if TYPE_CHECKING:
    from shared.clients import Parts
    from shared.records import Snapshot

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


class Run(Struct, frozen=True, kw_only=True):
    """One job's place: from when, and until when (None: still)."""

    snapshot: str
    dataset: str
    begun: float
    ended: float | None = None


class Budget(Struct, frozen=True, kw_only=True):
    """The runs under way, and those of the last 24 hours, by job name."""

    runs: dict[str, Run] = msgspec.field(default_factory=dict)


_BUDGET = msgspec.json.Decoder(Budget)


def reserve(parts: Parts, row: Snapshot, job: str) -> list[Problem]:
    """Takes a place for a job, or says which limits are in the way. A job that has one keeps it.

    Asked again right before the job is submitted: a place that was taken long ago would count for another day, so it
    is taken anew.
    """
    found: list[Problem] = []

    def edit(budget: Budget) -> Budget:
        if _held(budget, job) and budget.runs[job].begun > parts.clock() - _PLACE_SECONDS:
            found[:] = []
            return budget
        others = {name: run for name, run in budget.runs.items() if name != job}
        found[:] = problems(parts, Budget(runs=others), row)
        if found:
            return budget
        run = Run(snapshot=row.id, dataset=row.dataset, begun=parts.clock())
        return Budget(runs={**others, job: run})

    _change(parts, edit)
    return found


def release(parts: Parts, job: str, begun: bool = True) -> None:
    """Gives a job's place back. One that never began does not count for the day either."""

    def edit(budget: Budget) -> Budget:
        run = budget.runs.get(job)
        if run is None or (begun and run.ended is not None):
            return budget
        others = {name: other for name, other in budget.runs.items() if name != job}
        return Budget(runs={**others, job: run.but(ended=parts.clock())} if begun else others)

    _change(parts, edit)


def look(parts: Parts) -> Budget:
    """The budget as it is."""
    return _read(parts)[0]


def problems(parts: Parts, budget: Budget, row: Snapshot) -> list[Problem]:
    """The limits that keep a snapshot from having a place now, but for those a person excused."""
    given, now = parts.settings, parts.clock()
    running = [run for run in budget.runs.values() if run.ended is None]
    own = [run.snapshot for run in running if run.dataset == row.dataset]
    today = sorted(run.begun for run in budget.runs.values() if run.begun > now - DAY)
    found = []
    if len(running) >= given.max_runs:
        text = f"{len(running)} jobs run at once and MAX_RUNS is {given.max_runs}"
        found.append(Problem(text=text, check=Check.CONCURRENT_RUNS, look_in=given.look_seconds))
    if len(own) >= given.max_runs_per_dataset:
        text = f"{', '.join(own)} of this dataset trains and MAX_RUNS_PER_DATASET is {given.max_runs_per_dataset}"
        found.append(Problem(text=text, check=Check.CONCURRENT_RUNS, look_in=given.look_seconds))
    if len(today) >= given.max_runs_per_day:
        free = today[-given.max_runs_per_day] + DAY - now
        text = f"{len(today)} jobs began within 24 hours and MAX_RUNS_PER_DAY is {given.max_runs_per_day}"
        look_in = max(given.look_seconds, min(free, _LONGEST_LOOK))
        found.append(Problem(text=text, check=Check.DAILY_RUNS, look_in=look_in))
    return [p for p in found if p.check not in row.overrides]


def audit(parts: Parts) -> list[str]:
    """Gives back the places that nothing stands for any more; returns the jobs. Called by the sweep."""
    given_back = []
    for job, run in look(parts).runs.items():
        if run.ended is not None or _wanted(parts, job, run):
            continue
        found = parts.workspace.job(job)
        if found is None or found.status in ENDED:
            log.warning("the place of job %s is given back: its row has gone on and no such job runs", job)
            release(parts, job, begun=found is not None)
            given_back.append(job)
    return given_back


def _held(budget: Budget, job: str) -> bool:
    return job in budget.runs and budget.runs[job].ended is None


def _wanted(parts: Parts, job: str, run: Run) -> bool:
    """Whether the snapshot's row still counts on this place."""
    try:
        row: Snapshot = parts.ledger.read(f"snapshot/{run.snapshot}").row
    except Unknown:
        return False
    under_way = row.state in (SnapshotState.VALIDATED, SnapshotState.SUBMITTING, SnapshotState.TRAINING)
    given_up = row.attention and row.fault is not None and parts.clock() > row.fault.since + ATTENTION_GRACE
    return under_way and not given_up and job == naming.job(parts.installation, row.id, row.attempt)


def _read(parts: Parts) -> tuple[Budget, str]:
    try:
        data, etag = parts.storage.read(CONTAINER, BLOB)
    except Unknown:
        return Budget(), ""
    return _BUDGET.decode(data), etag


def _change(parts: Parts, edit: Callable[[Budget], Budget]) -> None:
    """Reads, edits and writes until no other write came between; runs that ended over a day ago are forgotten."""
    while True:
        budget, etag = _read(parts)
        edited = edit(budget)
        if edited == budget:
            return
        since = parts.clock() - DAY
        kept = {job: run for job, run in edited.runs.items() if run.ended is None or run.begun > since}
        data = msgspec.json.encode(Budget(runs=kept))
        try:
            if etag:
                parts.storage.replace(CONTAINER, BLOB, data, etag)
            else:
                parts.storage.create(CONTAINER, BLOB, data)
            return
        except LedgerConflict:
            continue
