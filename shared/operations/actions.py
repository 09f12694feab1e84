"""What people and clients may ask for: retry, override, wake, sleep. Called by the HTTP actions and by scoring.

A wish is recorded on the row, on condition of its ETag, and then done by the row's next step. Asking twice is asking
once. A wish the table does not allow now is refused with the state that is in the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import IllegalTransition, PermanentError
from shared.ledger.engine import StepResult
from shared.ledger.rows import HISTORY_KEPT, Check, Dataset, HistoryEntry, Request, Snapshot
from shared.ledger.states import DATASET, SNAPSHOT, DatasetState, Decision, LifeCycle, ReleaseState, SnapshotState
from shared.releases import idle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.runtime import Services


# Who asks for a wake when it is a question that does: unlike a person, it heeds the pause after a wake that failed.
QUESTION = "a question"


class BadOverride(PermanentError):
    """Somebody asked to excuse something that has no such name."""


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """What became of a wish: `done` says whether it was taken (or there was nothing to do)."""

    done: bool
    text: str


def retry(services: Services, snapshot: str, by: str) -> ActionAnswer:
    """Goes on with a snapshot that failed: training or registration again, the release again, or past its faults.

    Raises NotFound for an unknown snapshot.
    """
    row: Snapshot = services.ledger.read(f"snapshot/{snapshot}").row
    if row.attention:
        return _resumed(services, row.key, by)
    if row.state == SnapshotState.REGISTERED:
        return _retry_release(services, row, by)
    if row.state == SnapshotState.TRAINING_FAILED:
        return _retrain(services, row, by)
    name = "retry_registration" if row.state == SnapshotState.REGISTER_FAILED else "retry"
    return _moved(services, row, name, by, attempt=row.attempt + 1)


def override(services: Services, snapshot: str, by: str, what: Iterable[str] = ()) -> ActionAnswer:
    """Excuses checks for one snapshot, on record, and takes it after all. Names (of `Check`) default to what blocks it.

    One that was refused is checked again from the beginning; one whose training failed before it began is trained under
    a new attempt; one that waits goes on; one that the gate withheld is released whatever the gate says. What cannot be
    excused is refused again. Raises BadOverride for other names.
    """
    row: Snapshot = services.ledger.read(f"snapshot/{snapshot}").row
    if unknown := sorted(set(what) - set(Check)):
        raise BadOverride(f"{', '.join(unknown)[:80]}: nothing of that name can be overridden; {', '.join(Check)} can")
    wanted = {*what} or {*row.blocked}
    if row.state == SnapshotState.REGISTERED:
        return _override_gate(services, row, by, {*what})
    if row.state == SnapshotState.VALIDATED and row.blocked:
        return _excused(services, row, wanted, by)
    changes, why = _excuse(row, wanted, by), f": excused from {', '.join(sorted(wanted))}" if wanted else ""
    if row.state == SnapshotState.TRAINING_FAILED and row.blocked:
        return _retrain(services, row, by, why, **changes)
    return _moved(services, row, "override", by, why, **changes)


def ask(services: Services, dataset: str, what: str, by: str) -> ActionAnswer:
    """Records the wish that a dataset sleeps, wakes or rolls back. Raises NotFound for an unknown dataset."""
    key = f"dataset/{dataset}"
    wish = Request(what=what, by=by, at=services.clock())
    answer = ActionAnswer(False, "")

    def edit(row: Dataset) -> Dataset:
        nonlocal answer
        if _withdraws(row, wish):
            answer = ActionAnswer(True, f"{row.name} stays {row.state}: the other wish is withdrawn")
            withdrawn: Dataset = row.but(requested=None)
            return withdrawn
        answer = _may(row, wish)
        if not answer.done or answer.text:
            return row
        cleared: Dataset = row.but(requested=wish, poll_at=wish.at, attention=False, fault=None)
        return cleared

    services.ledger.change(key, edit)
    if answer.done and not answer.text:
        services.ledger.hint(key)
        return ActionAnswer(True, f"{dataset} will {_verb(what)}")
    return answer


def resume(services: Services, dataset: str, by: str) -> ActionAnswer:
    """Goes on with a dataset that waits for a person."""
    return _resumed(services, f"dataset/{dataset}", by)


def _may(row: Dataset, wish: Request) -> ActionAnswer:
    """Whether the wish makes sense now; an empty text means that it is to be recorded."""
    what = wish.what
    if what == "wake" and wish.by == QUESTION and row.state == DatasetState.ASLEEP and wish.at < row.wake_not_before:
        return ActionAnswer(False, f"{row.name} could not be woken: {row.reason}")
    there = {
        "sleep": (DatasetState.ASLEEP, DatasetState.SLEEPING),
        "wake": (DatasetState.LIVE, DatasetState.WAKING),
        "roll_back": (),
    }
    if row.state in there[what]:
        return ActionAnswer(True, f"{row.name} is {row.state} already")
    if what == "roll_back" and (answer := _may_roll_back(row, wish)):
        return answer
    if row.requested and row.requested.what == "retry" and what != "roll_back":  # that one cannot wait
        return ActionAnswer(
            False, f"{row.requested.snapshot} is to be released again first: ask again when that is over"
        )
    if DATASET.decide(row.state, what) == Decision.RUN:
        return _to_record(row, wish)
    if row.state == DatasetState.EMPTY:
        return ActionAnswer(False, f"{row.name} has no release yet")
    return ActionAnswer(False, f"{row.name} is {row.state}: ask again when that is over")


def _to_record(row: Dataset, wish: Request) -> ActionAnswer:
    """The wish is taken, and recorded unless it is on record already."""
    return ActionAnswer(True, f"{row.name} will {_verb(wish.what)}" if _same(row, wish) else "")


def _may_roll_back(row: Dataset, wish: Request) -> ActionAnswer | None:
    """During a rollout the candidate is taken back; else the release before must be kept. None: the table says."""
    if row.candidate is not None:
        returned = f"{row.name} goes back to {row.candidate.snapshot} already" if row.candidate.returned_by else ""
        return ActionAnswer(True, returned) if returned else _to_record(row, wish)
    if row.state == DatasetState.LIVE and not row.can_go_back(wish.at):
        gone = f"; the deployment of {row.previous.snapshot} is not kept any more" if row.previous else ""
        return ActionAnswer(False, f"{row.name} is {row.state} and has nothing to go back to{gone}")
    return None


def _verb(what: str) -> str:
    return what.replace("_", " ")


def _withdraws(row: Dataset, wish: Request) -> bool:
    """Whether the wish takes back its opposite, which nothing has been done about yet."""
    opposite = (row.state, row.requested.what if row.requested else "", wish.what)
    return opposite in ((DatasetState.ASLEEP, "wake", "sleep"), (DatasetState.LIVE, "sleep", "wake"))


def _same(row: Dataset, wish: Request) -> bool:
    """Whether the wish is on record and on its way. A person's counts more than the timer's, which is checked again."""
    found = row.requested
    if found is None or (found.what, found.snapshot) != (wish.what, wish.snapshot) or row.attention:
        return False
    return found.by != idle.TIMER or wish.by == idle.TIMER


def _retry_release(services: Services, row: Snapshot, by: str) -> ActionAnswer:
    key = f"dataset/{row.dataset}"
    if services.ledger.read(key).row.attention:
        return _resumed(services, key, by)
    wish = Request(what="retry", by=by, at=services.clock(), snapshot=row.id)
    answer = ActionAnswer(False, "")

    def edit(found: Dataset) -> Dataset:
        nonlocal answer
        answer = _may_retry(found, wish)
        if not answer.done or _same(found, wish):
            return found
        wished: Dataset = found.but(requested=wish, poll_at=wish.at)
        return wished

    services.ledger.change(key, edit)
    if answer.done:
        services.ledger.hint(key)
    return answer


def _may_retry(row: Dataset, wish: Request) -> ActionAnswer:
    """Whether the release of a snapshot may be retried. No other wish is forgotten for it, but the timer's that nothing
    was done about yet."""
    ended, other = row.outcomes.get(wish.snapshot), row.requested
    if ended is None or ended.part not in (ReleaseState.DEPLOY_FAILED, ReleaseState.WITHHELD, ReleaseState.ROLLED_BACK):
        what = f"is {ended.part}" if ended else "has not failed"
        return ActionAnswer(False, f"{wish.snapshot} {what}: there is nothing to retry")
    begun = row.state in (DatasetState.SLEEPING, DatasetState.WAKING)
    if other and (other.by != idle.TIMER or begun) and not _same(row, wish):
        return ActionAnswer(False, f"{row.name} is to {_verb(other.what)} first: ask again when that is over")
    return ActionAnswer(True, f"{wish.snapshot} will be released again")


def _excuse(row: Snapshot, wanted: Iterable[str], by: str) -> dict[str, Any]:
    """What changes in a row that is excused from these checks as well."""
    changes: dict[str, Any] = {"overrides": tuple(sorted({*row.overrides, *wanted}))}
    return {**changes, "overridden_by": by} if Check.GATE in set(wanted) - set(row.overrides) else changes


def _retrain(services: Services, row: Snapshot, by: str, why: str = "", **changes: Any) -> ActionAnswer:
    """A new attempt at the training, if nobody else is at the same content."""
    if holder := services.claims.take_again(row):
        return ActionAnswer(False, f"{holder} is training the same content now")
    return _moved(services, row, "retry", by, why, attempt=row.attempt + 1, blocked=(), **changes)


def _excused(services: Services, row: Snapshot, wanted: set[str], by: str) -> ActionAnswer:
    """Notes what a waiting snapshot is excused from, and has it looked at now."""
    new = ", ".join(sorted(wanted - set(row.overrides)))
    if not new:
        return ActionAnswer(True, f"{row.id} is excused already")
    now = services.clock()

    def edit(found: Snapshot) -> Snapshot:
        if found.state != row.state:
            raise IllegalTransition(f"{row.id} became {found.state} meanwhile")
        noted = _noted(found, f"override by {by}: excused from {new}", now)
        changed: Snapshot = noted.but(**_excuse(found, wanted, by), poll_at=now)
        return changed

    services.ledger.change(row.key, edit)
    services.ledger.hint(row.key)
    return ActionAnswer(True, f"{row.id} goes on, excused from {new}")


def _override_gate(services: Services, row: Snapshot, by: str, what: set[str]) -> ActionAnswer:
    """Releases a withheld snapshot once more; its candidate is asked again, and passes whatever it answers.

    First the override, then the wish: cut off between the two, asking again does the rest.
    """
    if late := sorted(what - {Check.GATE}):
        return ActionAnswer(
            False, f"{row.id} is registered: of what comes later only {Check.GATE} is checked, not {late[0]}"
        )
    dataset: Dataset = services.ledger.dataset(row.dataset).row
    ended = dataset.outcomes.get(row.id)
    if ended is None or ended.part != ReleaseState.WITHHELD:
        return ActionAnswer(False, f"{row.id} was not withheld: there is nothing to override")
    now = services.clock()

    def edit(found: Snapshot) -> Snapshot:
        if Check.GATE in found.overrides:
            return found
        noted = _noted(found, f"override by {by}: released whatever the gate says", now)
        changed: Snapshot = noted.but(**_excuse(found, (Check.GATE,), by))
        return changed

    services.ledger.change(row.key, edit)
    return _retry_release(services, row, by)


def _resumed(services: Services, key: str, by: str) -> ActionAnswer:
    now = services.clock()
    kept = services.ledger.change(
        key,
        lambda r: (
            _noted(r, f"resumed by {by}", now).but(attention=False, fault=None, poll_at=now) if r.attention else r
        ),
    )
    services.ledger.hint(key)
    return ActionAnswer(True, f"{key} goes on from {kept.row.state}")


def _moved(services: Services, row: Snapshot, step: str, by: str, why: str = "", **changes: Any) -> ActionAnswer:
    """Runs a step that a person asks for: it is one write, so there is no act and no intent.

    The wish is about the row as it was read: one that has moved on since, perhaps to the end of another attempt, is
    left alone. Raises IllegalTransition.
    """
    table: LifeCycle = SNAPSHOT
    verdict = table.decide(row.state, step)
    if verdict == Decision.ALREADY_DONE and any(e.reason.startswith(f"{step} by ") for e in row.history):
        return ActionAnswer(True, f"{row.id} is {row.state} already")
    if verdict != Decision.RUN:
        return ActionAnswer(False, f"{row.id} is {row.state}: there is nothing to {step.split('_')[0]}")
    outcome = StepResult(table.step(step).ends[0], f"{step} by {by}{why}")
    now = services.clock()

    def edit(found: Snapshot) -> Snapshot:
        if found.history != row.history:
            raise IllegalTransition(f"{row.id} moved on meanwhile and is {found.state}: ask again")
        entry = HistoryEntry(state=outcome.state, at=now, reason=outcome.reason)
        history = (*found.history, entry)[-HISTORY_KEPT:]
        moved: Snapshot = found.but(state=outcome.state, history=history, poll_at=now, **changes)
        return moved

    services.ledger.change(row.key, edit)
    services.ledger.hint(row.key)
    return ActionAnswer(True, f"{row.id} is {outcome.state} again")


def _noted(row: Any, reason: str, now: float) -> Any:
    return row.but(history=(*row.history, HistoryEntry(state=row.state, at=now, reason=reason))[-HISTORY_KEPT:])
