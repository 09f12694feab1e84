"""What is on record of snapshots and datasets: the ledger's rows and the values in them.

Frozen, without I/O. Rows are stored as JSON; unknown fields are ignored and new fields have defaults, so that an
older and a newer version of the app can read each other's rows. Times are seconds since 1970, UTC.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from shared.ledger.states import DatasetState, ReleaseState, SnapshotState

type CallResult = Literal["answered", "failed", "refused"]

# Histories are for people; the newest entries tell the story, and a row must stay small.
HISTORY_KEPT = 100


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all records: immutable, compared by value."""

    def but(self, **changes: Any) -> Any:
        """The same record with these fields changed."""
        return msgspec.structs.replace(self, **changes)


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


class Request(Struct, frozen=True, kw_only=True):
    """A wish on record: what is wanted, by whom, since when; `snapshot` where one is meant."""

    what: str
    by: str
    at: float
    snapshot: str = ""


class SnapshotFile(Struct, frozen=True, kw_only=True):
    """One dropped file, pinned: blob path in `snapshots`, ETag, bytes, split word of its name or None."""

    path: str
    etag: str
    size: int
    split: str | None = None


class ReportSummary(Struct, frozen=True, kw_only=True):
    """What validation found, in brief; the whole report is the blob `reports/<blob>`."""

    blob: str
    verdict: Literal["accepted", "rejected"]
    rows: int
    errors: int
    warnings: int
    bad_rows: int = 0


class ModelPin(Struct, frozen=True, kw_only=True):
    """A base model resolved to one version, before any money is spent."""

    registry: str
    name: str
    version: str
    id: str


class ModelRef(Struct, frozen=True, kw_only=True):
    """A registered model version in the workspace."""

    name: str
    version: str


class Check(StrEnum):
    """What may stand in a snapshot's way, under the names by which a person can excuse it."""

    BAD_ROWS = "bad_rows"
    DUPLICATE = "duplicate"
    MODEL = "model"
    SIZE = "size"
    GPUS = "gpus"
    QUOTA = "quota"
    CONCURRENT_RUNS = "concurrent_runs"
    DAILY_RUNS = "daily_runs"
    SUPERSEDED = "superseded"
    GATE = "gate"


class Blocker(Struct, frozen=True, kw_only=True):
    """One thing that stands in the way. `check` is None when nobody can excuse it.

    `look_in`: it may pass by itself and is looked at again so many seconds later; None: it stays until somebody acts.
    """

    text: str
    check: Check | None = None
    poll_in: float | None = None


class Row(Struct, frozen=True, kw_only=True):
    """What both kinds of ledger row have.

    `next_look_at` is when somebody has to look again (None: only when something happens). `attention` means that
    the row waits for a person. `waiting` says in words what a row waits for.
    """

    history: tuple[HistoryEntry, ...] = ()
    poll_at: float | None = msgspec.field(default=None, name="next_look_at")
    fault: Fault | None = None
    attention: bool = False
    waiting: str = ""

    @property
    def since(self) -> float:
        """When the present state was entered."""
        return self.history[-1].at if self.history else 0.0

    @property
    def reason(self) -> str:
        """Why the present state was entered."""
        return self.history[-1].reason if self.history else ""

    @property
    def comes_due(self) -> float | None:
        """When something is to be done although nothing happens."""
        return None


class Snapshot(Row, frozen=True, kw_only=True):
    """The ledger row of one dropped snapshot, from RECEIVED to REGISTERED.

    Ids sort by upload time: of two snapshots of a dataset, the newer one has the greater id. The order in which
    events arrive means nothing.

    `blocked` names the checks that stand in the way now, `overrides` those that a person excused; `overridden_by` says
    who excused the gate. `job` is the job of this attempt from the moment a place is reserved for it; `silent_since` is
    set while it gives no sign of life, and `cancel_asked_at` once it is to be canceled for that. `context_tokens` is
    what the base model sees at once, 0 where nobody told.
    """

    id: str
    dataset: str
    state: SnapshotState
    source: str
    uploaded_at: float
    files: tuple[SnapshotFile, ...]
    options: SnapshotFile | None = None
    attempt: int = 1
    overrides: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    overridden_by: str = ""
    base_model: ModelPin | None = None
    context_tokens: int = 0
    component: str = ""
    hyperparameters: dict[str, Any] = {}
    digest: str = ""
    claim: str = ""
    duplicate_of: str = ""
    counts: dict[str, int] = {}
    report: ReportSummary | None = None
    note: str = ""
    job: str = ""
    job_status: str = ""
    silent_since: float | None = None
    cancel_asked_at: float | None = None
    studio_url: str = ""
    model: ModelRef | None = None

    @property
    def key(self) -> str:
        """The row's name in queue messages."""
        return f"snapshot/{self.id}"


class GateMetrics(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What a release made of the gate's prompts.

    `failed`: no answer (an error, a time-out, a shape nobody knows). `unusable`: an answer that is empty, runs in
    circles, shows template markers or runs on until it is cut off. `likeness` is the mean chrF (0 to 100) to the
    reference answers, where a failed or unusable answer counts 0; None when there is nothing to compare with.
    """

    asked: int
    failed: int = 0
    unusable: int = 0
    likeness: float | None = None
    p50_seconds: float | None = None
    p95_seconds: float | None = None


class LikenessGap(Struct, frozen=True, kw_only=True):
    """How much more like the references live's answers are than the candidate's, in points of likeness.

    `low` and `high` are the ends of a 95 % interval over so many `prompts` that both were asked.
    """

    mean: float
    low: float
    high: float
    prompts: int


class Judgement(Struct, frozen=True, kw_only=True):
    """What the gate says of a candidate: whether it passed, against what, with which numbers, and why.

    `against_live`: `first` (nothing is live), `not worse`, `worse`, `in doubt` (the interval is too wide to tell), or
    `unjudged` (too few prompts could be compared: the thresholds alone decided). `reasons` are what speaks against a
    release, `notes` what else a person should know. `evaluation` names the blob with everything. An override, by
    whom it says, releases what did not pass.
    """

    passed: bool
    against_live: Literal["first", "not worse", "worse", "in doubt", "unjudged"]
    candidate: GateMetrics
    live: GateMetrics | None = None
    lead: LikenessGap | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    evaluation: str = ""
    overridden_by: str = ""


def call_result(status: int, usable: bool) -> CallResult:
    """How a question ended, by the endpoint's HTTP status (0: it did not answer)."""
    if status == 200:
        return "answered" if usable else "failed"
    return "refused" if 400 <= status < 500 and status not in (408, 424) else "failed"


class CallStats(Struct, frozen=True, kw_only=True):
    """How the questions to one deployment ended.

    `failed`: 5xx, 424, no answer in time, or an answer nobody can use. `refused`: 4xx, 429 among them. The seconds
    are those of answered questions; None when there is none.
    """

    asked: int = 0
    failed: int = 0
    refused: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None

    @property
    def error_percent(self) -> float:
        """Share of the questions that failed."""
        return 100.0 * self.failed / self.asked if self.asked else 0.0

    def __str__(self) -> str:
        took = f", p95 {self.p95_seconds:.2f} s" if self.p95_seconds is not None else ""
        return f"{self.failed} of {self.asked} failed ({self.error_percent:.1f} %){took}"


class CallComparison(Struct, frozen=True, kw_only=True):
    """One source's tallies of a stage; None is not known, and then `why`."""

    source: str
    candidate: CallStats | None = None
    live: CallStats | None = None
    why: str = ""


class Stage(Struct, frozen=True, kw_only=True):
    """One stage of a shift: the candidate's share of the traffic, and what was said of it when the stage was over.

    `since` is when the endpoint was seen with that traffic (0: not yet). `healthy`: not worse than live. `unjudged`:
    too little was known within the time allowed, and the gate's evidence had to do. `measured` are the numbers.
    """

    percent: int
    since: float = 0.0
    verdict: Literal["", "healthy", "unjudged", "breach"] = ""
    why: str = ""
    measured: tuple[CallComparison, ...] = ()


class Release(Struct, frozen=True, kw_only=True):
    """One snapshot's model behind the dataset's endpoint. `deployment` is empty once it was removed.

    `stages` are those of its shift, the last one under way. `returned_by` says who asked to go back to it, while that
    is done. `log` is the blob with its last log lines: None before they were looked for, empty if there were none.
    `operation` is where Azure tells of its deployment being made.
    """

    snapshot: str
    model: ModelRef
    deployment: str = ""
    attempt: int = 1
    failed: str = ""
    failed_as: ReleaseState | None = None
    gate: Judgement | None = None
    stages: tuple[Stage, ...] = ()
    returned_by: str = ""
    log: str | None = None
    operation: str = ""

    @property
    def unjudged(self) -> bool:
        """Whether any stage of its shift went by without enough known of it."""
        return any(stage.verdict == "unjudged" for stage in self.stages)


class ReleaseOutcome(Struct, frozen=True, kw_only=True):
    """How a snapshot's release ended, kept so that its state can be told for ever."""

    part: ReleaseState
    at: float
    reason: str = ""
    attempt: int = 1
    gate: Judgement | None = None
    stages: tuple[Stage, ...] = ()


class Dataset(Row, frozen=True, kw_only=True):
    """The ledger row of what is served under one dataset name. Going live is one conditional write of it.

    `previous` is what was live before; its deployment stays until `kept_until`, so that one can go back to it. After a
    wake that failed, no question wakes the dataset before `wake_not_before`; a person's wish does.
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
    resting: DatasetState = DatasetState.EMPTY
    traffic: dict[str, int] = {}
    requested: Request | None = None
    outcomes: dict[str, ReleaseOutcome] = {}
    last_asked_at: float = 0.0
    wake_failures: int = 0
    wake_not_before: float = 0.0

    @property
    def comes_due(self) -> float | None:
        """When something is to be done although nothing happens: a kept deployment's time is over."""
        kept = self.state == DatasetState.LIVE and self.previous is not None and self.previous.deployment
        return self.kept_until if kept else None

    def can_go_back(self, now: float) -> bool:
        """Whether what was live before is kept to go back to."""
        return self.previous is not None and bool(self.previous.deployment) and now < self.kept_until

    @property
    def key(self) -> str:
        """The row's name in queue messages."""
        return f"dataset/{self.name}"
