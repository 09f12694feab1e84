"""What must hold at every write, whatever happened before. What must hold in the end is in `endings`.

A broken promise is kept in `broken`, not raised: the app may catch what is raised into it. Truths come from the
services and from what was dropped, never from the app's own account of itself.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from shared import naming
from shared.azure.workspace.jobs import JobSpec
from shared.ledger import listed, states
from shared.ledger.rows import HISTORY_KEPT, Check, Dataset, Snapshot
from shared.ledger.store import decode
from shared.operations import rebuild
from shared.snapshots import erasing, refusals
from tests.chaos import leftovers
from tests.chaos.contents import rows_of
from tests.fake_storage import _Stored

# A fault of one of these kinds is a defect of the app, whatever the services did.
_DEFECTS = {
    "AssertionError", "AttributeError", "IllegalTransition", "IndexError", "KeyError", "LedgerConflict", "TypeError",
    "NotFound", "ValueError",
}  # fmt: skip
_S = states.SnapshotState
_TRAINS_NOTHING = {_S.REJECTED, _S.DUPLICATE, _S.SUPERSEDED, _S.TRAINING_FAILED, _S.CANCELED, _S.CLEANING, _S.CLEANED}
# Changes that begin another attempt.
_NEW_ATTEMPT = {
    (_S.TRAINING_FAILED, _S.VALIDATED),
    (_S.REGISTER_FAILED, _S.TRAINED),
    (_S.CANCELED, _S.RECEIVED),
    (_S.CANCELED, _S.TRAINED),
}
# States that are entered because somebody asked for them, and what was asked.
_ON_REQUEST = {states.DatasetState.SLEEPING: "sleep", states.DatasetState.WAKING: "wake"}
# What nobody can still be waiting for in a state: it is so already, or cannot be any more.
_ANSWERED = {
    ("wake", states.DatasetState.LIVE), ("wake", states.DatasetState.EMPTY),
    ("sleep", states.DatasetState.ASLEEP), ("sleep", states.DatasetState.EMPTY),
    ("roll_back", states.DatasetState.ASLEEP), ("roll_back", states.DatasetState.EMPTY),
}  # fmt: skip
_SECRET = b"key-of-"
# A place for a job is taken up to an hour before it is submitted, and is counted from then on.
_WITHIN_A_DAY = 86_400.0 - 2 * 3600.0


def owner_of(container: str, name: str, data: bytes) -> str:
    """The dataset that a blob belongs to, or nothing."""
    if container == "snapshots":
        return refusals.owner_of(name)
    if container != "ledger":
        return naming.dataset_of(erasing.snapshot_of(name)) or ""
    if name.startswith("_refused/"):
        return refusals.owner_of(json.loads(data)["path"])
    if name.startswith("claims/"):
        return naming.dataset_of(json.loads(data)["snapshot"]) or ""
    parts = name.removeprefix("_set_aside/").split("/")
    return parts[1] if parts[0] in ("snapshots", "open") else parts[-1].removesuffix(".json")


def _is_row(name: str) -> bool:
    key = f"{name.split('/', 1)[0].removesuffix('s')}/{name.rsplit('/', 1)[-1].removesuffix('.json')}"
    return name.startswith(("snapshots/", "datasets/")) and listed.key_of(key.split("/")[0], name) == key


class Promises:
    """The watcher of one history."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.world: Any = None
        self.passed: set[str] = set()
        self.dropped: dict[str, frozenset[str]] = {}
        self.jobs: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.begun: dict[str, float] = {}
        self.contents: dict[tuple[str, ...], list[str]] = defaultdict(list)
        self.versions: dict[str, set[str]] = defaultdict(set)

    def require(self, holds: bool, promise: str) -> None:
        """Notes a broken promise."""
        if not holds:
            self.broken.append(promise)

    # --- storage ---

    def blob_written(self, container: str, name: str, old: _Stored | None, new: _Stored) -> None:
        self.require(_SECRET not in new.data, f"a key of an endpoint is stored in {container}/{name}")
        if container == "ledger" and name.startswith("_refused/") and old is None:
            self._refused(json.loads(new.data)["path"])
            if self.world.told:
                self.world.topic.refused(name.removeprefix("_refused/").removesuffix(".json"))
        if container == "ledger" and name.startswith("imports/"):
            self.world.imports.written(name, old.data if old else None, new.data)
        if container == "snapshots" and new.etag not in self.dropped and self.world.stage.current() is not None:
            self.dropped[new.etag] = rows_of(new.data)  # a part of an import
            self.world.tell(f"upload {name}")
        if container == "ledger" and _is_row(name):
            kind, short = name.split("/", 1)[0].removesuffix("s"), name.rsplit("/", 1)[-1].removesuffix(".json")
            key = f"{kind}/{short}"
            self._row_written(key, decode(key, old.data) if old else None, decode(key, new.data), new.metadata)

    def blob_deleted(self, container: str, name: str, old: _Stored | None) -> None:
        """Whoever deletes a dataset touches nothing of another one."""
        actor = self.world.stage.current()
        key = actor.name.rpartition(" ")[2].removesuffix("?") if actor else ""
        rows = [row for row in self.world.rows("dataset") if row.key == key and row.state == "DELETING"]
        if rows and old is not None:
            owner = owner_of(container, name, old.data)
            self.require(owner in ("", rows[0].name), f"{container}/{name} is deleted with {rows[0].name}")

    def _refused(self, path: str) -> None:
        """What is refused has no row, or got it after whoever refuses it began to look."""
        stored, actor = self.world.storage.blobs.get(("snapshots", path)), self.world.stage.current()
        before = actor.began_at if actor else self.world.clock()
        rows = [row for row in self.world.rows("snapshot") if row.source == path and row.history[0].at < before]
        # By the id, not by the time: of two uploads in one second one may have a row and the other be refused.
        has_row = stored is not None and any(
            row.id == naming.snapshot_id(row.dataset, stored.uploaded_at, f"snapshots/{path}", stored.etag)
            for row in rows
        )
        self.require(not has_row, f"{path} is refused and has a row")

    def _row_written(self, key: str, old: Any, new: Any, metadata: Mapping[str, str]) -> None:
        table = states.SNAPSHOT if key.startswith("snapshot/") else states.DATASET
        before = old.state if old else (None if table is states.SNAPSHOT else states.DatasetState.EMPTY)
        anew = old is None and new.reason == rebuild.WHY  # it begins where Azure ML says that it was
        self.require(
            anew or table.allows(before, new.state), f"{key}: {before} -> {new.state} is in no row of the table"
        )
        self.require(
            dict(metadata) == listed.metadata(new), f"{key}: metadata {metadata} does not tell what the row tells"
        )
        if old:
            self._history_grew(key, old, new)
        if new.fault:
            self.require(new.fault.type not in _DEFECTS, f"{key}: {new.fault.step} met {new.fault.type}: {new.fault}")
        if new.attention:
            self.require(new.fault is not None, f"{key} waits for a person, who is not told why")
        self.broken += leftovers.in_snapshot(new) if isinstance(new, Snapshot) else leftovers.in_dataset(new)
        if self.world.told:
            self.world.topic.written(old, new)
        if isinstance(new, Snapshot):
            self._snapshot_written(old, new)
        else:
            self._dataset_written(old, new)

    def _history_grew(self, key: str, old: Any, new: Any) -> None:
        kept = new.history[: len(old.history)] == old.history
        full = (
            len(new.history) == HISTORY_KEPT and new.history[: HISTORY_KEPT - 5] == old.history[-(HISTORY_KEPT - 5) :]
        )
        self.require(kept or full or len(old.history) == HISTORY_KEPT, f"{key}: its history was rewritten")
        changed = old.state != new.state
        self.require(not changed or new.history[-1].state == new.state, f"{key}: {new.state} is not in its history")

    def _snapshot_written(self, old: Snapshot | None, new: Snapshot) -> None:
        if old is None:
            self.world.imports.arrived(new)
            return
        self.require(new.files == old.files, f"{new.id}: its files are not those that were pinned")
        again = (old.state, new.state) in _NEW_ATTEMPT
        self.require(new.attempt >= old.attempt + again, f"{new.id}: attempt {old.attempt} -> {new.attempt}")
        if new.state == states.SnapshotState.DUPLICATE and old.state != new.state:
            self._trained_by_another(new)
        if new.state == states.SnapshotState.SUPERSEDED and old.state == states.SnapshotState.VALIDATED:
            newer = new.reason.removesuffix(" is newer")
            self.require(newer > new.id, f"{new.id} is superseded by {newer!r}, which is not newer")

    def _trained_by_another(self, row: Snapshot) -> None:
        """A duplicate's twin trains, has trained, or has ended only after the duplicate was looked at."""
        twin = next((one for one in self.world.rows("snapshot") if one.id == row.duplicate_of), None)
        if twin is None:  # it was deleted
            return
        ended = twin.state in _TRAINS_NOTHING and twin.since < row.history[-2].at
        self.require(not ended, f"{row.id} is a DUPLICATE of {twin.id}, which is {twin.state}")

    def _dataset_written(self, old: Dataset | None, new: Dataset) -> None:
        if new.state == states.DatasetState.SHIFTING and new.candidate and old and old.state != new.state:
            quality = self.world.workspace.quality(new.candidate.snapshot)
            overridden = "gate" in self.world.row(f"snapshot/{new.candidate.snapshot}").overrides
            self.require(
                quality != "bad" or overridden, f"{new.candidate.snapshot} passed the gate without ever answering"
            )
            self.passed.add(new.candidate.deployment)
        if old and old.pause and old.state != new.state == states.DatasetState.DEPLOYING:
            retried = old.requested is not None and old.requested.what == "retry"
            self.require(retried, f"{new.name} is paused and begins a release")
        for release in (new.candidate, new.live):
            healthy = any(stage.verdict == "healthy" for stage in release.stages) if release else False
            if release and healthy and not release.failed:
                serves = self.world.workspace.serves(release.deployment)
                self.require(serves == "well", f"{release.snapshot} is healthy on record, and serves {serves}")
        if new.state == states.DatasetState.LIVE:
            self.require(new.live is not None, f"{new.name} is LIVE without a release")
        if new.requested:
            stale = (new.requested.what, new.state) in _ANSWERED
            self.require(not stale, f"{new.name} is {new.state}, and a request to {new.requested.what} outlives that")
        if old and old.state != new.state and new.state in _ON_REQUEST:
            asked = new.requested.what if new.requested else "nothing"
            self.require(asked == _ON_REQUEST[new.state], f"{new.name} is {new.state}, asked for is {asked}")
        if old and old.requested and old.requested.what == "retry" and new.requested != old.requested:
            known = new.state in (states.DatasetState.DEPLOYING, states.DatasetState.DELETING) or (
                new.requested and new.requested.what == "roll_back"
            )
            self.require(bool(known), f"{new.name}: the request to retry is gone in {new.state}")

    # --- workspace ---

    def submitted(self, spec: JobSpec) -> None:
        """A job comes into being."""
        self._under_lease(spec.tags[naming.TAG_SNAPSHOT], spec.name)
        snapshot, attempt = spec.tags[naming.TAG_SNAPSHOT], spec.tags[naming.TAG_ATTEMPT]
        self.jobs[snapshot, attempt].add(spec.name)
        names = self.jobs[snapshot, attempt]
        self.require(len(names) == 1, f"attempt {attempt} of {snapshot} has more than one job: {sorted(names)}")
        self._trains_what_was_dropped(snapshot, spec)
        row = self.world.row(f"snapshot/{snapshot}")
        actor = self.world.stage.current()
        pauses = [one.pause for one in self.world.rows("dataset") if one.name == row.dataset and one.pause]
        paused = any(actor is None or pause.at < actor.began_at for pause in pauses)
        self.require(not paused, f"{spec.name} is submitted although {row.dataset} is paused")
        self._within_limits(row, spec.name)
        content = (row.dataset, row.digest, spec.model_id, spec.component, str(sorted(row.hyperparameters.items())))
        kept = {other.id for other in self.world.rows("snapshot")}
        at_work = [
            job
            for job in self.contents[content]
            if self.world.counts_as_training(job) and self.world.snapshot_of(job) in kept
        ]
        if "duplicate" not in row.overrides:
            self.require(not at_work, f"the content of {snapshot} is trained by {at_work} already")
        self.contents[content].append(spec.name)

    def _within_limits(self, row: Snapshot, job: str) -> None:
        """What may be spent is not exceeded, but for what a person excused."""
        given, now = self.world.settings, self.world.clock()
        others = [name for name in self.begun if self.world.runs(name)]
        own = [name for name in others if f"-{row.dataset}-2" in name]
        today = [name for name, at in self.begun.items() if at > now - _WITHIN_A_DAY]
        self.begun[job] = now
        if Check.CONCURRENT_RUNS not in row.overrides:
            self.require(len(others) < given.max_runs, f"{job} runs beside {others}, allowed are {given.max_runs}")
            self.require(len(own) < given.max_runs_per_dataset, f"{job} runs beside {own} of its dataset")
        if Check.DAILY_RUNS not in row.overrides:
            self.require(len(today) < given.max_runs_per_day, f"{job} is begun after {today} within a day")

    def _trains_what_was_dropped(self, snapshot: str, spec: JobSpec) -> None:
        row = self.world.row(f"snapshot/{snapshot}")
        wanted = frozenset[str]().union(*(self.dropped.get(file.etag, frozenset()) for file in row.files))
        found: frozenset[str] = frozenset()
        for path in spec.files.values():
            name = path.split("/paths/", 1)[-1]
            blob = self.world.storage.blobs.get(("frozen", name))
            self.require(blob is not None, f"{spec.name} is to train on {name}, which does not exist")
            rows = rows_of(blob.data) if blob else frozenset[str]()
            self.require(not (found & rows), f"{snapshot}: rows are in two splits")
            found |= rows
        self.require(found == wanted, f"{snapshot}: {len(found)} rows are trained on, {len(wanted)} were dropped")

    def _under_lease(self, lock: str, what: str) -> None:
        """Who writes to Azure ML holds the row's lease, and nobody else does."""
        actor, lease = self.world.stage.current(), self.world.storage.held.get(lock)
        holds = actor is None or (lease is not None and lease.holder is actor)
        self.require(holds, f"{what} is written by one who does not hold the lease of {lock}")

    def registered(self, name: str, version: str, job: str) -> None:
        """A model version comes into being."""
        self.versions[job].add(f"{name}:{version}")
        self.require(len(self.versions[job]) == 1, f"{job} is registered more than once: {sorted(self.versions[job])}")

    def endpoint_removed(self, endpoint: str) -> None:
        """An endpoint is removed."""
        rows = [row for row in self.world.rows("dataset") if row.endpoint == endpoint]
        for row in rows:
            self._under_lease(row.name, endpoint)
        self.require(not any(row.state == "LIVE" for row in rows), f"{endpoint} is removed while its dataset is LIVE")

    def traffic_written(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        """Traffic is set."""
        for row in self.world.rows("dataset"):
            if row.endpoint == endpoint:
                self._under_lease(row.name, endpoint)
        for deployment, share in traffic.items():
            self.require(
                not share or deployment in self.passed, f"{endpoint}: {share} % to {deployment}, which passed no gate"
            )
