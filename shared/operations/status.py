"""What people see: snapshots and datasets as JSON. Called by the HTTP status functions.

A snapshot's state is its own, and from REGISTERED on the part it plays in its dataset: one place to look.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any

import msgspec

from shared.errors import DENIED, AccessDenied, Damaged, NotFound, PipelineError
from shared.ledger.parts import parts
from shared.ledger.rows import Check, Dataset, Row, Snapshot
from shared.ledger.states import ReleaseState, SnapshotState
from shared.operations import access, backlog, damage
from shared.operations.times import shown_if_known, shown_time
from shared.releases import outcomes
from shared.snapshots import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.ledger.release import Release, ReleaseOutcome
    from shared.ledger.rows import HistoryEntry
    from shared.runtime import Services

# What is shown as the state of a row that cannot be read.
DAMAGED = "DAMAGED"
_COUNT_SECONDS = 60.0
_PROBLEMS: weakref.WeakKeyDictionary[Any, tuple[float, dict[str, Any]]] = weakref.WeakKeyDictionary()
REFUSED_LIMIT = 50


def visible_state(snapshot: Snapshot, dataset: Dataset | None) -> tuple[str, str]:
    """A snapshot's state as people see it, and the reason for it."""
    if snapshot.state != SnapshotState.REGISTERED or dataset is None:
        return snapshot.state.value, snapshot.reason or snapshot.waiting
    if part := parts(dataset).get(snapshot.id):
        return part.state, part.reason
    ended = dataset.outcome_of(snapshot)
    if ended:
        return ended.state.value, ended.reason
    newest = dataset.newest_released
    if newest > snapshot.id:
        return ReleaseState.SUPERSEDED.value, f"{newest} is newer and had its turn first"
    if dataset.pause and dataset.newest_registered == snapshot.id:
        return snapshot.state.value, f"{dataset.name} is {dataset.pause}: it is released when that is over"
    if dataset.waiting and dataset.next_release == snapshot.id:
        return snapshot.state.value, dataset.waiting
    return snapshot.state.value, snapshot.reason


def snapshot(services: Services, snapshot_id: str) -> dict[str, Any]:
    """Everything about one snapshot. Raises NotFound."""
    row: Snapshot = services.ledger.read(f"snapshot/{snapshot_id}").row
    return of_snapshot(services, row, dataset_of(services, row))


def of_snapshot(services: Services, row: Snapshot, dataset: Dataset | None) -> dict[str, Any]:
    """The same of its row and that of its dataset."""
    ended = dataset.outcome_of(row) if dataset else row.outcome
    return _snapshot(row, dataset, outcomes.details(services, row.id, ended) if ended else None)


def damaged(blobs: Iterable[damage.DamagedBlob]) -> list[dict[str, Any]]:
    """The blobs of the ledger that cannot be read, as people see them."""
    return [{"blob": d.blob, "why": d.why, "since": shown_time(d.since)} for d in blobs]


def not_allowed(services: Services) -> list[dict[str, Any]]:
    """What the app's identity may not do, with the role that is missing, as far as the last sweep knows."""
    try:
        found = access.on_record(services).problems
    except Damaged:  # told as damaged
        return []
    return [{"text": problem.text, "since": shown_time(problem.since)} for problem in found]


def notifications(services: Services) -> dict[str, Any] | None:
    """The notices that a channel has not taken yet, with what is wrong with it; None where all is told."""
    try:
        return backlog.shown(services)
    except Damaged:  # told as damaged
        return None


def problems(services: Services) -> dict[str, Any]:
    """What health says is wrong: how many blobs are damaged, which roles are missing where, and how many notices wait
    since when; empty if nothing is.

    Anybody may ask: no name of a thing of this installation is in it. It is read once a minute in each process; nothing
    is known while storage does not answer.
    """
    now = time.monotonic()
    known = _PROBLEMS.get(services.ledger)
    if known is None or known[0] < now - _COUNT_SECONDS:
        try:
            damaged_blobs, missing = len(damage.on_record(services)), not_allowed(services)
            untold = notifications(services)
        except PipelineError:
            damaged_blobs, missing, untold = 0, [], None
        # Behind the name of what was asked for.
        texts = sorted({DENIED + problem["text"].partition(DENIED)[2] for problem in missing})
        waiting = {name: untold[name] for name in ("waiting", "oldest", "dropped")} if untold else {}
        found = {"damaged_blobs": damaged_blobs, "missing_roles": texts, "notifications": waiting}
        known = _PROBLEMS[services.ledger] = (now, {name: value for name, value in found.items() if value})
    return known[1]


def refused(services: Services, dataset: str = "", limit: int = REFUSED_LIMIT) -> list[dict[str, Any]]:
    """The newest uploads that are no snapshot, newest first, each with the reason and the right form.

    With a dataset: those that may have been meant for it.
    """
    found = refusals.newest(services, limit, dataset)
    return [{"path": r.path, "reason": r.reason, "at": shown_time(r.at)} for r in found]


def dataset(services: Services, name: str) -> dict[str, Any]:
    """Everything about one dataset. Raises NotFound."""
    return of_dataset(services.ledger.read(f"dataset/{name}").row)


def of_dataset(row: Dataset) -> dict[str, Any]:
    """The same of its row."""
    return {
        "name": row.name,
        "state": row.state.value,
        "reason": row.reason,
        "since": shown_time(row.since),
        "endpoint": row.endpoint or None,
        "traffic": dict(row.traffic),
        "live": _plain(row.live),
        "candidate": _plain(row.candidate),
        "previous": _plain(row.previous),
        "kept_until": shown_time(row.kept_until) if row.comes_due is not None else None,
        "requested": _plain(row.requested),
        "paused": _plain(row.pause),
        "last_asked_at": shown_if_known(row.last_asked_at),
        "wake_not_before": shown_time(row.wake_not_before) if row.wake_failures else None,
        "outcomes": {name: _outcome(ended) for name, ended in row.outcomes.items()},
        "releases": _releases(row),
        **_common(row),
    }


def _snapshot(row: Snapshot, dataset: Dataset | None, ended: ReleaseOutcome | None) -> dict[str, Any]:
    state, reason = visible_state(row, dataset)
    deployment = _deployment(row, dataset)
    return {
        "id": row.id,
        "dataset": row.dataset,
        "state": state,
        "reason": reason,
        "source": row.source,
        "uploaded_at": shown_time(row.uploaded_at),
        "files": [{"path": f.path, "bytes": f.size, "split": f.split} for f in row.files],
        "passed_over": list(row.passed_over),
        "attempt": row.attempt,
        "note": row.note or None,
        "report": _plain(row.report),
        "rows": row.counts,
        "estimate": _plain(row.estimate),
        "duplicate_of": row.duplicate_of or None,
        "blocked": [Check.GATE.value] if state == ReleaseState.WITHHELD else list(row.blocked),
        "overrides": list(row.overrides),
        "unchecked": list(row.unchecked),
        "base_model": _plain(row.base_model),
        "component": row.component or None,
        "hyperparameters": row.hyperparameters,
        "job": {"name": row.job, "status": row.job_status, "studio_url": row.studio_url} if row.job else None,
        "model": _plain(row.model),
        "deployment": deployment,
        "gate": _gate(row, dataset, ended),
        "stages": _stages(row, dataset, ended),
        **_common(row),
        "waiting": _waiting(row) or _release_waiting(row, dataset) or None,
    }


def _common(row: Row) -> dict[str, Any]:
    return {
        "history": [_entry(entry) for entry in row.history],
        "next_look_at": shown_time(row.poll_at) if row.poll_at is not None else None,
        "fault": _plain(row.fault),
        "waiting": _waiting(row) or None,
        "needs_attention": row.attention,
    }


def _waiting(row: Row) -> str:
    """What a row waits for: for a role too, which somebody has to give."""
    fault = row.fault
    return row.waiting or (fault.message if fault is not None and fault.type == AccessDenied.__name__ else "")


def _release_waiting(row: Snapshot, dataset: Dataset | None) -> str:
    """What the dataset waits for, if this snapshot's release is the one that is next or under way."""
    if dataset is None:
        return ""
    tried = dataset.candidate is not None and dataset.candidate.snapshot == row.id
    return _waiting(dataset) if tried or dataset.next_release == row.id else ""


def _deployment(row: Snapshot, dataset: Dataset | None) -> dict[str, Any] | None:
    for release in (dataset.candidate, dataset.live, dataset.previous) if dataset else ():
        if release and release.snapshot == row.id and release.deployment and dataset:
            traffic = dataset.traffic.get(release.deployment, 0)
            named = {"endpoint": dataset.endpoint, "name": release.deployment, "traffic": traffic}
            return {**named, "api": release.api or None}
    return None


def _gate(row: Snapshot, dataset: Dataset | None, ended: ReleaseOutcome | None) -> Any:
    """What the gate said of the snapshot's last release, if it has been judged."""
    release = _release(row, dataset)
    return _plain(release.gate if release and release.gate else (ended.gate if ended else None))


def _stages(row: Snapshot, dataset: Dataset | None, ended: ReleaseOutcome | None) -> Any:
    """The stages of its last release's traffic, with their numbers."""
    release = _release(row, dataset)
    return [_plain(stage) for stage in (release.stages if release else (ended.stages if ended else ()))]


def _release(row: Snapshot, dataset: Dataset | None) -> Release | None:
    """The snapshot's release, while the dataset's row has it."""
    releases = (dataset.candidate, dataset.live, dataset.previous) if dataset else ()
    return next((release for release in releases if release and release.snapshot == row.id), None)


def dataset_of(services: Services, snapshot: Snapshot) -> Dataset | None:
    """The row of a snapshot's dataset; None where there is none, or none that can be read."""
    try:
        row: Dataset = services.ledger.read(f"dataset/{snapshot.dataset}").row
    except (NotFound, Damaged):
        return None
    return row


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    return {"state": entry.state, "at": shown_time(entry.at), "reason": entry.reason}


def _releases(row: Dataset) -> list[dict[str, Any]]:
    """What is live, the candidate, and how the releases before ended: each once, the newest snapshot first."""
    there = {
        name: {"state": part.state, "at": shown_time(part.at), "reason": part.reason}
        for name, part in parts(row).items()
    }
    found = {name: _outcome(ended) for name, ended in row.outcomes.items()} | there
    return [{"snapshot": name, **found[name]} for name in sorted(found, reverse=True)]


def _outcome(outcome: ReleaseOutcome) -> dict[str, Any]:
    """How a release ended, in brief: the snapshot has its gate and its stages."""
    return {"state": outcome.state.value, "at": shown_time(outcome.at), "reason": outcome.reason}


def _plain(value: Any) -> Any:
    return None if value is None else msgspec.to_builtins(value)
