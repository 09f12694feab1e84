"""How many training jobs run at once and begin in a day: slots reserved in one small blob, `ledger/budget.json`.

A slot is reserved under the name of a job before it is submitted, and given back when the job has ended; both may be
repeated. The blob is written on condition of its ETag, so two workers never take the last slot together. What a crash
leaves behind is found by `audit`, which the sweep calls: it asks row and workspace before it gives a slot back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import msgspec

from shared import naming
from shared.config.settings import Settings
from shared.errors import Damaged, NotFound, PipelineError
from shared.ledger.record import Struct
from shared.ledger.rows import Blocker, Check, Dataset, Snapshot
from shared.ledger.states import JOB_ENDED, DatasetState, SnapshotState
from shared.ledger.storage import BlobStore, change_record, read_record
from shared.ledger.store import CONTAINER, Ledger
from shared.ledger.waiting import LONGEST_PAUSE, pause

log = logging.getLogger(__name__)

BLOB = "budget.json"
DAY = 86_400.0
# A row that waits for a person gives its slot to others after this long (s); it takes one again when it goes on.
ATTENTION_GRACE = 3600.0
# A slot is for a job that begins within so long (s).
_SLOT_SECONDS = 3600.0
_UNDER_WAY = (SnapshotState.VALIDATED, SnapshotState.SUBMITTING, SnapshotState.TRAINING)


class ReservedRun(Struct, frozen=True, kw_only=True):
    """One job's slot: from when, and until when (None: still). `new`: no snapshot of its dataset ever had a model."""

    snapshot: str
    dataset: str
    begun: float
    ended: float | None = None
    new: bool = False


class Reservations(Struct, frozen=True, kw_only=True):
    """The runs under way, and those of the last 24 hours, by job name."""

    runs: dict[str, ReservedRun] = msgspec.field(default_factory=dict)

    def holds(self, job: str) -> bool:
        """Whether the job has a slot."""
        return job in self.runs and self.runs[job].ended is None

    def without(self, job: str) -> dict[str, ReservedRun]:
        """The runs of all other jobs."""
        return {name: run for name, run in self.runs.items() if name != job}


_DECODER = msgspec.json.Decoder(Reservations)


class Budget:
    """The slots of one installation. `clock` gives seconds since 1970, UTC; `limits` are the settings."""

    def __init__(self, storage: BlobStore, ledger: Ledger, clock: Callable[[], float], limits: Settings) -> None:
        self._storage, self._ledger, self._clock, self._limits = storage, ledger, clock, limits

    def reserve(self, row: Snapshot, job: str) -> list[Blocker]:
        """Takes a slot for a job, or says which limits are in the way. A job that has one keeps it.

        Asked again right before the job is submitted: a slot that was taken long ago would count for another day, so
        it is taken anew.
        """
        found: list[Blocker] = []

        def edit(kept: Reservations) -> Reservations:
            if kept.holds(job) and kept.runs[job].begun > self._clock() - _SLOT_SECONDS:
                found[:] = []
                return kept
            others = kept.without(job)
            found[:] = self._blockers(others, row)
            if found:
                return kept
            run = ReservedRun(snapshot=row.id, dataset=row.dataset, begun=self._clock(), new=self._is_new(row))
            return Reservations(runs={**others, job: run})

        self._change(edit)
        return found

    def release(self, job: str, begun: bool = True) -> None:
        """Gives a job's slot back, and polls those that waited for one. One that never began does not count for the
        day either."""
        held = False

        def edit(kept: Reservations) -> Reservations:
            nonlocal held
            held, run = kept.holds(job), kept.runs.get(job)
            if run is None or (begun and run.ended is not None):
                return kept
            others = kept.without(job)
            return Reservations(runs={**others, job: run.but(ended=self._clock())} if begun else others)

        kept = self._change(edit)
        if held:
            self._call_next(kept)

    def reservations(self) -> Reservations:
        """The slots as they are."""
        return read_record(self._storage, CONTAINER, BLOB, _DECODER, Reservations())[0]

    def blockers(self, row: Snapshot) -> list[Blocker]:
        """The limits that keep a snapshot from having a slot now, but for those a person excused."""
        return self._blockers(self.reservations().runs, row)

    def audit(self, status_of: Callable[[str], str | None]) -> list[str]:
        """Gives back the slots that nothing stands for any more; returns the jobs. Called by the sweep.

        `status_of` says how a job is in the workspace, None if there is none of that name.
        """
        given_back = []
        for job, run in self.reservations().runs.items():
            if run.ended is not None:
                continue
            try:
                if self._given_back(job, run, status_of):
                    given_back.append(job)
            except PipelineError as error:
                log.warning("whether job %s still needs its slot is asked again: %s", job, error)
        return given_back

    def rebuild(self) -> list[str]:
        """Makes the slots anew from the rows, where none are on record: of each job that may run. Returns the jobs."""
        jobs = []
        for row in self._ledger.rows("snapshot"):
            if row.state in (SnapshotState.SUBMITTING, SnapshotState.TRAINING) and row.job:
                run = ReservedRun(snapshot=row.id, dataset=row.dataset, begun=row.since)
                self._change(lambda kept, job=row.job, run=run: Reservations(runs={**kept.runs, job: run}))  # type: ignore[misc]
                jobs.append(row.job)
        return jobs

    def _call_next(self, kept: Reservations) -> None:
        """Polls those that wait longest, one more than there are slots: what waits for something else leaves its turn.

        Where it is cut off, each of them looks by itself after a while.
        """
        free = self._limits.max_runs - sum(run.ended is None for run in kept.runs.values())
        cards = (found.card for found in self._ledger.cards.list())
        waiting = [card for card in cards if card and card.state == SnapshotState.VALIDATED and not card.attention]
        for card in sorted(waiting, key=lambda card: card.since)[: free + 1]:
            self._ledger.hint(f"snapshot/{card.id}")

    def _given_back(self, job: str, run: ReservedRun, status_of: Callable[[str], str | None]) -> bool:
        """Whether the slot was given back: the job has ended, or there is none and no row counts on one."""
        wanted, status = self._wanted(job, run), status_of(job)
        if status not in JOB_ENDED and (wanted or status is not None):
            return False
        log.warning("the slot of job %s is given back: it is %s", job, status or "not there, and its row has gone on")
        self.release(job, begun=status is not None)
        return True

    def _blockers(self, runs: dict[str, ReservedRun], row: Snapshot) -> list[Blocker]:
        today = [run for run in runs.values() if run.begun > self._clock() - DAY]
        found = [*self._too_many_now(runs, row), *self._too_many_today(today, row)]
        return [blocker for blocker in found if blocker.check not in row.overrides]

    def _too_many_now(self, runs: dict[str, ReservedRun], row: Snapshot) -> Iterator[Blocker]:
        given = self._limits
        running = [run for run in runs.values() if run.ended is None]
        own = [run.snapshot for run in running if run.dataset == row.dataset]
        poll_in = pause(self._clock() - row.since, given.look_seconds)
        if len(running) >= given.max_runs:
            text = f"{len(running)} jobs run at once and MAX_RUNS is {given.max_runs}"
            yield Blocker(text=text, check=Check.CONCURRENT_RUNS, poll_in=poll_in)
        if len(own) >= given.max_runs_per_dataset:
            text = f"{', '.join(own)} of this dataset trains and MAX_RUNS_PER_DATASET is {given.max_runs_per_dataset}"
            yield Blocker(text=text, check=Check.CONCURRENT_RUNS, poll_in=poll_in)

    def _too_many_today(self, today: list[ReservedRun], row: Snapshot) -> Iterator[Blocker]:
        given = self._limits
        own = [run for run in today if run.dataset == row.dataset]
        if len(today) >= given.max_runs_per_day:
            yield self._until_tomorrow(today, given.max_runs_per_day, "", "MAX_RUNS_PER_DAY")
        if len(own) >= given.max_runs_per_day_per_dataset:
            name = "MAX_RUNS_PER_DAY_PER_DATASET"
            yield self._until_tomorrow(own, given.max_runs_per_day_per_dataset, " of this dataset", name)
        elif len(today) < given.max_runs_per_day and self._only_new(today, row):
            half = _half(given.max_runs_per_day)
            new = [run for run in today if run.new]
            yield self._until_tomorrow(new, half, " of new datasets, which have half of a day,", "MAX_RUNS_PER_DAY")

    def _until_tomorrow(self, runs: list[ReservedRun], most: int, whose: str, setting: str) -> Blocker:
        """The blocker of a limit of 24 hours, with when the next of these runs is older than that."""
        free = sorted(run.begun for run in runs)[-most] + DAY - self._clock()
        limit = getattr(self._limits, setting.lower())
        text = f"{len(runs)} jobs{whose} began within 24 hours and {setting} is {limit}"
        poll_in = max(self._limits.look_seconds, min(free, LONGEST_PAUSE))
        return Blocker(text=text, check=Check.DAILY_RUNS, poll_in=poll_in)

    def _only_new(self, today: list[ReservedRun], row: Snapshot) -> bool:
        """Whether the rest of the day is for datasets that were released before: new ones have had half of it.

        Whoever may upload may invent datasets; they must not take a day's jobs from those that are served.
        """
        if sum(run.new for run in today) < _half(self._limits.max_runs_per_day) or not self._is_new(row):
            return False
        return any(listed.state != DatasetState.EMPTY for listed in self._ledger.list("dataset"))

    def _is_new(self, row: Snapshot) -> bool:
        """Whether no snapshot of the dataset ever had a model."""
        try:
            dataset: Dataset = self._ledger.read(f"dataset/{row.dataset}").row
        except (NotFound, Damaged):
            return True
        return not dataset.newest_registered and dataset.live is None

    def _wanted(self, job: str, run: ReservedRun) -> bool:
        """Whether the snapshot's row still counts on this slot."""
        try:
            row: Snapshot = self._ledger.read(f"snapshot/{run.snapshot}").row
        except NotFound:
            return False
        except Damaged:
            return True
        given_up = row.attention and row.fault is not None and self._clock() > row.fault.since + ATTENTION_GRACE
        mine = job == naming.job(naming.installation(self._storage.address), row.id, row.attempt)
        return row.state in _UNDER_WAY and not given_up and mine

    def _change(self, edit: Callable[[Reservations], Reservations]) -> Reservations:
        """Reads, edits and writes until no other write came between; gives what is there then. What ended and began
        over a day ago is dropped."""

        def without_old(kept: Reservations) -> Reservations:
            edited, since = edit(kept), self._clock() - DAY
            if edited == kept:
                return kept
            runs = {job: run for job, run in edited.runs.items() if run.ended is None or run.begun > since}
            return Reservations(runs=runs)

        return change_record(self._storage, CONTAINER, BLOB, _DECODER, Reservations(), without_old)


def _half(number: int) -> int:
    return (number + 1) // 2
