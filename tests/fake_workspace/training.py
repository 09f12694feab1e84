"""Registry, machines, jobs and models of the fake workspace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.azure.workspace.compute import Cluster, MachineSize
from shared.azure.workspace.datastores import WorkspaceDatastore
from shared.azure.workspace.jobs import Job, JobSpec, RunFailure
from shared.azure.workspace.models import RegisteredModel
from shared.azure.workspace.quota import QuotaUsage, family_key
from shared.azure.workspace.registry import RegistryModel
from shared.errors import AzureRefused
from tests.fake_workspace.made import COMPUTE_OPERATOR, READER, Kind, Made
from tests.fake_workspace.tracking import TRACKING

if TYPE_CHECKING:
    from tests.fake_workspace import FakeWorkspace

GPU = "Standard_NC24ads_A100_v4"
PREPARATION = "Standard_E8s_v3"
FAMILY = "standardNCADSA100v4Family"
_CORES = 24


class FakeRegistry(Kind):
    """One base model and one component; `tags` and `properties` come on top of the model's own."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        super().__init__(workspace)
        self.archived = False
        self.tags: dict[str, str] = {}
        self.properties: dict[str, str] = {}
        self.kind = "mlflow_model"

    def model(self, name: str, version: str) -> RegistryModel | None:
        tags = {
            "finetune_compute_allow_list": f"['{GPU}']",
            "inference_compute_allow_list": f"['{GPU}']",
            "model_specific_defaults": "{'apply_lora': 'true', 'learning_rate': '5e-6', 'precision': 16}",
        }
        tags.update(self.tags)
        found = RegistryModel(
            name=name,
            version="8",
            id=f"azureml://{name}/8",
            archived=self.archived,
            tags=tags,
            properties=dict(self.properties),
            kind=self.kind,
        )
        return self.workspace.call(lambda: found if name == "Phi-4" and version in ("", "8") else None, role="")

    def component(self, name: str, version: str) -> str | None:
        known = name == "chat_completion_pipeline" and version in ("", "0.0.82")
        return self.workspace.call(lambda: "0.0.82" if known else None, role="")


class FakeCompute(Kind):
    """Clusters, one machine size with a GPU and one without."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        super().__init__(workspace)
        self.clusters: dict[str, Cluster] = {}
        self.ready_at: dict[str, float] = {}

    def sizes(self) -> dict[str, MachineSize]:
        sizes = (
            MachineSize(name=GPU, gpus=1, cores=_CORES, family=FAMILY, memory_gb=220, disk_gb=64),
            MachineSize(name=PREPARATION, gpus=0, cores=8, family="standardESv3Family", memory_gb=64, disk_gb=128),
        )
        return self.workspace.call(lambda: {size.name.lower(): size for size in sizes}, role=READER)

    def get(self, name: str) -> Cluster | None:
        def act() -> Cluster | None:
            found = self.clusters.get(name)
            if found is None or self.workspace.clock() >= self.ready_at.get(name, 0.0):
                return found
            creating: Cluster = found.but(state="Creating")
            return creating

        return self.workspace.call(act)

    def create(self, name: str, size: str, nodes: int, tags: dict[str, str], identity: str = "") -> str:
        def act() -> str:
            operation, reason = self.workspace.accept("cluster", name)
            if not reason:
                identities = (identity,) if identity else ()
                made = Cluster(name=name, size=size, state="Succeeded", identities=identities, most_nodes=nodes)
                self.clusters[name] = made
                self.ready_at[name] = self.workspace.clock() + self.workspace.pace
            return operation

        return self.workspace.write(act, role=COMPUTE_OPERATOR)


class FakeDatastores(Kind):
    """The datastore of the training files and the default one, `""`; each with a key unless it is said otherwise."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        super().__init__(workspace)
        self.made: dict[str, WorkspaceDatastore] = {
            "droptune_frozen": WorkspaceDatastore(name="droptune_frozen", container="frozen", credential=True),
            "": WorkspaceDatastore(name="workspaceblobstore", container="azureml", credential=True),
        }

    def get(self, name: str) -> WorkspaceDatastore | None:
        return self.workspace.call(lambda: self.made.get(name))


class FakeQuota(Kind):
    """What others use and what is allowed, by family; what is deployed here comes on top."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        super().__init__(workspace)
        self.allowed: dict[str, QuotaUsage] = {family_key(FAMILY): QuotaUsage(used=0, limit=1000)}

    def usages(self) -> dict[str, QuotaUsage]:
        def act() -> dict[str, QuotaUsage]:
            deployments = self.workspace.deployments
            cores = _CORES * sum(1 for key in list(deployments.made) if deployments.find(*key))
            return {k: QuotaUsage(used=u.used + cores, limit=u.limit) for k, u in self.allowed.items()}

        return self.workspace.call(act, role=READER)


class FakeJobs(Kind):
    """Jobs that end as `outcome` says by name, with `error` and `log` if that is badly; `submitted` and `canceled` in
    order."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        super().__init__(workspace)
        self.made: dict[str, Made] = {}
        self.specs: dict[str, JobSpec] = {}
        self.outcome: Callable[[str], str] = lambda name: "Completed"
        self.submitted: list[str] = []
        self.canceled: list[str] = []
        self.error, self.log = "out of memory", "epoch 1\nCUDA: out of memory"

    def get(self, name: str) -> Job | None:
        return self.workspace.call(lambda: self.find(name))

    def find(self, name: str) -> Job | None:
        """A job as it is, without a call."""
        made = self.made.get(name)
        if made is None:
            return None
        status = self.outcome(name) if self.workspace.clock() >= made.ready_at else "Running"
        if name in self.canceled:
            status = "Canceled"
        found: Job = made.value.but(status=status)
        return found

    def submit(self, spec: JobSpec) -> Job:
        def act() -> Job:
            if spec.name in self.made:
                if self.specs[spec.name].but(tags={}, display_name="") != spec.but(tags={}, display_name=""):
                    raise AzureRefused("UserError: JobPropertyImmutable")
                job: Job = self.made[spec.name].value
                return job
            job = Job(name=spec.name, status="NotStarted", tags=spec.tags, tracking=TRACKING)
            self.specs[spec.name] = spec
            self.made[spec.name] = Made(job, self.workspace.clock() + self.workspace.pace)
            self.submitted.append(spec.name)
            return job

        return self.workspace.write(act)

    def cancel(self, name: str) -> None:
        def act() -> None:
            job = self.find(name)
            if job is not None and job.status not in ("Completed", "Failed"):
                _, reason = self.workspace.accept("cancel", name)
                if not reason:
                    self.canceled.append(name)

        self.workspace.write(act)

    def failure(self, name: str) -> RunFailure:
        job = self.find(name)
        if job is None or job.status != "Failed":
            return RunFailure()
        return RunFailure(step="chat_completion_finetune", error=self.error, log=self.log)


class FakeModels(Kind):
    """Model versions, and the job each came from; `registered` in order."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        super().__init__(workspace)
        self.made: dict[tuple[str, str], RegisteredModel] = {}
        self.sources: dict[tuple[str, str], str] = {}
        self.registered: list[str] = []

    def get(self, name: str, version: str) -> RegisteredModel | None:
        return self.workspace.call(lambda: self.made.get((name, version)))

    def register(self, name: str, version: str, job: str, tags: dict[str, str]) -> None:
        def act() -> None:
            trained = self.workspace.jobs.find(job)
            if trained is None or trained.status != "Completed":
                raise AzureRefused(f"job {job} has no output trained_model")
            if self.sources.get((name, version), job) != job:
                raise AzureRefused("the version exists with another path")
            if (name, version) not in self.made:
                self.registered.append(f"{name}:{version}")
            self.sources[name, version] = job
            self.made[name, version] = RegisteredModel(name=name, version=version, id=self.id(name, version), tags=tags)

        self.workspace.write(act)

    def id(self, name: str, version: str) -> str:
        return f"{name}:{version}"
