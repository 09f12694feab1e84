"""The services of a history: the fakes of the other tests, with leases that live as long as their holders, jobs and
deployments that end as the dice say, and everything they are told watched for broken promises."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from shared import naming
from shared.azure import inference
from shared.azure.metrics import Requests, Since
from shared.azure.storage import LEASE_SECONDS
from shared.azure.workspace.deployments import DeploymentSpec
from shared.azure.workspace.jobs import Job, JobSpec
from shared.errors import AzureRefused, LeaseHeld
from shared.ledger.release import CallComparison, CallStats
from tests.chaos.dice import Dice, weights
from tests.chaos.stage import Actor, Stage
from tests.fake_process import Clock, Process
from tests.fake_storage import FakeStorage, _Stored
from tests.fake_workspace import FakeWorkspace
from tests.fake_workspace.serving import FakeDeployments, FakeEndpoints
from tests.fake_workspace.training import FakeJobs, FakeModels
from tests.fakes import probe_answer

_JOBS = ("Completed", "Failed", "Canceled", "NotResponding")
_DEPLOYMENTS = ("Succeeded", "Failed", "Creating")
_MODELS = ("good", "bad", "flaky")
_SERVES = ("few", "well", "badly", "refusing")
_SPEAKS = ("openai", "score", "mlflow")
_WHY = "InternalServerError: accepted, and then it failed"


class Watcher(Protocol):
    """Who looks at every write."""

    def blob_deleted(self, container: str, name: str, old: _Stored | None) -> None: ...
    def blob_written(self, container: str, name: str, old: _Stored | None, new: _Stored) -> None: ...
    def submitted(self, spec: JobSpec) -> None: ...
    def registered(self, name: str, version: str, job: str) -> None: ...
    def endpoint_removed(self, endpoint: str) -> None: ...
    def traffic_written(self, endpoint: str, traffic: Mapping[str, int]) -> None: ...


class HeldLease:
    """A lease that is renewed while its holder lives and is not stalled."""

    def __init__(self, storage: ChaosStorage, name: str, holder: Actor | None, take_over: bool) -> None:
        self.storage, self.name, self.holder, self.take_over = storage, name, holder, take_over
        self.abandoned_at: float | None = None
        self.lost = False

    def lasts(self) -> bool:
        """Whether nobody else can have it."""
        if self.abandoned_at is not None:
            since = self.abandoned_at
        elif self.holder is None or self.holder.renews:
            return True
        else:
            since = self.holder.silent_since
        return self.storage.clock() < since + LEASE_SECONDS

    def check(self, left: float = 0) -> None:
        if self.lost or self.storage.held.get(self.name) is not self:
            raise LeaseHeld("the lease was lost while the step ran")

    def release(self) -> None:
        def act() -> None:
            if self.storage.held.get(self.name) is self:
                del self.storage.held[self.name]

        with contextlib.suppress(Exception):  # as the real one: what cannot be released runs out by itself
            self.storage.scene.call("storage", "release", (self.name,), act)


class ChaosStorage(FakeStorage):
    """The storage of other tests, whose leases depend on their holders."""

    def __init__(self, clock: Clock, stage: Stage, watcher: Watcher) -> None:
        super().__init__(clock, Process())
        self.scene, self.watcher = stage, watcher
        self.held: dict[str, HeldLease] = {}

    def lease(self, name: str, take_over: bool = False) -> Any:
        held = self.held.get(name)
        was_lost = take_over and held and held.take_over and held.abandoned_at is not None
        if held and held.lasts() and not was_lost:
            raise LeaseHeld(f"{name} is held by another worker")
        self.held[name] = HeldLease(self, name, self.scene.current(), take_over)
        return self.held[name]

    def lapse(self, holder: Actor) -> None:
        """A stalled holder wakes up: it learns at its next check that its leases ran out meanwhile."""
        for lease in self.held.values():
            if lease.holder is holder and not lease.lasts():
                lease.lost = True

    def delete(self, container: str, name: str, etag: str = "") -> None:
        old = self.blobs.get((container, name))
        super().delete(container, name, etag)
        self.watcher.blob_deleted(container, name, old)

    def delete_many(self, container: str, names: Iterable[str]) -> None:
        found = list(names)
        olds = {name: self.blobs.get((container, name)) for name in found}
        super().delete_many(container, found)
        for name, old in olds.items():
            self.watcher.blob_deleted(container, name, old)

    def _set(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None) -> str:
        old = self.blobs.get((container, name))
        etag = super()._set(container, name, data, metadata)
        self.watcher.blob_written(container, name, old, self.blobs[container, name])
        return etag


class ChaosWorkspace(FakeWorkspace):
    """The workspace of other tests; the dice say how a job, a deployment or a model turns out, once for each."""

    def __init__(self, clock: Clock, dice: Dice, watcher: Watcher, ends: Mapping[str, tuple[float, ...]]) -> None:
        super().__init__(clock, Process())
        self.dice, self.watcher, self.ends = dice, watcher, ends
        self.fates: dict[tuple[str, str], str] = {}
        self.vanished: set[str] = set()
        self.jobs = WatchedJobs(self)
        self.models = WatchedModels(self)
        self.endpoints = WatchedEndpoints(self)
        self.deployments = WatchedDeployments(self)
        self.jobs.outcome = self._job_outcome
        self.deployments.outcome = self._deployment_outcome
        if len(ends["write"]) > 1:
            self.breaks = self._breaks

    def fate(self, kind: str, name: str, choices: tuple[str, ...]) -> str:
        """How this one turns out."""
        if (kind, name) not in self.fates:
            self.fates[kind, name] = choices[self.dice.fate(self.ends[kind])]
        return self.fates[kind, name]

    def _job_outcome(self, name: str) -> str:
        found = self.fate("job", name, _JOBS)
        return "Completed" if found == "NotResponding" and self.dice.calm else found

    def _deployment_outcome(self, name: str) -> str:
        found = self.fate("deployment", name, _DEPLOYMENTS)
        return "Failed" if found == "Creating" and self.dice.calm else found

    def _breaks(self, kind: str, name: str) -> str:
        return _WHY if self.dice.roll(self.ends["write"]) else ""

    def quality(self, snapshot: str) -> str:
        """What a snapshot's model is worth: it answers, never answers, or answers now and then."""
        return self.fate("model", snapshot, _MODELS)

    def serves(self, deployment: str) -> str:
        """How a deployment answers once people ask it: too seldom to tell, well, badly, or by refusing everything."""
        return self.fate("traffic", deployment, _SERVES)


class WatchedJobs(FakeJobs):
    """Tells the watcher of new jobs."""

    workspace: ChaosWorkspace

    def submit(self, spec: JobSpec) -> Job:
        new = spec.name not in self.made
        job = super().submit(spec)
        if new:
            self.workspace.watcher.submitted(spec)
        return job


class WatchedModels(FakeModels):
    """Tells the watcher of registrations."""

    workspace: ChaosWorkspace

    def register(self, name: str, version: str, job: str, tags: dict[str, str]) -> None:
        super().register(name, version, job, tags)
        self.workspace.watcher.registered(name, version, job)


class WatchedEndpoints(FakeEndpoints):
    """Tells the watcher of traffic and of removals."""

    workspace: ChaosWorkspace

    def write(self, name: str, tags: dict[str, str], traffic: dict[str, int]) -> str:
        operation = super().write(name, tags, traffic)
        self.workspace.watcher.traffic_written(name, traffic)
        return operation

    def delete(self, name: str) -> str:
        operation = super().delete(name)
        self.workspace.watcher.endpoint_removed(name)
        return operation


class WatchedDeployments(FakeDeployments):
    """Refuses some for want of quota; one that is made again turns out anew."""

    workspace: ChaosWorkspace

    def create(self, spec: DeploymentSpec) -> str:
        workspace = self.workspace
        new = (spec.endpoint, spec.name) not in self.made
        if new and workspace.dice.fate(workspace.ends["quota"]):
            raise AzureRefused("HTTP 400 OutOfQuota: not enough quota for the deployment")
        operation = super().create(spec)
        if new:
            workspace.fates.pop(("deployment", spec.name), None)
        return operation


def ends(job: float, deployment: float, model: float, quota: float, write: float) -> dict[str, tuple[float, ...]]:
    """How often things turn out badly, as accumulated weights by kind. `write`: it is accepted, and then it fails."""
    return {
        "job": weights(1 - job, job / 2, job / 4, job / 4),
        "deployment": weights(1 - deployment, deployment * 0.7, deployment * 0.3),
        "model": weights(1 - model, model * 0.6, model * 0.4),
        "quota": weights(1 - quota, quota),
        "traffic": weights(0.3, 0.5 - model / 2, 0.1 + model / 4, 0.1 + model / 4),
        "write": weights(1 - write, write) if write else weights(1.0),
        "container": weights(0.5, 0.3, 0.2),
    }


class ChaosScorer:
    """The scoring addresses: they answer as the deployment behind them is."""

    def __init__(self, stage: Stage, workspace: ChaosWorkspace) -> None:
        self.stage, self.workspace = stage, workspace

    async def probe(self, uri: str, key: str, deployment: str, timeout: float) -> inference.EndpointAnswer:
        def act() -> inference.EndpointAnswer:
            found = self._answer(_endpoint_at(uri), key, deployment)
            if found.status != 200:  # nothing is known of what a container speaks that fails at the moment
                return found
            speaks = self.workspace.fate("container", deployment, _SPEAKS)
            return probe_answer(speaks, uri)

        found: inference.EndpointAnswer = self.stage.call("scorer", "probe", (uri, deployment), act)
        return found

    async def ask(self, uri: str, key: str, body: Any, timeout: float, **more: str) -> inference.EndpointAnswer:
        wanted = more.get("deployment", "")

        def act() -> inference.EndpointAnswer:
            return self._answer(_endpoint_at(uri), key, wanted)

        found: inference.EndpointAnswer = self.stage.call("scorer", "ask", (uri, wanted), act)
        return found

    def _answer(self, endpoint: str, key: str, wanted: str) -> inference.EndpointAnswer:
        there = self.workspace.endpoints.get(endpoint)
        if there is None:
            return inference.EndpointAnswer(0, None, "", "the endpoint could not be reached")
        if key != f"key-of-{endpoint}":
            return inference.EndpointAnswer(401, None, "", "")
        name = wanted or next(iter(there.traffic), "")
        found = self.workspace.deployments.get(endpoint, name)
        if found is None or found.state != "Succeeded":
            return inference.EndpointAnswer(404, None, "", "no such deployment")
        quality = self.workspace.quality(found.tags[naming.TAG_SNAPSHOT])
        if quality == "bad" or (quality == "flaky" and self.workspace.dice.roll((1.0, 2.0))):
            return inference.EndpointAnswer(424, None, name, "the model failed")
        return inference.EndpointAnswer(200, "an answer", name)

    async def close(self) -> None:
        """Nothing is pooled."""


def _endpoint_at(uri: str) -> str:
    """The endpoint of an address, whatever the path behind it."""
    parts = uri.split("/")
    return parts[3] if len(parts) > 3 else ""


class ChaosMetrics:
    """The request rates of endpoints: zero, unknown or busy; and how deployments serve, unless that is unknown."""

    def __init__(self, stage: Stage, workspace: ChaosWorkspace) -> None:
        self.stage, self.workspace = stage, workspace
        self.rate: float | None = 0.0
        self.readable = True

    def _requests(self) -> Requests:
        return Requests(self.rate, "" if self.rate is not None else "metrics could not be read")

    def compared(self, endpoint: str, candidate: Since, live: Since, until: float) -> CallComparison:
        def act() -> CallComparison:
            if not self.readable:
                return CallComparison(source="metrics", why="metrics could not be read")
            serves = self.workspace.serves(candidate[0])
            asked = 0 if serves == "few" else 100
            failed, refused = (asked if serves == kind else 0 for kind in ("badly", "refusing"))
            tally = CallStats(asked=asked, failed=failed, refused=refused)
            return CallComparison(source="metrics", candidate=tally, live=CallStats(asked=100))

        found: CallComparison = self.stage.call("metrics", "compared", (endpoint, *candidate), act)
        return found

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def asked(*args: Any, **more: Any) -> Any:
            return self.stage.call("metrics", name, args, self._requests)

        return asked
