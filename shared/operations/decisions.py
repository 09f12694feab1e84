"""What becomes of what people and clients ask for: pure decisions about one row. Carried out by `actions`.

Each takes the row as it is now and returns the row to write, or says that there is nothing to do, or what is in the
way. A decision may be made again on a row that came between. Asking twice is asking once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.ledger.deletions import DatasetDeletion
from shared.ledger.pause import DatasetPause
from shared.ledger.rows import Check, Dataset, Origin, Request, Row, Snapshot
from shared.ledger.states import (
    DATASET,
    NEVER_RELEASED,
    SNAPSHOT,
    DatasetState,
    Decision,
    ReleaseState,
    SnapshotState,
)
from shared.ledger.uptime import is_live_up

D = DatasetState
_FAILED = (ReleaseState.DEPLOY_FAILED, ReleaseState.WITHHELD, ReleaseState.ROLLED_BACK, ReleaseState.CANCELED)
# The states in which what is asked for is so already.
_THERE = {"sleep": (D.ASLEEP, D.SLEEPING), "wake": (D.LIVE, D.WAKING), "roll_back": ()}
# In these states a request takes back its opposite, which nothing has been done about yet.
_OPPOSITES = ((D.ASLEEP, "wake", "sleep"), (D.LIVE, "sleep", "wake"))


@dataclass(frozen=True, slots=True)
class Write:
    """It is done by writing this row, which is then looked at."""

    row: Any
    text: str


@dataclass(frozen=True, slots=True)
class Settled:
    """It is so already, or on its way: there is nothing to write."""

    text: str


@dataclass(frozen=True, slots=True)
class Declined:
    """It cannot be done now; the text says what is in the way."""

    text: str


type ActionDecision = Write | Settled | Declined


# --- what a dataset is asked for ---------------------------------------------------------------------------------


def on_request(row: Dataset, request: Request) -> ActionDecision:
    """A dataset is asked to sleep, to wake or to roll back."""
    what = request.what
    if row.state == D.DELETING:
        return Declined(f"{row.name} is being deleted")
    if _takes_back(row, request):
        return Write(row.but(requested=None), f"{row.name} stays {row.state}: the other request is withdrawn")
    if what == "wake" and request.origin == Origin.CALL and row.state == D.ASLEEP and request.at < row.wake_not_before:
        return Declined(f"{row.name} could not be woken: {row.reason}")
    if row.attention and request.origin != Origin.PERSON:
        return Declined(f"{row.name} waits for a person: {row.fault.message if row.fault else row.reason}")
    if row.state in _THERE[what]:
        return Settled(f"{row.name} is {row.state} already")
    if what == "roll_back" and (decision := _on_roll_back(row, request)):
        return decision
    if row.requested and row.requested.what == "retry" and what != "roll_back":  # that one cannot wait
        return Declined(f"{row.requested.snapshot} is to be released again first: ask again when that is over")
    if DATASET.decide(row.state, what) == Decision.RUN:
        return _recorded(row, request)
    if row.state == D.EMPTY:
        return Declined(f"{row.name} has no release yet")
    return Declined(f"{row.name} is {row.state}: ask again when that is over")


def _recorded(row: Dataset, request: Request) -> ActionDecision:
    """The request on the row, which then waits for no person any more; unless it is there already."""
    text = f"{row.name} will {_verb(request.what)}"
    if _same(row, request):
        return Settled(text)
    return Write(row.but(requested=request, poll_at=request.at, attention=False, fault=None, pending={}), text)


def _on_roll_back(row: Dataset, request: Request) -> ActionDecision | None:
    """During a rollout the candidate is taken back; else the release before must be kept. None: the table says."""
    if row.candidate is not None:
        if row.candidate.returned_by:
            return Settled(f"{row.name} goes back to {row.candidate.snapshot} already")
        return _recorded(row, request)
    if row.state == D.LIVE and not row.can_go_back(request.at):
        gone = f"; the deployment of {row.previous.snapshot} is not kept any more" if row.previous else ""
        return Declined(f"{row.name} is {row.state} and has nothing to go back to{gone}")
    return None


def _takes_back(row: Dataset, request: Request) -> bool:
    """Whether the request takes back its opposite. A call does not take back what a person asked for."""
    found = row.requested
    if found is None or (row.state, found.what, request.what) not in _OPPOSITES:
        return False
    return request.origin == Origin.PERSON or found.origin != Origin.PERSON


def _same(row: Dataset, request: Request) -> bool:
    """Whether the request is on record and on its way. A person's takes the place of one that is yet to be checked."""
    found = row.requested
    if found is None or found.wanted != request.wanted or row.attention:
        return False
    return found.origin == Origin.PERSON or request.origin != Origin.PERSON


def on_retry_of_release(row: Dataset, request: Request, snapshot: Snapshot) -> ActionDecision:
    """The release of a snapshot is to be tried again. No other request is forgotten for it, but one of the timer's or
    the sweep's that nothing was done about yet."""
    ended, other = row.outcome_of(snapshot), row.requested
    if row.state == D.DELETING:
        return Declined(f"{row.name} is being deleted")
    if ended is None or ended.state not in _FAILED:
        what = f"is {ended.state}" if ended else "has not failed"
        return Declined(f"{request.snapshot} {what}: there is nothing to retry")
    text = f"{request.snapshot} will be released again"
    if other and other.wanted == request.wanted:
        return Settled(text)
    begun = row.state in (D.SLEEPING, D.WAKING)
    if other and (begun or other.origin not in (Origin.TIMER, Origin.SWEEP)):
        return Declined(f"{row.name} is to {_verb(other.what)} first: ask again when that is over")
    return Write(row.but(requested=request, poll_at=request.at), text)


def on_delete(row: Dataset, deletion: DatasetDeletion) -> ActionDecision:
    """A dataset is to be deleted. Nothing is asked of it any more but that; what was dropped may be added to it."""
    text = f"{row.name} will be deleted"
    if row.state != D.DELETING:
        return Write(deleted(row, deletion, deletion.at), text)
    begun = row.deletion
    if begun and (begun.with_files or not deletion.with_files) and not row.attention:
        return Settled(text)
    more = begun.but(with_files=begun.with_files or deletion.with_files) if begun else deletion
    again = row.but(deletion=more, attention=False, fault=None, pending={}, poll_at=deletion.at)
    return Write(again, text)


def deleted(row: Dataset, deletion: DatasetDeletion, now: float) -> Dataset:
    """The row of a dataset that is being deleted. What is up is kept in it until it is removed: it costs money."""
    live = row.live.but(failed="", returned_by="") if row.live and is_live_up(row) else None
    reason = f"{deletion.by} deletes it" + (", with all that was dropped" if deletion.with_files else "")
    changed: Dataset = row.but(
        state=D.DELETING, deletion=deletion.but(ended_at=None, settled=False),
        history=row.longer_history(D.DELETING, reason, now),
        live=live, candidate=None, before_rollout=D.EMPTY, requested=None,
        attention=False, fault=None, pending={}, waiting="", acting=False, poll_at=now,
    )  # fmt: skip
    return changed


def on_pause(row: Dataset, pause: DatasetPause | None, by: str, now: float) -> ActionDecision:
    """A dataset is to begin nothing that costs money, or (None) may again. A pause is told of once, by the first."""
    if row.state == D.DELETING:
        return Declined(f"{row.name} is being deleted")
    if (row.pause is None) == (pause is None):
        return Settled(f"{row.name} is {row.pause} already" if row.pause else f"{row.name} is not paused")
    reason = str(pause) if pause else f"unpaused by {by}"
    text = f"{row.name} begins nothing that costs money until it is unpaused" if pause else f"{row.name} goes on"
    return Write(_noted(row, reason, now).but(pause=pause, poll_at=now), text)


# --- what a snapshot is asked for --------------------------------------------------------------------------------


def on_move(row: Snapshot, step: str, by: str, now: float, why: str = "", **changes: Any) -> ActionDecision:
    """A step that only a person asks for (retry, override). It is one write, so there is no act and no intent."""
    verdict = SNAPSHOT.decide(row.state, step)
    word = step.partition("_")[0]
    if verdict == Decision.ALREADY_DONE and any(e.reason.startswith(word) for e in row.history):
        return Settled(f"{row.id} is {row.state} already")
    if verdict != Decision.RUN:
        return Declined(f"{row.id} is {row.state}: there is nothing to {word}")
    moved = row.but(state=SNAPSHOT.step(step).ends[0], poll_at=now, **changes)
    return Write(_noted(moved, f"{step} by {by}{why}", now), f"{row.id} is {moved.state} again")


def on_cancel(row: Snapshot, request: Request) -> ActionDecision:
    """A snapshot is to end before it serves. The step under way, or the next one, sees to it."""
    if row.state in (SnapshotState.CANCELED, SnapshotState.CANCELING):
        return Settled(f"{row.id} is {row.state} already")
    if row.state in NEVER_RELEASED:
        return Declined(f"{row.id} is {row.state}: there is nothing to cancel")
    text = f"{row.id} will be canceled"
    if row.cancel_request and not row.attention:
        return Settled(text)
    return Write(row.but(requested=request, poll_at=request.at, attention=False, fault=None, pending={}), text)


def on_cancel_of_release(row: Dataset, snapshot: Snapshot) -> ActionDecision | None:
    """Why a snapshot that has its model cannot be canceled, or need not be; None: it can."""
    ended = row.outcome_of(snapshot)
    if ended is not None:
        text = f"{snapshot.id} is {ended.state}"
        return Settled(f"{text} already") if ended.state == ReleaseState.CANCELED else Declined(f"{text}: it has ended")
    if row.live and row.live.snapshot == snapshot.id:
        return Declined(f"{snapshot.id} serves: roll back {row.name}, or put it to sleep")
    return None


def on_excuse(row: Snapshot, checks: Iterable[str], by: str, now: float) -> ActionDecision:
    """A snapshot that waits is excused from these checks, and looked at now."""
    new = ", ".join(sorted({*checks} - {*row.overrides}))
    if not new:
        return Settled(f"{row.id} is excused already")
    excused = row.but(**excused_from(row, checks, by), poll_at=now)
    return Write(_noted(excused, f"override by {by}: excused from {new}", now), f"{row.id} goes on, excused from {new}")


def on_excuse_of_gate(row: Snapshot, by: str, now: float) -> ActionDecision:
    """A withheld snapshot is to be released whatever the gate says."""
    if Check.GATE in row.overrides:
        return Settled(f"{row.id} is excused already")
    excused = row.but(**excused_from(row, (Check.GATE,), by))
    return Write(_noted(excused, f"override by {by}: released whatever the gate says", now), f"{row.id} is excused")


def excused_from(row: Snapshot, checks: Iterable[str], by: str) -> dict[str, Any]:
    """What changes in a row that is excused from these checks as well."""
    changes: dict[str, Any] = {"overrides": tuple(sorted({*row.overrides, *checks}))}
    return {**changes, "overridden_by": by} if Check.GATE in {*checks} - {*row.overrides} else changes


# --- what either is asked for ------------------------------------------------------------------------------------


def on_resume(row: Any, by: str, now: float) -> ActionDecision:
    """A row that waits for a person goes on."""
    name = row.key.partition("/")[2]
    if not row.attention:
        return Settled(f"{name} waits for no person: it is {row.state}")
    fresh: dict[str, Any] = {"attention": False, "fault": None, "pending": {}, "poll_at": now}
    return Write(_noted(row, f"resumed by {by}", now).but(**fresh), f"{name} goes on from {row.state}")


def _noted(row: Row, reason: str, now: float) -> Any:
    state: Any = row.state  # type: ignore[attr-defined]
    return row.but(history=row.longer_history(state, reason, now))


def _verb(what: str) -> str:
    return what.replace("_", " ")
