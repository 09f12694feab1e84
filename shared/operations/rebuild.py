"""A damaged row made anew: of what can still be read of it, of what Azure ML has, and of what its names derive.

Called by `damage.mend`. Nothing is written here, so a repeat gives the same row. A dataset serves again as it did, with
the endpoint and the release that have the traffic; a snapshot is taken from the beginning and finds its job and its
model again under their derived names, so nothing is paid for twice and nothing paid for is left unseen.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from shared import naming
from shared.errors import Damaged, NotFound
from shared.ledger.release import ModelRef, Release
from shared.ledger.rows import Dataset, HistoryEntry, Snapshot
from shared.ledger.states import JOB_ENDED, NEVER_RELEASED, DatasetState, ReleaseState, SnapshotState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.azure.workspace.endpoints import Endpoint
    from shared.azure.workspace.jobs import Job
    from shared.ledger.rows import Row
    from shared.runtime import Services

D, S = DatasetState, SnapshotState
WHY = "its row was damaged and is made anew"
# What a snapshot is, whatever became of it; and what a person decided about it.
_IDENTITY = ("source", "uploaded_at", "files", "options", "passed_over", "note", "overrides", "overridden_by")
_NEEDED = frozenset({"source", "uploaded_at", "files"})
# What no other place knows of a dataset. Its cuts above all: rows that were held out must never be trained on.
_ONLY_HERE = (
    "cut_test", "cut_validation", "endpoint", "endpoint_suffix", "outcomes", "last_asked_at", "newest_registered",
    "machine_time", "pause",
)  # fmt: skip


def salvage(kind: type[Row], data: bytes) -> dict[str, Any]:
    """The fields of a row that can still be read, of a blob that was cut off or has something wrong in it."""
    from pydantic_core import from_json

    try:
        found = from_json(data, allow_inf_nan=False)
    except ValueError:
        try:
            found = from_json(data, allow_inf_nan=False, allow_partial=True)
        except ValueError:
            return {}
        if isinstance(found, dict) and found:
            found.popitem()  # where it was cut off, what is there may be a part only
    read: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if isinstance(found, dict) and field.encode_name in found:
            try:
                read[field.name] = msgspec.convert(found[field.encode_name], field.type)
            except msgspec.ValidationError:
                continue
    return read


def snapshot(services: Services, snapshot_id: str, data: bytes) -> Snapshot | None:
    """A snapshot's row; None when it cannot be told any more which files it was made of.

    One that had not ended starts from the beginning, at the newest attempt that has a job.
    """
    dataset, kept = naming.dataset_of(snapshot_id), salvage(Snapshot, data)
    if not dataset or not kept.keys() >= _NEEDED:
        return None
    now, state = services.clock(), kept.get("state")
    ended = state in NEVER_RELEASED
    fields = kept if ended else {name: kept[name] for name in _IDENTITY if name in kept}
    if not ended:
        fields |= {"state": S.RECEIVED, "attempt": max(_newest_attempt(services, snapshot_id), 1)}
    entry = HistoryEntry(state=fields["state"], at=now, reason=WHY)
    over = {"history": (entry,), "poll_at": now, "fault": None, "attention": False, "acting": False}
    return Snapshot(**{**fields, **over, "id": snapshot_id, "dataset": dataset})


def paid_jobs(services: Services, snapshot_id: str) -> list[str]:
    """The jobs of a snapshot that run, and cost money, by name."""
    jobs = _jobs(services, snapshot_id)
    return [job.name for job in jobs if job.status not in JOB_ENDED]


def _newest_attempt(services: Services, snapshot_id: str) -> int:
    """The newest attempt that has a job. 0: there is none."""
    return sum(1 for _ in _jobs(services, snapshot_id))


def _jobs(services: Services, snapshot_id: str) -> Iterator[Job]:
    """The jobs of a snapshot's attempts, which are counted without a gap, oldest first."""
    for attempt in itertools.count(1):
        job = services.workspace.jobs.get(naming.job(services.installation, snapshot_id, attempt))
        if job is None:
            return
        yield job


def dataset(services: Services, name: str, data: bytes) -> Dataset:
    """A dataset's row. Raises what the workspace raises."""
    kept, now = salvage(Dataset, data), services.clock()
    fields = {field: kept[field] for field in _ONLY_HERE if field in kept}
    fields |= {"name": name, "seed": naming.seed(name), "poll_at": now}
    registered = [row.name for row in services.ledger.list("snapshot", name) if row.state == S.REGISTERED]
    fields["newest_registered"] = max([*registered, fields.get("newest_registered", "")])
    endpoint = _endpoint(services, name, kept.get("endpoint", ""))
    if endpoint is None or not any(endpoint.traffic.values()):
        return _down(fields, kept.get("live"), now)
    return _up(services, fields, endpoint, kept, now)


def _down(fields: dict[str, Any], live: Release | None, now: float) -> Dataset:
    """Nothing has traffic: what was live sleeps, and is woken by a call; without it the newest model is released."""
    state = D.EMPTY if live is None else D.ASLEEP
    entry = HistoryEntry(state=state, at=now, reason=WHY)
    return Dataset(**fields, state=state, live=live.but(failed="") if live else None, history=(entry,))


def _up(services: Services, fields: dict[str, Any], endpoint: Endpoint, kept: dict[str, Any], now: float) -> Dataset:
    """What has most of the traffic is live. What was kept to go back to, by what can be read, is still kept.

    Another deployment of this installation is taken back as a candidate that failed: it is removed after the traffic
    has gone back.
    """
    shares = sorted(endpoint.traffic, key=lambda deployment: -endpoint.traffic[deployment])
    known = [kept[part] for part in ("live", "candidate", "previous") if kept.get(part) is not None]
    by_name = {release.deployment: release for release in known}
    releases = {
        found.name: by_name.get(found.name) or _release(services, found.name, found.tags)
        for found in services.workspace.deployments.list(endpoint.name)
        if found.tags.get(naming.TAG_INSTALLATION) == services.installation and found.tags.get(naming.TAG_SNAPSHOT)
    }
    live = releases.pop(shares[0], None)
    if live is None:  # somebody else's deployment has the traffic
        return _down(fields, kept.get("live"), now)
    previous = kept.get("previous")
    if previous and previous.deployment in releases and not endpoint.traffic.get(previous.deployment):
        fields |= {"previous": releases.pop(previous.deployment), "kept_until": kept.get("kept_until", 0.0)}
    other = next((releases[name] for name in (*shares, *releases) if name in releases), None)
    state = D.LIVE if other is None else D.SHIFTING
    failed = other.but(failed=WHY, failed_as=ReleaseState.DEPLOY_FAILED, returned_by="") if other else None
    fields |= {"endpoint": endpoint.name, "scoring_uri": endpoint.scoring_uri, "traffic": {live.deployment: 100}}
    fields |= {
        "state": state,
        "before_rollout": D.EMPTY if other is None else D.LIVE,
        "live": live,
        "candidate": failed,
    }
    return Dataset(**fields, history=(HistoryEntry(state=state, at=now, reason=WHY),))


def _endpoint(services: Services, dataset: str, named: str) -> Endpoint | None:
    """The endpoint of a dataset, by its tags: the one with traffic, or the one that the row named."""
    ours = {naming.TAG_INSTALLATION: services.installation, naming.TAG_DATASET: dataset}
    found = [e for e in services.workspace.endpoints.list() if ours.items() <= e.tags.items() and e.state != "Deleting"]
    return max(found, key=lambda one: (any(one.traffic.values()), one.name == named), default=None)


def _release(services: Services, deployment: str, tags: dict[str, str]) -> Release:
    """A deployment's release by its tags; its model by the row of its snapshot, or by the names that models have."""
    snapshot_id, attempt = tags[naming.TAG_SNAPSHOT], tags.get(naming.TAG_ATTEMPT, "")
    try:
        row: Snapshot | None = services.ledger.read(f"snapshot/{snapshot_id}").row
    except (NotFound, Damaged):
        row = None
    model = row.model if row is not None else None
    if model is None:
        base = services.settings.base_model
        made = naming.model(base, naming.dataset_of(snapshot_id) or "")
        model = ModelRef(
            name=made, version=naming.model_version(snapshot_id, max(_newest_attempt(services, snapshot_id), 1))
        )
    return Release(
        snapshot=snapshot_id, model=model, deployment=deployment, attempt=int(attempt) if attempt.isdecimal() else 1
    )
