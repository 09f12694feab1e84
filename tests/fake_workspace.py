"""The Azure ML workspace in memory; `tests/contracts` holds it to what the local Azure ML does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.azure.resources import (
    Cluster,
    Deployment,
    DeploymentSpec,
    Endpoint,
    Job,
    JobSpec,
    MachineSize,
    QuotaUsage,
    RegisteredModel,
    RegistryModel,
    RunFailure,
    family_key,
)
from shared.errors import AzureRefused, EndpointNameTaken, ServiceBusy
from shared.ledger import fence
from tests.fake_process import Clock, Process

GPU = "Standard_NC24ads_A100_v4"
FAMILY = "standardNCADSA100v4Family"


@dataclass
class _Made:
    value: Any
    ready_at: float
    deleted_at: float | None = None


class FakeWorkspace:
    """Azure ML reduced to what the app may rely on. Things take `pace` seconds; `..._outcome` says how they end.

    Endpoint names in `taken` are somebody else's in the region. `quota` is what others use and what is allowed, by
    family; what is deployed here comes on top, 24 cores each.

    While anything below an endpoint moves, the endpoint is Updating and refuses other writes.
    """

    def __init__(self, clock: Clock, process: Process) -> None:
        self.clock, self.process = clock, process
        self.pace = 90.0
        self.jobs: dict[str, _Made] = {}
        self.specs: dict[str, JobSpec] = {}
        self.models: dict[tuple[str, str], RegisteredModel] = {}
        self.sources: dict[tuple[str, str], str] = {}
        self.endpoints: dict[str, _Made] = {}
        self.deployments: dict[tuple[str, str], _Made] = {}
        self.clusters: dict[str, Cluster] = {}
        self.clusters_ready_at: dict[str, float] = {}
        self.job_outcome: Callable[[str], str] = lambda name: "Completed"
        self.deployment_outcome: Callable[[str], str] = lambda name: "Succeeded"
        self.archived = False
        self.model_tags: dict[str, str] = {}
        self.quota: dict[str, QuotaUsage] | None = {family_key(FAMILY): QuotaUsage(used=0, limit=1000)}
        self.canceled: list[str] = []
        self.submitted: list[str] = []
        self.registered: list[str] = []
        self.created_endpoints: list[str] = []
        self.created_deployments: list[str] = []
        self.taken: set[str] = set()
        self.busy: int = 0

    def _call[T](self, act: Callable[[], T]) -> T:
        def guarded() -> T:
            if self.busy > 0:
                self.busy -= 1
                raise ServiceBusy("HTTP 503")
            return act()

        return self.process.call(guarded)

    def _write[T](self, act: Callable[[], T]) -> T:
        fence.check()
        return self._call(act)

    def base_model(self, name: str, version: str) -> RegistryModel | None:
        tags = {
            "finetune_compute_allow_list": f"['{GPU}']",
            "inference_compute_allow_list": f"['{GPU}']",
            "model_specific_defaults": "{'apply_lora': 'true', 'learning_rate': '5e-6', 'precision': 16}",
        }
        tags.update(self.model_tags)
        found = RegistryModel(name=name, version="8", id=f"azureml://{name}/8", archived=self.archived, tags=tags)
        return self._call(lambda: found if name == "Phi-4" and version in ("", "8") else None)

    def component(self, name: str, version: str) -> str | None:
        known = name == "chat_completion_pipeline" and version in ("", "0.0.82")
        return self._call(lambda: "0.0.82" if known else None)

    def sizes(self) -> dict[str, MachineSize]:
        return self._call(lambda: {GPU.lower(): MachineSize(name=GPU, gpus=1, cores=24, family=FAMILY)})

    def usages(self) -> dict[str, QuotaUsage] | None:
        def act() -> dict[str, QuotaUsage] | None:
            cores = 24 * sum(1 for key in list(self.deployments) if self._deployment(*key))
            return self.quota and {k: QuotaUsage(used=u.used + cores, limit=u.limit) for k, u in self.quota.items()}

        return self._call(act)

    def compute(self, name: str) -> Cluster | None:
        def act() -> Cluster | None:
            found = self.clusters.get(name)
            if found is None or self.clock() >= self.clusters_ready_at.get(name, 0.0):
                return found
            creating: Cluster = found.but(state="Creating")
            return creating

        return self._call(act)

    def start_compute(self, name: str, size: str, nodes: int, tags: dict[str, str]) -> None:
        def act() -> None:
            self.clusters[name] = Cluster(name=name, size=size, state="Succeeded")
            self.clusters_ready_at[name] = self.clock() + self.pace

        self._write(act)

    # --- jobs and models ---

    def job(self, name: str) -> Job | None:
        return self._call(lambda: self._job(name))

    def _job(self, name: str) -> Job | None:
        made = self.jobs.get(name)
        if made is None:
            return None
        status = self.job_outcome(name) if self.clock() >= made.ready_at else "Running"
        if name in self.canceled:
            status = "Canceled"
        found: Job = made.value.but(status=status)
        return found

    def submit(self, spec: JobSpec) -> Job:
        def act() -> Job:
            if spec.name in self.jobs:
                if self.specs[spec.name].but(tags={}, display_name="") != spec.but(tags={}, display_name=""):
                    raise AzureRefused("UserError: JobPropertyImmutable")
                job: Job = self.jobs[spec.name].value
                return job
            job = Job(name=spec.name, status="NotStarted", tags=spec.tags)
            self.specs[spec.name] = spec
            self.jobs[spec.name] = _Made(job, self.clock() + self.pace)
            self.submitted.append(spec.name)
            return job

        return self._write(act)

    def cancel(self, name: str) -> None:
        def act() -> None:
            job = self._job(name)
            if job is not None and job.status not in ("Completed", "Failed"):
                self.canceled.append(name)

        self._write(act)

    def failure(self, name: str) -> RunFailure:
        job = self._job(name)
        if job is None or job.status != "Failed":
            return RunFailure()
        return RunFailure(step="chat_completion_finetune", error="out of memory", log="epoch 1\nCUDA: out of memory")

    def model(self, name: str, version: str) -> RegisteredModel | None:
        return self._call(lambda: self.models.get((name, version)))

    def register(self, name: str, version: str, job: str, tags: dict[str, str]) -> None:
        def act() -> None:
            trained = self._job(job)
            if trained is None or trained.status != "Completed":
                raise AzureRefused(f"job {job} has no output trained_model")
            if self.sources.get((name, version), job) != job:
                raise AzureRefused("the version exists with another path")
            if (name, version) not in self.models:
                self.registered.append(f"{name}:{version}")
            self.sources[name, version] = job
            self.models[name, version] = RegisteredModel(name=name, version=version, id=f"{name}:{version}", tags=tags)

        self._write(act)

    def model_id(self, name: str, version: str) -> str:
        return f"{name}:{version}"

    # --- endpoints and deployments ---

    def endpoint_id(self, name: str) -> str:
        return f"/endpoints/{name}"

    def endpoint(self, name: str) -> Endpoint | None:
        def act() -> Endpoint | None:
            if self._endpoint(name) is None:
                return None
            found: Endpoint = self.endpoints[name].value.but(state=self._moving(name) or "Succeeded")
            return found

        return self._call(act)

    def list_endpoints(self) -> list[Endpoint]:
        def act() -> list[Endpoint]:
            names = [name for name in list(self.endpoints) if self._endpoint(name)]
            return [self.endpoints[name].value.but(state=self._moving(name) or "Succeeded") for name in names]

        return self._call(act)

    def list_deployments(self, endpoint: str) -> list[Deployment]:
        def act() -> list[Deployment]:
            found = [(name, self._deployment(endpoint, name)) for at, name in list(self.deployments) if at == endpoint]
            return [made.value.but(state=self._state(name, made)) for name, made in found if made]

        return self._call(act)

    def write_endpoint(self, name: str, tags: dict[str, str], traffic: dict[str, int]) -> None:
        def act() -> None:
            for deployment in traffic:
                if self._deployment(name, deployment) is None:
                    raise AzureRefused(f"no deployment {deployment}")
            if sum(traffic.values()) not in (0, 100):
                raise AzureRefused(f"traffic is not 0 or 100 % in all: {traffic}")
            if self._endpoint(name) is None:
                if name in self.taken:
                    raise EndpointNameTaken(f"endpoint {name}: names must be unique within the region")
                self.created_endpoints.append(name)
            self._refuse_while_moving(name)
            split = {k: v for k, v in traffic.items() if v}
            value = Endpoint(name=name, state="", traffic=split, tags=tags, scoring_uri=f"https://fake/{name}/score")
            self.endpoints[name] = _Made(value, self.clock() + self.pace / 3)

        self._write(act)

    def delete_endpoint(self, name: str) -> None:
        def act() -> None:
            if self._endpoint(name):
                self._refuse_while_moving(name)
                self.endpoints[name].deleted_at = self.clock() + self.pace / 3

        self._write(act)

    def key(self, endpoint: str) -> str:
        def act() -> str:
            if self._endpoint(endpoint) is None:
                raise AzureRefused(f"HTTP 404: no endpoint {endpoint}")
            return f"key-of-{endpoint}"

        return self._call(act)

    def deployment(self, endpoint: str, name: str) -> Deployment | None:
        def act() -> Deployment | None:
            made = self._deployment(endpoint, name)
            if made is None:
                return None
            found: Deployment = made.value.but(state=self._state(name, made))
            return found

        return self._call(act)

    def start_deployment(self, spec: DeploymentSpec) -> str:
        def act() -> str:
            if self._endpoint(spec.endpoint) is None:
                raise AzureRefused(f"HTTP 404: no endpoint {spec.endpoint}")
            self._refuse_while_moving(spec.endpoint)
            if (spec.endpoint, spec.name) not in self.deployments:
                self.created_deployments.append(spec.name)
            value = Deployment(name=spec.name, state="", tags=spec.tags)
            self.deployments[spec.endpoint, spec.name] = _Made(value, self.clock() + self.pace)
            return f"/operations/{spec.endpoint}/{spec.name}"

        return self._write(act)

    def failure_of(self, operation: str) -> str:
        endpoint, _, name = operation.removeprefix("/operations/").partition("/")
        made = self._deployment(endpoint, name)
        failed = made is not None and self._state(name, made) == "Failed"
        return self._call(lambda: "ResourceNotReady: the container ended" if failed else "")

    def delete_deployment(self, endpoint: str, name: str) -> None:
        def act() -> None:
            made = self._deployment(endpoint, name)
            if made is None:
                return
            self._refuse_while_moving(endpoint)
            if self.endpoints[endpoint].value.traffic.get(name):
                raise AzureRefused("the deployment has traffic")
            made.deleted_at = self.clock() + self.pace / 3

        self._write(act)

    def deployment_logs(self, endpoint: str, name: str) -> dict[str, str]:
        return {"inference-server": "it broke"} if self._deployment(endpoint, name) else {}

    def _endpoint(self, name: str) -> _Made | None:
        made = self.endpoints.get(name)
        if made and made.deleted_at is not None and self.clock() >= made.deleted_at:
            del self.endpoints[name]
            for key in [key for key in self.deployments if key[0] == name]:
                del self.deployments[key]
        return self.endpoints.get(name)

    def _deployment(self, endpoint: str, name: str) -> _Made | None:
        made = self.deployments.get((endpoint, name)) if self._endpoint(endpoint) else None
        if made and made.deleted_at is not None and self.clock() >= made.deleted_at:
            del self.deployments[endpoint, name]
            return None
        return made

    def _state(self, name: str, made: _Made) -> str:
        if made.deleted_at is not None:
            return "Deleting"
        return self.deployment_outcome(name) if self.clock() >= made.ready_at else "Creating"

    def _moving(self, endpoint: str) -> str:
        """What an endpoint is doing, or nothing."""
        made = self._endpoint(endpoint)
        if made is None:
            return ""
        if made.deleted_at is not None:
            return "Deleting"
        below = [d for e, d in list(self.deployments) if e == endpoint]
        states = [self._state(d, found) for d in below if (found := self._deployment(endpoint, d))]
        return "Updating" if self.clock() < made.ready_at or {"Creating", "Deleting"} & set(states) else ""

    def _refuse_while_moving(self, endpoint: str) -> None:
        if state := self._moving(endpoint):
            raise ServiceBusy(f"endpoint {endpoint} is {state}")
