"""In-memory Storage, Workspace, Metrics and Scorer, on one clock that the test moves, in a process that can be killed.

They promise what the real ones promise; `tests/contracts` runs the same tests over both. A `World` holds them together
with the queue, delivers what is due and moves the clock on.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared import scoring
from shared.clients import Parts
from shared.errors import Held, LedgerConflict, Refused, ServiceBusy, Unknown
from shared.records import (
    BaseModel,
    Compute,
    Deployment,
    DeploymentSpec,
    Endpoint,
    Job,
    JobSpec,
    RegisteredModel,
    Size,
)
from shared.settings import Settings
from shared.storage import LEASE_SECONDS, READ_BLOCK, Blob

GPU = "Standard_NC24ads_A100_v4"
START = 1_790_000_000.0


class Killed(BaseException):
    """The process was killed at this call: nothing after it happens, not even clean-up."""


@dataclass
class Process:
    """Counts the calls that leave the process, and dies at a chosen one: `before` or after it took effect."""

    die_at: int = -1
    before: bool = True
    calls: int = 0
    alive: bool = True

    def call[T](self, act: Callable[[], T]) -> T:
        """One call to the outside."""
        if not self.alive:
            raise Killed
        self.calls += 1
        dies = self.calls == self.die_at
        if dies and self.before:
            self.alive = False
            raise Killed
        done = act()
        if dies:
            self.alive = False
            raise Killed
        return done


@dataclass
class Clock:
    """Seconds since 1970, moved by the test."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class _Stored:
    data: bytes
    etag: str
    uploaded_at: float
    metadata: dict[str, str]


class _Lease:
    def __init__(self, storage: FakeStorage, name: str, number: int) -> None:
        self._storage, self._name, self._number = storage, name, number

    def check(self) -> None:
        if self._storage.leases.get(self._name, (0, 0.0))[0] != self._number:
            raise Held("the lease was lost while the step ran")

    def release(self) -> None:
        def act() -> None:
            if self._storage.leases.get(self._name, (0, 0.0))[0] == self._number:
                del self._storage.leases[self._name]

        self._storage.process.call(act)


class _Version(io.RawIOBase):
    """Random access to one version of a blob, which is looked for at each read."""

    def __init__(self, current: Callable[[], bytes]) -> None:
        self._current, self._at = current, 0
        self._size = len(current())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size:
            return 0
        found = self._current()[self._at : self._at + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


class FakeStorage:
    """Blobs with ETags, leases that run out, uncommitted blocks and a queue with delays."""

    address = "https://fake.blob.local/ledger"

    def __init__(self, clock: Clock, process: Process) -> None:
        self.clock, self.process = clock, process
        self.blobs: dict[tuple[str, str], _Stored] = {}
        self.staged: dict[tuple[str, str], dict[str, bytes]] = {}
        self.leases: dict[str, tuple[int, float]] = {}
        self.messages: list[tuple[float, int, str]] = []
        self._count = 0

    def prepare(self) -> None:
        """Nothing to prepare."""

    def read(self, container: str, name: str) -> tuple[bytes, str]:
        return self.process.call(lambda: (self._get(container, name).data, self._get(container, name).etag))

    def look(self, container: str, name: str) -> Blob:
        return self.process.call(lambda: self._seen(name, self._get(container, name)))

    def create(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        def act() -> str:
            if (container, name) in self.blobs:
                raise LedgerConflict(f"{container}/{name} exists")
            return self._set(container, name, data, metadata)

        return self.process.call(act)

    def replace(
        self, container: str, name: str, data: bytes, etag: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        def act() -> str:
            stored = self.blobs.get((container, name))
            if stored is None or stored.etag != etag:
                raise LedgerConflict(f"{container}/{name} changed")
            return self._set(container, name, data, metadata)

        return self.process.call(act)

    def put(self, container: str, name: str, data: bytes) -> str:
        return self.process.call(lambda: self._set(container, name, data, None))

    def delete(self, container: str, name: str) -> None:
        self.process.call(lambda: self.blobs.pop((container, name), None))

    def list(self, container: str, prefix: str = "") -> Iterator[Blob]:
        found = self.process.call(
            lambda: [
                self._seen(n, s) for (c, n), s in sorted(self.blobs.items()) if c == container and n.startswith(prefix)
            ]
        )
        return iter(found)

    def open(self, container: str, name: str, etag: str) -> io.BufferedReader:
        def current() -> bytes:
            stored = self._get(container, name)
            if stored.etag != etag:
                raise LedgerConflict(f"{container}/{name} was overwritten")
            return stored.data

        return self.process.call(lambda: io.BufferedReader(_Version(current), READ_BLOCK))

    def stage(self, container: str, name: str, block: str, data: bytes) -> None:
        self.process.call(lambda: self.staged.setdefault((container, name), {}).update({block: data}))

    def commit(self, container: str, name: str, blocks: Iterable[str]) -> None:
        def act() -> None:
            staged = self.staged.pop((container, name), {})
            wanted = list(blocks)
            if any(block not in staged for block in wanted):
                if (container, name) not in self.blobs:
                    raise KeyError("InvalidBlockList")
                return
            self._set(container, name, b"".join(staged[block] for block in wanted), None)

        self.process.call(act)

    def hold(self, name: str) -> _Lease:
        def act() -> _Lease:
            _, until = self.leases.get(name, (0, 0.0))
            if until > self.clock():
                raise Held(f"{name} is held by another worker")
            self._count += 1
            self.leases[name] = (self._count, self.clock() + LEASE_SECONDS)
            return _Lease(self, name, self._count)

        return self.process.call(act)

    def send(self, message: str, delay: float = 0) -> None:
        def act() -> None:
            self._count += 1
            self.messages.append((self.clock() + max(0.0, delay), self._count, message))

        self.process.call(act)

    def _get(self, container: str, name: str) -> _Stored:
        if (container, name) not in self.blobs:
            raise Unknown(f"nothing is stored at {container}/{name}")
        return self.blobs[container, name]

    def _set(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None) -> str:
        self._count += 1
        stored = _Stored(data, f"0x{self._count:08X}", float(int(self.clock())), dict(metadata or {}))
        self.blobs[container, name] = stored
        return stored.etag

    def _seen(self, name: str, stored: _Stored) -> Blob:
        return Blob(name, stored.etag, len(stored.data), stored.uploaded_at, metadata=stored.metadata)


@dataclass
class _Made:
    value: Any
    ready_at: float
    deleted_at: float | None = None


class FakeWorkspace:
    """Azure ML reduced to what the app may rely on. Things take `pace` seconds; `outcome` says how they end."""

    def __init__(self, clock: Clock, process: Process) -> None:
        self.clock, self.process = clock, process
        self.pace = 90.0
        self.jobs: dict[str, _Made] = {}
        self.models: dict[tuple[str, str], RegisteredModel] = {}
        self.endpoints: dict[str, _Made] = {}
        self.deployments: dict[tuple[str, str], _Made] = {}
        self.clusters: dict[str, Compute] = {}
        self.job_outcome: Callable[[str], str] = lambda name: "Completed"
        self.deployment_outcome: Callable[[str], str] = lambda name: "Succeeded"
        self.archived = False
        self.submitted: list[str] = []
        self.registered: list[str] = []
        self.created_endpoints: list[str] = []
        self.created_deployments: list[str] = []
        self.busy: int = 0

    def _call[T](self, act: Callable[[], T]) -> T:
        def guarded() -> T:
            if self.busy > 0:
                self.busy -= 1
                raise ServiceBusy("HTTP 503")
            return act()

        return self.process.call(guarded)

    def base_model(self, name: str, version: str) -> BaseModel | None:
        tags = {
            "finetune_compute_allow_list": f"['{GPU}']",
            "inference_compute_allow_list": f"['{GPU}']",
            "model_specific_defaults": "{'apply_lora': 'true', 'learning_rate': '5e-6', 'precision': 16}",
        }
        found = BaseModel(
            name=name, version=version or "8", id=f"azureml://{name}/8", archived=self.archived, tags=tags
        )
        return self._call(lambda: found if name == "Phi-4" else None)

    def component(self, name: str, version: str) -> str | None:
        return self._call(lambda: version or "0.0.82")

    def sizes(self) -> dict[str, Size]:
        return self._call(lambda: {GPU.lower(): Size(name=GPU, gpus=1, cores=24)})

    def compute(self, name: str) -> Compute | None:
        return self._call(lambda: self.clusters.get(name))

    def start_compute(self, name: str, size: str, nodes: int, tags: dict[str, str]) -> None:
        self._call(lambda: self.clusters.update({name: Compute(name=name, size=size, state="Succeeded")}))

    def job(self, name: str) -> Job | None:
        def act() -> Job | None:
            made = self.jobs.get(name)
            if made is None:
                return None
            status = self.job_outcome(name) if self.clock() >= made.ready_at else "Running"
            found: Job = made.value.but(status=status)
            return found

        return self._call(act)

    def submit(self, spec: JobSpec) -> Job:
        def act() -> Job:
            if spec.name in self.jobs:
                raise Refused("JobPropertyImmutable")
            job = Job(name=spec.name, status="NotStarted", tags=spec.tags)
            self.jobs[spec.name] = _Made(job, self.clock() + self.pace)
            self.submitted.append(spec.name)
            return job

        return self._call(act)

    def failure(self, name: str) -> str:
        return "step chat_completion_finetune failed: out of memory"

    def model(self, name: str, version: str) -> RegisteredModel | None:
        return self._call(lambda: self.models.get((name, version)))

    def register(self, name: str, version: str, job: str, tags: dict[str, str]) -> None:
        def act() -> None:
            if (name, version) in self.models:
                raise Refused("the version exists")
            self.models[name, version] = RegisteredModel(name=name, version=version, id=f"{name}:{version}", tags=tags)
            self.registered.append(f"{name}:{version}")

        self._call(act)

    def model_id(self, name: str, version: str) -> str:
        return f"{name}:{version}"

    def endpoint_id(self, name: str) -> str:
        return f"/endpoints/{name}"

    def endpoint(self, name: str) -> Endpoint | None:
        def act() -> Endpoint | None:
            made = self.endpoints.get(name)
            if made is None or (made.deleted_at is not None and self.clock() >= made.deleted_at):
                self.endpoints.pop(name, None)
                for key in [k for k in self.deployments if k[0] == name and made]:
                    del self.deployments[key]
                return None
            moving = "Deleting" if made.deleted_at else "Updating"
            state = "Succeeded" if self.clock() >= made.ready_at and not made.deleted_at else moving
            found: Endpoint = made.value.but(state=state)
            return found

        return self._call(act)

    def write_endpoint(self, name: str, tags: dict[str, str], traffic: dict[str, int]) -> None:
        def act() -> None:
            for deployment in traffic:
                if (name, deployment) not in self.deployments:
                    raise Refused(f"no deployment {deployment}")
            if name not in self.endpoints:
                self.created_endpoints.append(name)
            elif self.clock() < self.endpoints[name].ready_at or self.endpoints[name].deleted_at:
                raise ServiceBusy("the endpoint is Updating")
            value = Endpoint(name=name, state="", traffic=traffic, tags=tags, scoring_uri=f"https://fake/{name}/score")
            self.endpoints[name] = _Made(value, self.clock() + self.pace / 3)

        self._call(act)

    def delete_endpoint(self, name: str) -> None:
        def act() -> None:
            if name in self.endpoints:
                self.endpoints[name].deleted_at = self.clock() + self.pace / 3

        self._call(act)

    def key(self, endpoint: str) -> str:
        return self._call(lambda: f"key-of-{endpoint}")

    def deployment(self, endpoint: str, name: str) -> Deployment | None:
        def act() -> Deployment | None:
            made = self.deployments.get((endpoint, name))
            if made is None or (made.deleted_at is not None and self.clock() >= made.deleted_at):
                self.deployments.pop((endpoint, name), None)
                return None
            if made.deleted_at is not None:
                state = "Deleting"
            else:
                state = self.deployment_outcome(name) if self.clock() >= made.ready_at else "Creating"
            found: Deployment = made.value.but(state=state)
            return found

        return self._call(act)

    def start_deployment(self, spec: DeploymentSpec) -> None:
        def act() -> None:
            if (spec.endpoint, spec.name) in self.deployments:
                raise ServiceBusy("the deployment exists")
            value = Deployment(name=spec.name, state="", tags=spec.tags)
            self.deployments[spec.endpoint, spec.name] = _Made(value, self.clock() + self.pace)
            self.created_deployments.append(spec.name)

        self._call(act)

    def delete_deployment(self, endpoint: str, name: str) -> None:
        def act() -> None:
            if self.endpoints[endpoint].value.traffic.get(name):
                raise Refused("the deployment has traffic")
            if (endpoint, name) in self.deployments:
                self.deployments[endpoint, name].deleted_at = self.clock() + self.pace / 3

        self._call(act)

    def deployment_logs(self, endpoint: str, name: str) -> dict[str, str]:
        return {"inference-server": "it broke"}


class FakeMetrics:
    """The highest requests per minute of every endpoint; None: not known."""

    rate: float | None = 0.0

    def requests(self, endpoint: str, since: float, until: float) -> float | None:
        return self.rate


class FakeScorer:
    """Answers every question with `text`, at `status`."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.status, self.text = 200, "an answer"
        self.asked: list[str] = []

    async def ask(self, uri: str, key: str, body: Any, timeout: float, **more: str) -> scoring.Answer:
        def act() -> scoring.Answer:
            self.asked.append(more.get("deployment", ""))
            good = self.status == 200
            return scoring.Answer(self.status, self.text if good else None, more.get("deployment", ""), "")

        return self.process.call(act)

    async def close(self) -> None:
        """Nothing is pooled."""


@dataclass
class World:
    """The whole app in memory: what was dropped, what is queued, what Azure has."""

    process: Process = field(default_factory=Process)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.storage = FakeStorage(self.clock, self.process)
        self.workspace = FakeWorkspace(self.clock, self.process)
        self.metrics, self.scorer = FakeMetrics(), FakeScorer(self.process)
        self.parts = self.new_process()
        self.events: list[str] = []

    def new_process(self) -> Parts:
        """Parts as a newly started process has them: nothing remembered."""
        given = {
            "data": "fake",
            "azure_subscription_id": "s",
            "azure_resource_group": "g",
            "azureml_workspace": "w",
            "min_rows": 10,
            **self.settings,
        }
        fake: Any = self
        return Parts(Settings(**given), fake.storage, fake.workspace, fake.metrics, fake.scorer, self.clock)

    def drop(self, path: str, data: bytes) -> None:
        """Uploads a blob; its event is delivered by `run`."""
        self.storage._set("snapshots", path, data, None)
        self.events.append(path)

    def run(self, until: float = 7200.0, sweep_every: float = 300.0) -> None:
        """Delivers events and messages in time order, with sweeps between, until nothing is planned or time is up.

        A process that is killed starts again; what it was working on is delivered again 30 s later.
        """
        end, next_sweep = self.clock() + until, self.clock() + sweep_every
        while self.clock() < end:
            if self.events:
                self._event(self.events.pop(0))
                continue
            due = min(self.storage.messages, default=None)
            if due is None and self._quiet():
                self._guarded(self._sweep, lambda: None)
                if not self.storage.messages:
                    return
                continue
            if due is None or due[0] > next_sweep:
                self.clock.now = max(self.clock.now, next_sweep)
                next_sweep += sweep_every
                self._guarded(self._sweep, lambda: None)
                continue
            self.storage.messages.remove(due)
            self.clock.now = max(self.clock.now, due[0])
            message = due[2]
            self._guarded(lambda: self._step(message), lambda: self._again(message))  # noqa: B023 - run at once

    def _event(self, path: str) -> None:
        from shared import intake

        self._guarded(lambda: intake.receive(self.parts, path), lambda: self.events.append(path))

    def _sweep(self) -> None:
        from shared import sweeping

        sweeping.sweep(self.parts)

    def _step(self, message: str) -> None:
        from shared import stepping

        stepping.step(self.parts, message)

    def _again(self, message: str) -> None:
        self.storage.messages.append((self.clock() + 30, 0, message))

    def _guarded(self, act: Callable[[], Any], killed: Callable[[], None]) -> None:
        try:
            act()
        except Killed:
            self.process.alive = True
            self.parts = self.new_process()
            killed()

    def _quiet(self) -> bool:
        """Whether no row plans another look within the hour."""
        horizon = self.clock() + 3600
        looks = (
            float(s.metadata.get("next_look_at", "inf")) for (c, _), s in self.storage.blobs.items() if c == "ledger"
        )
        return all(look > horizon for look in looks)

    def states(self) -> dict[str, str]:
        """Every snapshot's state as people see it."""
        from shared import status

        return {row["id"]: row["state"] for row in status.snapshots(self.parts)}


def dialogues(count: int, seed: str = "") -> bytes:
    """That many valid, different rows as JSONL."""
    rows = []
    for i in range(count):
        word = hashlib.sha256(f"{seed}{i}".encode()).hexdigest()[:12]
        turns = [
            {"role": "user", "content": f"What is {word}?"},
            {"role": "assistant", "content": f"It is {word[::-1]}."},
        ]
        rows.append(json.dumps({"messages": turns}))
    return "\n".join(rows).encode() + b"\n"
