"""What is on record of a release: its model, what the gate and the stages found of it, and how it ended.

Frozen, without I/O; part of a dataset's row (`rows.Dataset`). Times are seconds since 1970, UTC.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.ledger.record import Struct
from shared.ledger.states import ReleaseState

# In the reason of a release that a person took back.
WENT_BACK = " went back to "

type CallResult = Literal["answered", "failed", "refused", "busy", "left"]

# What the container of a deployment speaks: the OpenAI route; `/score` alone; `/score` of the generic MLflow image.
# Empty: not found out yet, as in the rows of older versions.
type ServingApi = Literal["", "openai", "score", "mlflow"]


class ModelRef(Struct, frozen=True, kw_only=True):
    """A registered model version in the workspace."""

    name: str
    version: str


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
    gap: LikenessGap | None = msgspec.field(default=None, name="lead")
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    evaluation: str = ""
    overridden_by: str = ""


def call_result(status: int, usable: bool) -> CallResult:
    """How a call ended, by the endpoint's HTTP status (0: it did not answer; 499: its caller left before that)."""
    if status == 200:
        return "answered" if usable else "failed"
    if status in (429, 499):
        return "busy" if status == 429 else "left"
    return "refused" if 400 <= status < 500 and status not in (408, 424) else "failed"


class CallStats(Struct, frozen=True, kw_only=True):
    """How the calls to one deployment ended.

    `failed`: 5xx, 408, 424, no answer in time, or an answer nobody can use. `refused`: any other 4xx. `busy`: 429,
    which says how many called and nothing else. `left`: the caller went away before anything came. All others were
    answered. The seconds are those of answered calls; None when there is none.
    """

    asked: int = 0
    failed: int = 0
    refused: int = 0
    busy: int = 0
    left: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None

    @property
    def answered(self) -> int:
        """The calls with a usable answer: the only ones that speak for a deployment."""
        return self.judged - self.failed - self.refused - self.left

    @property
    def judged(self) -> int:
        """The calls that say something about a deployment."""
        return self.asked - self.busy

    def percent(self, calls: int) -> float:
        """So many of the judged calls in percent."""
        return 100.0 * calls / self.judged if self.judged else 0.0

    def __str__(self) -> str:
        more = "".join(
            f", {calls} {what}"
            for calls, what in ((self.refused, "refused"), (self.left, "given up by callers"))
            if calls
        )
        took = f", p95 {self.p95_seconds:.2f} s" if self.p95_seconds is not None else ""
        return f"{self.failed} of {self.judged} failed ({self.percent(self.failed):.1f} %){more}{took}"


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
    `api` is what its container speaks, found out once by probes; `probes` counts those that told nothing.
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
    api: ServingApi = ""
    probes: int = 0

    @property
    def unjudged(self) -> bool:
        """Whether any stage of its shift went by without enough known of it."""
        return any(stage.verdict == "unjudged" for stage in self.stages)


class ReleaseOutcome(Struct, frozen=True, kw_only=True):
    """How a snapshot's release ended, kept so that its state can be told for ever.

    Rows keep it in `brief`; what the gate and the stages said lies beside the evaluation.
    """

    state: ReleaseState = msgspec.field(name="part")
    at: float
    reason: str = ""
    attempt: int = 1
    gate: Judgement | None = None
    stages: tuple[Stage, ...] = ()

    @property
    def brief(self) -> ReleaseOutcome:
        """Without what the gate and the stages said."""
        brief: ReleaseOutcome = self.but(gate=None, stages=())
        return brief
