"""The two life cycles as tables: what may happen to a snapshot and to a dataset, and in which order.

Everything that needs to know an order asks here: the ledger before it writes, the HTTP actions before they
record a request, docs/life-cycles.md for its pictures, the tests for every pair of state and step. Pure, standard
library.

A step with an *intent* writes that state before it acts, so that a crash half-way is visible and the step is
resumed, never begun a second time. A step that is *asked* for happens only when somebody asks: a dataset's when the
request is on record, a snapshot's (retry, override) at once, in the write that answers the person.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SnapshotState(StrEnum):
    """Where one dropped snapshot is on its way to a registered model."""

    RECEIVED = "RECEIVED"
    VALIDATING = "VALIDATING"
    VALIDATED = "VALIDATED"
    REJECTED = "REJECTED"
    DUPLICATE = "DUPLICATE"
    SUPERSEDED = "SUPERSEDED"
    SUBMITTING = "SUBMITTING"
    TRAINING = "TRAINING"
    TRAINED = "TRAINED"
    TRAINING_FAILED = "TRAINING_FAILED"
    REGISTERING = "REGISTERING"
    REGISTERED = "REGISTERED"
    REGISTER_FAILED = "REGISTER_FAILED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    CLEANING = "CLEANING"
    CLEANED = "CLEANED"


class DatasetState(StrEnum):
    """What a dataset's endpoint is doing."""

    EMPTY = "EMPTY"
    DEPLOYING = "DEPLOYING"
    EVALUATING = "EVALUATING"
    SHIFTING = "SHIFTING"
    LIVE = "LIVE"
    SLEEPING = "SLEEPING"
    ASLEEP = "ASLEEP"
    WAKING = "WAKING"
    DELETING = "DELETING"


class ReleaseState(StrEnum):
    """The part a REGISTERED snapshot plays, or played, in its dataset: what people see as its state."""

    DEPLOYING = "DEPLOYING"
    EVALUATING = "EVALUATING"
    SHIFTING = "SHIFTING"
    LIVE = "LIVE"
    ASLEEP = "ASLEEP"
    WITHHELD = "WITHHELD"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    ROLLED_BACK = "ROLLED_BACK"
    RETIRED = "RETIRED"
    SUPERSEDED = "SUPERSEDED"
    CANCELED = "CANCELED"


class Decision(StrEnum):
    """What `decide` says about running a step now."""

    RUN = "run"
    ALREADY_DONE = "already done"
    TOO_EARLY = "too early"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a table: from the `starts`, through the `intent`, to one of the `ends`."""

    name: str
    starts: tuple[StrEnum, ...]
    ends: tuple[StrEnum, ...]
    intent: StrEnum | None = None
    asked: bool = False

    def begins_in(self, state: StrEnum | None) -> bool:
        """Whether the step may run in this state: at a start, or where a crash left its intent."""
        return (
            state in self.starts
            or (self.intent is not None and state == self.intent)
            or (state is None and not self.starts)
        )


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """One life cycle. The order of its steps is the order in which they are tried."""

    name: str
    steps: tuple[Step, ...]

    def step(self, name: str) -> Step:
        """The step of that name; KeyError when the table has none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(f"{self.name} has no step {name!r}")

    def steps_from(self, state: StrEnum) -> tuple[Step, ...]:
        """The steps that may run in this state; an interrupted intent comes first and alone."""
        interrupted = tuple(s for s in self.steps if s.intent == state)
        return interrupted or tuple(s for s in self.steps if state in s.starts)

    def reachable(self, states: tuple[StrEnum, ...]) -> frozenset[StrEnum]:
        """Every state that these can lead to, themselves included."""
        found: set[StrEnum] = set(states)
        while True:
            more = {
                after
                for step in self.steps
                if found.intersection(step.starts) or step.intent in found
                for after in (*step.ends, *((step.intent,) if step.intent else ()))
            }
            if more <= found:
                return frozenset(found)
            found |= more

    def decide(self, state: StrEnum | None, name: str) -> Decision:
        """Whether a step is to run, was done, comes later, or never.

        The order of the questions matters: a retry leads back, so "already done" must be asked only after
        "may it run now", and "too early" only after both.
        """
        step = self.step(name)
        if step.begins_in(state):
            return Decision.RUN
        if state is None:
            return Decision.TOO_EARLY
        if state in self.reachable(step.ends):
            return Decision.ALREADY_DONE
        if self.reachable((state,)).intersection(step.starts):
            return Decision.TOO_EARLY
        return Decision.IMPOSSIBLE

    def allows(self, before: StrEnum | None, after: StrEnum) -> bool:
        """Whether one write may change the state so (staying where one is, is always allowed).

        A step with an intent passes through it: no write leads from a start straight to an end.
        """
        return before == after or any(
            step.begins_in(before) and after in (step.ends if step.intent in (None, before) else (step.intent,))
            for step in self.steps
        )

    def diagram(self) -> str:
        """The table as a Mermaid state diagram, for the README."""
        lines = ["stateDiagram-v2"]
        for step in self.steps:
            label = f"{step.name} (asked)" if step.asked else step.name
            for start in step.starts or ("[*]",):
                if step.intent:
                    lines.append(f"    {start} --> {step.intent}: {label}")
                else:
                    lines += [f"    {start} --> {end}: {label}" for end in step.ends]
            if step.intent:
                lines += [f"    {step.intent} --> {end}" for end in step.ends]
        return "\n".join(lines)


_S, _D = SnapshotState, DatasetState

SNAPSHOT = LifeCycle(
    "snapshot",
    (
        Step("receive", (), (_S.RECEIVED, _S.SUPERSEDED)),
        # Before all others. In the other states before REGISTERED the step under way notices the request.
        Step(
            "cancel",
            (_S.RECEIVED, _S.VALIDATED, _S.TRAINING, _S.TRAINED),
            (_S.CANCELED,),
            intent=_S.CANCELING,
            asked=True,
        ),
        Step(
            "validate",
            (_S.RECEIVED,),
            (_S.VALIDATED, _S.REJECTED, _S.DUPLICATE, _S.SUPERSEDED, _S.CANCELED),
            intent=_S.VALIDATING,
        ),
        Step("reserve", (_S.VALIDATED,), (_S.VALIDATED, _S.SUPERSEDED, _S.TRAINING_FAILED)),
        Step("submit", (_S.VALIDATED,), (_S.TRAINING, _S.TRAINING_FAILED, _S.CANCELED), intent=_S.SUBMITTING),
        Step("finish", (_S.TRAINING,), (_S.TRAINED, _S.TRAINING_FAILED)),
        Step("register", (_S.TRAINED,), (_S.REGISTERED, _S.REGISTER_FAILED, _S.CANCELED), intent=_S.REGISTERING),
        # What has its model is released by its dataset, which is told.
        Step("cancel_release", (_S.REGISTERED,), (_S.REGISTERED,), asked=True),
        Step("retry", (_S.TRAINING_FAILED,), (_S.VALIDATED,), asked=True),
        # A job that completed is not paid for twice: its output is there.
        Step("retry_registration", (_S.REGISTER_FAILED, _S.CANCELED), (_S.TRAINED,), asked=True),
        Step("retry_canceled", (_S.CANCELED,), (_S.RECEIVED,), asked=True),
        Step("override", (_S.REJECTED, _S.DUPLICATE, _S.SUPERSEDED), (_S.RECEIVED,), asked=True),
        Step(
            "clean",
            (_S.REJECTED, _S.DUPLICATE, _S.SUPERSEDED, _S.TRAINING_FAILED, _S.REGISTER_FAILED, _S.CANCELED),
            (_S.CLEANED,),
            intent=_S.CLEANING,
        ),
    ),
)

DATASET = LifeCycle(
    "dataset",
    (
        # Before the deployment that it goes back to is removed.
        Step("roll_back", (_D.LIVE,), (_D.SHIFTING, _D.LIVE), asked=True),
        # Before the next release: it would forget the one before the last, which costs money.
        Step("retire", (_D.LIVE,), (_D.LIVE,)),
        Step("deploy", (_D.EMPTY, _D.LIVE, _D.ASLEEP), (_D.DEPLOYING,)),
        Step("watch", (_D.DEPLOYING,), (_D.EVALUATING, _D.LIVE, _D.ASLEEP, _D.EMPTY)),
        Step("gate", (_D.EVALUATING,), (_D.SHIFTING, _D.LIVE, _D.ASLEEP, _D.EMPTY)),
        Step("shift", (_D.SHIFTING,), (_D.LIVE, _D.ASLEEP, _D.EMPTY)),
        # What no person asked for is checked before anything is removed, while it still answers.
        Step("confirm_sleep", (_D.LIVE,), (_D.LIVE,)),
        Step("sleep", (_D.LIVE,), (_D.ASLEEP, _D.LIVE, _D.DELETING), intent=_D.SLEEPING, asked=True),
        Step("wake", (_D.ASLEEP,), (_D.LIVE, _D.ASLEEP, _D.DELETING), intent=_D.WAKING, asked=True),
        # What serves already, deployed by a version that did not find out what its container speaks.
        Step("probe", (_D.LIVE,), (_D.LIVE,)),
        # From SLEEPING and WAKING as well: whatever they were about is removed, too.
        Step(
            "delete",
            (_D.EMPTY, _D.DEPLOYING, _D.EVALUATING, _D.SHIFTING, _D.LIVE, _D.ASLEEP),
            (_D.DELETING,),
            asked=True,
        ),
        # In the end the row is gone.
        Step("erase", (_D.DELETING,), (_D.DELETING,)),
    ),
)


# --- groups of states: each is told here alone ---------------------------------------------------------------------

# Snapshots whose rows are checked, or are to be.
UNCHECKED = frozenset({_S.RECEIVED, _S.VALIDATING})
# Snapshots of which nothing more becomes by itself.
ENDED = frozenset(
    {
        *(_S.REJECTED, _S.DUPLICATE, _S.SUPERSEDED, _S.TRAINING_FAILED, _S.REGISTER_FAILED),
        *(_S.REGISTERED, _S.CANCELED, _S.CLEANED),
    }
)
# Ends after which nothing is left that a request could still end. What is REGISTERED may be about to be released.
NEVER_RELEASED = ENDED - {_S.REGISTERED} | {_S.CLEANING}
# States whose snapshots train nothing, unless somebody asks for it.
TRAINS_NOTHING = NEVER_RELEASED - {_S.REGISTER_FAILED}

# A candidate is under way. What is told of a dataset then is told of that snapshot.
ROLLOUT = frozenset({_D.DEPLOYING, _D.EVALUATING, _D.SHIFTING})
# Nothing is under way.
RESTING = frozenset({_D.EMPTY, _D.LIVE, _D.ASLEEP})
# There is no endpoint, which would cost money.
WITHOUT_ENDPOINT = frozenset({_D.EMPTY, _D.ASLEEP})
# What is live has no machines that answer.
NOT_ANSWERING = frozenset({_D.ASLEEP, _D.WAKING})

# The parts of a snapshot that its dataset's row tells: whoever plays one is named there.
TOLD_BY_DATASET = frozenset({*map(ReleaseState, ROLLOUT), ReleaseState.LIVE, ReleaseState.ASLEEP})

# A job in the workspace is over.
JOB_ENDED = ("Completed", "Failed", "Canceled")


def part_of_live(dataset: str, is_asleep: bool) -> str:
    """What people see as the state of the snapshot that is live, in a dataset of this state."""
    if dataset == _D.DELETING:
        return str(dataset)
    return str(ReleaseState.ASLEEP if is_asleep else ReleaseState.LIVE)
