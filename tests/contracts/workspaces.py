"""The two sides of the workspace's contract: the fake, and shared.azure.workspace over the local Azure ML."""

from __future__ import annotations

import uuid
from typing import Any, Protocol

from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient

from shared.azure.clouds import cloud_at
from shared.azure.workspace import Workspace
from shared.azure.workspace.deployments import DeploymentSpec
from shared.azure.workspace.jobs import JobSpec
from shared.ledger.rows import ModelPin
from shared.runtime import Services
from shared.training.submit import job_spec
from tests.builders import a_trained_snapshot
from tests.fakes import GPU, World, dialogues
from tests.local.azureml_server import GROUP, SUBSCRIPTION, WORKSPACE, AzureMl

TAGS = {"droptune.installation": "00000000", "droptune.snapshot": "s1"}
ARCHIVED = "Phi-3-mini-4k-instruct"
# What Azure says of a write that it accepted and did not carry out.
BROKEN = "InternalServerError: it was accepted, and then it failed"


class WorkspaceSide(Protocol):
    """A Workspace, and what only its side can do."""

    workspace: Workspace
    archived: str  # a base model that is archived, or nothing where the side has none

    def settle(self) -> None:
        """Returns once nothing moves any more."""

    def slow(self) -> None:
        """From now on what is started keeps moving until `settle`."""

    def fail_job(self, name: str) -> None:
        """Lets this job fail in its fine-tuning step."""

    def fail_deployment(self, endpoint: str, name: str) -> None:
        """Lets this deployment fail."""

    def break_next(self, endpoint: str, deployment: str = "") -> None:
        """Lets the next write or removal of this endpoint (or deployment) be accepted, and fail then."""

    def busy(self, endpoint: str) -> None:
        """Lets the next write to this endpoint be answered with 503."""

    def take(self, endpoint: str) -> None:
        """Lets somebody else in the region have this endpoint's name."""


class FakeSide:
    """FakeWorkspace."""

    archived = ""

    def __init__(self) -> None:
        self.world = World()
        fake: Any = self.world.workspace
        self.fake = self.world.workspace
        self.workspace: Workspace = fake

    def settle(self) -> None:
        self.world.clock.now += 3600

    def slow(self) -> None:
        """The clock stands still anyway."""

    def fail_job(self, name: str) -> None:
        self.fake.jobs.outcome = lambda job: "Failed" if job == name else "Completed"

    def fail_deployment(self, endpoint: str, name: str) -> None:
        self.fake.deployments.outcome = lambda found: "Failed" if found == name else "Succeeded"

    def break_next(self, endpoint: str, deployment: str = "") -> None:
        def once(kind: str, name: str) -> str:
            self.fake.breaks = lambda kind, name: ""
            return BROKEN

        self.fake.breaks = once

    def busy(self, endpoint: str) -> None:
        self.fake.busy = 1

    def take(self, endpoint: str) -> None:
        self.fake.endpoints.taken.add(endpoint)


def workspace_at(server: AzureMl) -> Workspace:
    """The app's clients of a local Azure ML, as a newly started process has them."""
    return Workspace(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE, "azureml", cloud_at(server.base))


class AzureSide:
    """The unmodified SDK over the local Azure ML."""

    archived = ARCHIVED

    def __init__(self, server: AzureMl, workspace: Workspace) -> None:
        self.server, self.workspace = server, workspace
        self._pace: dict[str, Any] = {}

    def settle(self) -> None:
        if self._pace:
            self.server.control("PUT", "/pace", self._pace)
        self.server.wait_until_idle()

    def slow(self) -> None:
        self._pace = self.server.control("GET", "/settings")["pace"]
        slowed = {name: 600 for name in self._pace if name.endswith("_seconds")}
        self.server.control("PUT", "/pace", slowed)

    def fail_job(self, name: str) -> None:
        outcome = {"outcome": "Failed", "step": "chat_completion_finetune", "message": "CUDA out of memory"}
        self.server.control("POST", f"/jobs/{name}", outcome)

    def fail_deployment(self, endpoint: str, name: str) -> None:
        body = {"outcome": "Failed", "log": "it broke"}
        self.server.control("POST", f"/deployments/{endpoint}/{name}", body)

    def break_next(self, endpoint: str, deployment: str = "") -> None:
        code, _, message = BROKEN.partition(": ")
        path = f"/deployments/{endpoint}/{deployment}" if deployment else f"/endpoints/{endpoint}"
        self.server.control("POST", path, {"code": code, "message": message})

    def take(self, endpoint: str) -> None:
        self.server.control("PUT", "/settings", {"taken_endpoint_names": [endpoint]})

    def busy(self, endpoint: str) -> None:
        # The write only: the SDK's pollers of earlier operations go on asking, and would take the fault instead.
        self.server.control("POST", "/faults", {"method": "PUT", "path": f"/onlineEndpoints/{endpoint}", "status": 503})


class Shop:
    """One side with the specs of its own test: names are unique, the training files are there."""

    def __init__(self, side: WorkspaceSide, connection_string: str = "") -> None:
        self.side, self.workspace = side, side.workspace
        self.id = f"t{uuid.uuid4().hex[:12]}"
        self.row = a_trained_snapshot(id=f"{self.id}-20260921141320-0123abcd", dataset=self.id)
        if connection_string:
            with BlobServiceClient.from_connection_string(connection_string) as blobs:
                for split in ("train", "validation", "test"):
                    name = f"{self.row.id}/{split}.jsonl"
                    blobs.get_blob_client("frozen", name).upload_blob(dialogues(12, split))

    def spec(self, **changes: Any) -> JobSpec:
        """The job that the app would submit for this test's snapshot."""
        model = self.workspace.registry.model("Phi-4", "")
        assert model is not None
        world, anything = World(), self.workspace
        fakes: Any = world
        services = Services(world.services.settings, fakes.storage, anything, fakes.metrics, fakes.inference)
        pin = ModelPin(registry="azureml", name=model.name, version=model.version, id=model.id)
        made = job_spec(services, self.row.but(base_model=pin, hyperparameters={}), f"{self.id}-job")
        spec: JobSpec = made.but(**{"tags": TAGS, **changes})
        return spec

    def trained(self) -> str:
        """The name of a job of this test's, completed."""
        job = self.workspace.jobs.submit(self.spec())
        self.side.settle()
        return job.name

    def registered(self) -> str:
        """The id of a model of this test's."""
        self.workspace.models.register(self.id, "1", self.trained(), TAGS)
        return self.workspace.models.id(self.id, "1")

    def endpoint(self) -> str:
        """The name of an endpoint of this test's."""
        self.workspace.endpoints.write(self.id, TAGS, {})
        self.side.settle()
        return self.id

    def deployment(self, model: str, **changes: Any) -> DeploymentSpec:
        """A deployment behind this test's endpoint."""
        spec = DeploymentSpec(
            endpoint=self.id,
            name="rel1",
            model_id=model,
            instance_type=GPU,
            instances=1,
            concurrency=2,
            timeout_seconds=30,
            tags=TAGS,
        )
        made: DeploymentSpec = spec.but(**changes)
        return made

    def served(self, *names: str) -> str:
        """The name of an endpoint of this test's with these deployments up."""
        model = self.registered()
        endpoint = self.endpoint()
        for name in names:
            self.workspace.deployments.create(self.deployment(model, name=name))
            self.side.settle()
        return endpoint
