"""What must hold once a history has settled: chaos is over, and what was planned has run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.ledger import month_costs, uptime
from shared.ledger.states import DatasetState, SnapshotState
from shared.operations import deletion as operations_deletion
from shared.operations import orphans, pages, status, sweep
from shared.snapshots import erasing, lost_uploads
from tests.chaos import promises

if TYPE_CHECKING:
    from tests.chaos.world import ChaosWorld

S, D = SnapshotState, DatasetState
_ENDS = {
    S.REJECTED, S.DUPLICATE, S.SUPERSEDED, S.TRAINING_FAILED, S.REGISTER_FAILED, S.REGISTERED, S.CANCELED, S.CLEANED,
}  # fmt: skip
_UNTRAINED = {S.REJECTED, S.DUPLICATE, S.SUPERSEDED}
_RESTS = {D.EMPTY, D.LIVE, D.ASLEEP}


def broken(world: ChaosWorld) -> Iterator[str]:
    """Every promise that is broken now."""
    snapshots = {row.id: row for row in world.rows("snapshot")}
    datasets = {row.name: row for row in world.rows("dataset")}
    for row in snapshots.values():
        yield from _of_snapshot(world, row)
    for row in datasets.values():
        registered = [s.id for s in snapshots.values() if s.dataset == row.name and s.state == S.REGISTERED]
        newest = max(registered, default="")
        yield from _of_dataset(world, row, newest)
    yield from _leftovers(world, datasets)
    yield from _jobs(world, snapshots)
    yield from _drops(world)
    yield from world.topic.broken()
    for name, row in datasets.items():
        yield from _machine_time(world, name, row)
    yield from _deleted(world, datasets)
    yield from world.imports.broken()
    pages.snapshots(world.bare)
    for name in datasets:
        status.dataset(world.bare, name)


def _of_snapshot(world: ChaosWorld, row: Any) -> Iterator[str]:
    waits = bool(row.waiting) and row.poll_at is not None
    if row.state not in _ENDS and not row.attention and not waits:
        yield f"{row.id} is {row.state} and nothing moves it"
    if row.poll_at is not None and row.poll_at < world.clock() - 600:
        yield f"{row.id} is overdue since {world.clock() - row.poll_at:.0f} s"
    if row.requested is not None:
        yield f"{row.id}: the request to {row.requested.what} was neither done nor refused"
    if row.state == S.REGISTERED:
        model = world.workspace.models.made.get((row.model.name, row.model.version)) if row.model else None
        if model is None or model.tags.get(naming.TAG_SNAPSHOT) != row.id:
            yield f"{row.id} is REGISTERED and its model does not exist"


def _of_dataset(world: ChaosWorld, row: Any, newest: str) -> Iterator[str]:
    if row.attention:
        return
    if row.state not in _RESTS:
        yield f"{row.name} is {row.state} and nothing moves it"
        return
    if row.requested:
        yield f"{row.name}: the request to {row.requested.what} of {row.requested.by} was neither done nor refused"
    if row.candidate:
        yield f"{row.name} rests with a candidate"
    if newest and newest not in row.outcomes and not (row.live and row.live.snapshot >= newest):
        yield f"{newest} is registered and was never released"
    if row.state == D.LIVE:
        yield from _of_live(world, row)


def _of_live(world: ChaosWorld, row: Any) -> Iterator[str]:
    endpoint = world.workspace.endpoints.get(row.endpoint)
    if endpoint is None:
        yield f"{row.name} is LIVE without its endpoint"
        return
    if endpoint.traffic != {k: v for k, v in row.traffic.items() if v} or sum(endpoint.traffic.values()) != 100:
        yield f"{row.name} is LIVE with traffic {endpoint.traffic}, on record is {row.traffic}"
    for name in endpoint.traffic:
        found = world.workspace.deployments.get(row.endpoint, name)
        if found is None or found.state != "Succeeded":
            yield f"{row.name} is LIVE with traffic on {name}, which is {found.state if found else 'gone'}"
    if row.comes_due is not None and row.comes_due < world.clock() - 600:
        yield f"{row.name} still keeps {row.previous.deployment} to go back to"
    if not row.live or row.live.deployment not in endpoint.traffic:
        yield f"{row.name} is LIVE and its release has no traffic: {endpoint.traffic}"


def _leftovers(world: ChaosWorld, datasets: dict[str, Any]) -> Iterator[str]:
    """Whatever costs money and no row explains. Without any dataset the ledger explains nothing: then all is left."""
    if not datasets:
        return
    # What Azure would not remove while there was chaos is tried again later than history goes.
    tried = {orphan.name for orphan in orphans.on_record(world.bare).found if orphan.tries}
    for name in sorted({*world.workspace.endpoints.made} - tried):
        row = next((d for d in datasets.values() if d.endpoint == name), None)
        explained = row is not None and (row.attention or row.state == D.LIVE)
        if not explained and world.workspace.endpoints.get(name) is not None:
            yield f"endpoint {name} is left over: {row.state if row else 'no row'}"
    for endpoint, name in sorted(world.workspace.deployments.made):
        if f"{endpoint}/{name}" in tried or endpoint in tried:
            continue
        row = next((d for d in datasets.values() if d.endpoint == endpoint), None)
        if row is None or row.attention or world.workspace.deployments.get(endpoint, name) is None:
            continue
        explained = {r.deployment for r in (row.live, row.previous, row.candidate) if r}
        if name not in explained:
            yield f"deployment {endpoint}/{name} is left over"


def _jobs(world: ChaosWorld, snapshots: dict[str, Any]) -> Iterator[str]:
    """Whatever is trained and no row waits for."""
    for name, made in world.workspace.jobs.made.items():
        row = snapshots.get(made.value.tags[naming.TAG_SNAPSHOT])
        if row is None:
            if world.runs(name):
                yield f"job {name} runs and its snapshot was deleted"
            continue
        if world.runs(name) and not (row.job == name and (row.state == S.TRAINING or row.attention)):
            yield f"job {name} runs and {row.id} is {row.state}"
        if row.state in _UNTRAINED and row.attempt == int(made.value.tags[naming.TAG_ATTEMPT]):
            yield f"job {name} was submitted and {row.id} is {row.state}"


def _machine_time(world: ChaosWorld, dataset: str, row: Any) -> Iterator[str]:
    """What is paid for by the hour is on record once: each job that ended, and all that deployments were up."""
    sweep.sweep(world.bare)
    row = world.row(row.key)
    months = {blob.name.split("/")[1] for blob in world.bare.storage.list("ledger", month_costs.FOLDER)}
    recorded = {time.key: time for month in sorted(months) for time in world.bare.month_costs.times(month, dataset)}
    jobs = Counter(time.name for time in recorded.values() if time.what == "training")
    for snapshot in (one for one in world.rows("snapshot") if one.dataset == dataset):
        if snapshot.state in (S.REGISTERED, S.TRAINED) and jobs[snapshot.job] != 1:
            yield f"{snapshot.id} was trained and its job is {jobs[snapshot.job]} times on record"
    runs = {time.name for time in row.machine_time if not time.ended}
    if up := {release.deployment for release in uptime.running(row)} ^ runs:
        yield f"{dataset} is {row.state} and what is up is not what is counted: {up}"
    ended: dict[str, float] = {}
    for time in sorted((*recorded.values(), *row.machine_time), key=lambda time: time.began):
        if time.what == "endpoint" and time.began < ended.get(time.name, 0.0):
            yield f"the time of {time.name} is counted twice: from {time.began:.0f}, and until {ended[time.name]:.0f}"
        ended[time.name] = time.ended or world.clock()


def _deleted(world: ChaosWorld, datasets: dict[str, Any]) -> Iterator[str]:
    """Nothing is left of a dataset that was deleted, but for what was dropped, its models and the record of it."""
    for name, deletion in world.bare.ledger.deletions.all().items():
        row = datasets.get(name)
        if row and row.state == D.DELETING:  # it waits for a person
            continue
        if deletion.ended_at is None:
            yield f"the end of {name} was not put on record"
        if row is None:
            tagged = [
                e for e in world.workspace.endpoints.made.values() if e.value.tags.get(naming.TAG_DATASET) == name
            ]
            yield from (f"{name} was deleted and {e.value.name} is there" for e in tagged if _is_there(world, e))
        if deletion.settled:
            yield from _remains(world, deletion)


def _is_there(world: ChaosWorld, made: Any) -> bool:
    return world.workspace.endpoints.get(made.value.name) is not None


def _remains(world: ChaosWorld, deletion: Any) -> Iterator[str]:
    for (container, name), stored in world.storage.blobs.items():
        snapshot = erasing.snapshot_of(name.removeprefix("open/").rpartition("/")[2] if container == "ledger" else name)
        mine = naming.dataset_of(snapshot) == deletion.dataset
        if container != "snapshots" and mine and deletion.fate(naming.uploaded_at(snapshot)) != "kept":
            yield f"{deletion.dataset} was deleted and {container}/{name} is there"
        if (
            container == "ledger"
            and name.startswith("claims/")
            and promises.owner_of(container, name, stored.data) == (deletion.dataset)
        ):
            holder = json.loads(stored.data)["snapshot"]
            if deletion.fate(naming.uploaded_at(holder)) != "kept":
                yield f"{deletion.dataset} was deleted and {name} of {holder} is there"
    listed = world.bare.ledger.index.cards()
    for snapshot in listed:
        if naming.dataset_of(snapshot) == deletion.dataset and deletion.fate(naming.uploaded_at(snapshot)) != "kept":
            yield f"{deletion.dataset} was deleted and the index has {snapshot}"
    if deletion.with_files:
        for blob in operations_deletion.dropped(world.bare, deletion.dataset):
            if deletion.fate(blob.uploaded_at) == "deleted":
                yield f"{deletion.dataset} was deleted with {blob.name}, which is there"


def _drops(world: ChaosWorld) -> Iterator[str]:
    """Every drop that is still there has a row or a refusal."""
    for blob in lost_uploads.missed_uploads(world.bare):
        yield f"{blob.name} was dropped and has neither a row nor a refusal"
