"""What is on record of snapshots and datasets: the ledger's rows and the values in them.

Frozen, without I/O. Rows are stored as JSON; unknown fields are ignored and new fields have defaults, so that an
older and a newer version of the app can read each other's rows. Times are seconds since 1970, UTC.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from shared.ledger.deletions import DatasetDeletion
from shared.ledger.machine_time import MachineTime
from shared.ledger.outbox import Notice
from shared.ledger.pause import DatasetPause
from shared.ledger.pending import PendingWrite
from shared.ledger.record import Struct
from shared.ledger.release import ModelRef, Release, ReleaseOutcome
from shared.ledger.request import Origin as Origin
from shared.ledger.request import Request as Request
from shared.ledger.states import NEVER_RELEASED, NOT_ANSWERING, WITHOUT_ENDPOINT, DatasetState, SnapshotState

# Histories are for people; the newest entries tell the story, and a row must stay small.
HISTORY_KEPT = 100


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One line of a row's history: the state entered, when, and why."""

    state: str
    at: float
    reason: str = ""


class Fault(Struct, frozen=True, kw_only=True):
    """A step that keeps failing: what last went wrong, how often in a row, and since when."""

    type: str
    message: str
    step: str
    count: int
    since: float

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


class SnapshotFile(Struct, frozen=True, kw_only=True):
    """One dropped file, pinned: blob path in `snapshots`, ETag, bytes, split word of its name or None."""

    path: str
    etag: str
    size: int
    split: str | None = None


class ReportSummary(Struct, frozen=True, kw_only=True):
    """What validation found, in brief; the whole report is the blob `reports/<blob>`.

    `tokens_per_row` is the mean of the good rows, by estimate; 0: not known.
    """

    blob: str
    verdict: Literal["accepted", "rejected"]
    rows: int
    errors: int
    warnings: int
    bad_rows: int = 0
    notes: tuple[str, ...] = ()
    tokens_per_row: float = 0.0


class TrainingEstimate(Struct, frozen=True, kw_only=True):
    """What a training job will take: tokens, and so many hours of so many machines. None: not known.

    `basis` says where the speed is from: `set` by the operator, `measured` in earlier jobs, or empty.
    """

    tokens: int
    size: str
    machines: int
    hours: float | None = None
    cost: float | None = None
    currency: str = ""
    basis: str = ""


class ModelPin(Struct, frozen=True, kw_only=True):
    """A base model resolved to one version, before any money is spent."""

    registry: str
    name: str
    version: str
    id: str


class Check(StrEnum):
    """What may stand in a snapshot's way, under the names by which a person can excuse it."""

    BAD_ROWS = "bad_rows"
    DUPLICATE = "duplicate"
    MODEL = "model"
    SIZE = "size"
    GPUS = "gpus"
    DATASTORE = "datastore"
    QUOTA = "quota"
    COST = "cost"
    CONCURRENT_RUNS = "concurrent_runs"
    DAILY_RUNS = "daily_runs"
    SUPERSEDED = "superseded"
    GATE = "gate"


class Blocker(Struct, frozen=True, kw_only=True):
    """One thing that stands in the way. `check` is None when nobody can excuse it.

    `poll_in`: it may pass by itself and is looked at again so many seconds later; None: it stays until somebody acts.
    """

    text: str
    check: Check | None = None
    poll_in: float | None = None


class Row(Struct, frozen=True, kw_only=True):
    """What both kinds of ledger row have.

    `poll_at`, stored as `next_look_at`, is when the row is to be polled again (None: only when something happens).
    `attention` means that the row waits for a person. `waiting` says in words what a row waits for. `pending`
    are the changes that Azure was asked for in the present state and that are not there yet, by what is wanted.
    `acting`: a step was begun, and what came of it is not on record yet. `requested`: what the row is asked to do.
    `outbox`: what people are yet to be told of it.
    """

    history: tuple[HistoryEntry, ...] = ()
    poll_at: float | None = msgspec.field(default=None, name="next_look_at")
    fault: Fault | None = None
    attention: bool = False
    waiting: str = ""
    pending: dict[str, PendingWrite] = msgspec.field(default_factory=dict)
    acting: bool = False
    requested: Request | None = None
    outbox: tuple[Notice, ...] = ()

    @property
    def since(self) -> float:
        """When the newest entry was made: the state was entered, or noted on, such as by a stage or a resume."""
        return self.history[-1].at if self.history else 0.0

    @property
    def reason(self) -> str:
        """Why the newest entry was made."""
        return self.history[-1].reason if self.history else ""

    def longer_history(self, state: str, reason: str, at: float) -> tuple[HistoryEntry, ...]:
        """Its history with one more entry; of a long one without the oldest."""
        return (*self.history, HistoryEntry(state=state, at=at, reason=reason))[-HISTORY_KEPT:]

    def is_due(self, now: float) -> bool:
        """Whether its planned poll has come, and nobody has to act before."""
        return not self.attention and self.poll_at is not None and self.poll_at <= now

    @property
    def comes_due(self) -> float | None:
        """When something is to be done although nothing happens."""
        return None

    def settled(self) -> Any:
        """The row without what its state has answered, or made void."""
        return self


class Snapshot(Row, frozen=True, kw_only=True):
    """The ledger row of one dropped snapshot, from RECEIVED to REGISTERED.

    Ids sort by upload time: of two snapshots of a dataset, the newer one has the greater id. The order in which
    events arrive means nothing.

    `blocked` names the checks that stand in the way now, `overrides` those that a person excused; `overridden_by` says
    who excused the gate. `job` is the job of this attempt from the moment a slot is reserved for it; `silent_since` is
    set while it gives no sign of life, and `cancel_asked_at` once it is to be canceled for that. `context_tokens` is
    what the base model sees at once, 0 if that is unknown. `passed_over` names files of its folder that are not read.
    `outcome` is how its last release ended; while a dataset's row has one of it as well, that one is newer. `unchecked`
    says what could not be checked before its job, and why.
    """

    id: str
    dataset: str
    state: SnapshotState
    source: str
    uploaded_at: float
    files: tuple[SnapshotFile, ...]
    options: SnapshotFile | None = None
    passed_over: tuple[str, ...] = ()
    attempt: int = 1
    overrides: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    overridden_by: str = ""
    base_model: ModelPin | None = None
    context_tokens: int = 0
    component: str = ""
    hyperparameters: dict[str, Any] = msgspec.field(default_factory=dict)
    digest: str = ""
    claim: str = ""
    duplicate_of: str = ""
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    report: ReportSummary | None = None
    estimate: TrainingEstimate | None = None
    note: str = ""
    job: str = ""
    job_status: str = ""
    silent_since: float | None = None
    cancel_asked_at: float | None = None
    studio_url: str = ""
    model: ModelRef | None = None
    outcome: ReleaseOutcome | None = None

    @property
    def key(self) -> str:
        """The row's name in queue messages."""
        return f"snapshot/{self.id}"

    @property
    def cancel_request(self) -> Request | None:
        """The request to end the snapshot, if there is one."""
        return self.requested if self.requested is not None and self.requested.what == "cancel" else None

    def settled(self) -> Any:
        """The row without a request that came too late: it has ended."""
        return self.but(requested=None) if self.requested and self.state in NEVER_RELEASED else self


class Dataset(Row, frozen=True, kw_only=True):
    """The ledger row of what is served under one dataset name. Going live is one conditional write of it.

    `previous` is what was live before; its deployment stays until `kept_until`, so that one can go back to it. After a
    wake that failed, no call wakes the dataset before `wake_not_before`; a person does. `newest_registered` is the
    newest snapshot that has a model; it never goes down. `before_rollout`, stored as `resting`, is what the dataset was
    when its rollout began (EMPTY, LIVE or ASLEEP), and is again if the rollout is undone; without a rollout it says
    nothing. `deletion` is what is carried out while it is DELETING. While there is
    a `pause` nothing is begun that costs money; what serves goes on, and so does a rollout.
    """

    name: str
    state: DatasetState = DatasetState.EMPTY
    seed: int = 0
    cut_test: float = 0.0
    cut_validation: float = 0.0
    endpoint: str = ""
    endpoint_suffix: int = 0
    scoring_uri: str = ""
    live: Release | None = None
    candidate: Release | None = None
    previous: Release | None = None
    kept_until: float = 0.0
    before_rollout: DatasetState = msgspec.field(default=DatasetState.EMPTY, name="resting")
    traffic: dict[str, int] = msgspec.field(default_factory=dict)
    outcomes: dict[str, ReleaseOutcome] = msgspec.field(default_factory=dict)
    last_asked_at: float = 0.0
    wake_failures: int = 0
    wake_not_before: float = 0.0
    newest_registered: str = ""
    machine_time: tuple[MachineTime, ...] = ()
    deletion: DatasetDeletion | None = None
    pause: DatasetPause | None = None

    @property
    def comes_due(self) -> float | None:
        """When something is to be done although nothing happens: a kept deployment's time is over."""
        kept = self.state == DatasetState.LIVE and self.previous is not None and self.previous.deployment
        return self.kept_until if kept else None

    @property
    def state_of_live(self) -> DatasetState:
        """The state that what is live is in: while there is a rollout, the one from before it."""
        return self.before_rollout if self.candidate else self.state

    @property
    def is_asleep(self) -> bool:
        """Whether what is live has no endpoint now, or gets it only just now."""
        return self.live is not None and self.state_of_live in NOT_ANSWERING

    @property
    def newest_released(self) -> str:
        """The newest snapshot whose release is live or has ended: no older one is released by itself any more."""
        return max((*self.outcomes, self.live.snapshot if self.live else ""))

    def can_be_asked(self, release: Release) -> bool:
        """Whether calls may name a release: its deployment is there, and the gate let a candidate have traffic."""
        return bool(release.deployment) and (
            release is not self.candidate or self.traffic.get(release.deployment, 0) > 0
        )

    @property
    def next_release(self) -> str:
        """The snapshot whose release is next: the newest with a model, if it had no turn and nothing newer is live."""
        if self.pause:
            return ""
        newest, live = self.newest_registered, self.live.snapshot if self.live else ""
        return "" if newest in self.outcomes or newest <= live else newest

    @property
    def to_probe(self) -> bool:
        """Whether it is not on record what the container of its live release speaks."""
        live = self.live
        return self.state == DatasetState.LIVE and live is not None and not live.api and bool(live.deployment)

    def outcome_of(self, snapshot: Snapshot) -> ReleaseOutcome | None:
        """How the snapshot's last release ended; None while it is under way or live, or where there was none."""
        if any(release and release.snapshot == snapshot.id for release in (self.candidate, self.live)):
            return None
        return self.outcomes.get(snapshot.id) or snapshot.outcome

    def with_registered(self, snapshot: str) -> Any:
        """The row once a snapshot has its model; repeating it changes nothing."""
        return self.but(newest_registered=snapshot) if snapshot > self.newest_registered else self

    def settled(self) -> Any:
        """The row without a request that its state has answered, or made void: asleep when asked to sleep, ..."""
        sleeps = not self.candidate or self.state_of_live in WITHOUT_ENDPOINT
        answered = {
            DatasetState.EMPTY: ("sleep", "wake", "roll_back"),
            DatasetState.ASLEEP: ("sleep", "roll_back"),
            DatasetState.SLEEPING: ("wake", "roll_back"),
            DatasetState.LIVE: ("wake",),
            DatasetState.WAKING: ("sleep", "roll_back"),
            DatasetState.DELETING: ("sleep", "wake", "roll_back", "retry"),
        }.get(self.state, () if sleeps else ("wake",))
        return self.but(requested=None) if self.requested and self.requested.what in answered else self

    def can_go_back(self, now: float) -> bool:
        """Whether what was live before is kept to go back to."""
        return self.previous is not None and bool(self.previous.deployment) and now < self.kept_until

    @property
    def key(self) -> str:
        """The row's name in queue messages."""
        return f"dataset/{self.name}"
