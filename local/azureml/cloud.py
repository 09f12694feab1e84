"""The one place where everything is put together: state, rules, processes.

Built by `app`; handlers reach it through `cloud_of`.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from starlette.requests import Request

from local.azureml.addresses import Addresses
from local.azureml.arm.models import Ended, EventSubscription, Neighbours, Surroundings
from local.azureml.clock import Clock
from local.azureml.compute.models import AmlCompute, Computes
from local.azureml.control.faults import InjectedFaults
from local.azureml.control.requests import RequestLog
from local.azureml.data.models import DataAssets, DataVersion
from local.azureml.endpoints.deployments import Deployments, OnlineDeployment
from local.azureml.endpoints.models import Endpoints, OnlineEndpoint
from local.azureml.events.publisher import Publisher
from local.azureml.identity.models import Tokens, identity_header
from local.azureml.jobs.documents import PipelineJob
from local.azureml.jobs.models import Jobs
from local.azureml.jobs.runner import Runner
from local.azureml.metrics.models import Bucket, EndpointMetrics
from local.azureml.models.models import Models, ModelVersion
from local.azureml.operations.models import Operations, OperationStatus
from local.azureml.processes.children import Children
from local.azureml.registry.models import Registry
from local.azureml.settings import CloudSettings, Pacer
from local.azureml.store import Store
from local.azureml.tracking.models import RunLogs, RunMetrics
from local.azureml.wire.documents import Times
from local.azureml.workspace.models import Datastores


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    folder: Path
    addresses: Addresses
    storage: str
    settings: CloudSettings
    topic_url: str | None = None
    topic_key: str | None = None
    neighbours: Neighbours = field(default_factory=Neighbours)


class ControlPlane:
    """Everything there is. `start` resumes what a stop interrupted, `stop` leaves everything as it is."""

    def __init__(self, options: Options, session: aiohttp.ClientSession) -> None:
        self.addresses, self._folder = options.addresses, options.folder
        self.session = session
        self.clock = Clock()
        self.pacer = Pacer(options.settings)
        self.identity_header = identity_header(options.folder)
        self.tokens = Tokens(options.addresses)
        self.workspace_guid = str(uuid.uuid5(uuid.NAMESPACE_URL, options.addresses.workspace_id.lower()))
        self.datastores = Datastores(options.storage, {"workspaceblobstore": "azureml", "droptune_frozen": "frozen"})
        now = self.clock.stamp()
        self.started = Times(now, now)
        self.faults = InjectedFaults()
        self.requests = RequestLog()
        self.children = Children()
        self.registry = Registry()
        self.publisher = Publisher(self.addresses, self.clock, options.topic_url, options.topic_key)
        self._store = Store(options.folder / "state.sqlite")
        self.operations = Operations(self._store.table("operations", OperationStatus))
        self.metrics = EndpointMetrics(self._store.table("metrics", Bucket), self.clock)
        self.around = Surroundings(
            self.addresses,
            options.neighbours,
            session,
            self._store.table("subscriptions", EventSubscription),
            self._store.table("ended", Ended),
        )
        self._wire_assets(options.folder)
        self._wire_endpoints(options.folder)
        self._background: list[asyncio.Task[None]] = []

    def _wire_assets(self, folder: Path) -> None:
        store = self._store
        self.computes = Computes(store.table("computes", AmlCompute), self.operations, self.pacer, self.clock)
        self.computes.furnish(self.pacer.settings.clusters)
        self.data = DataAssets(store.table("data", DataVersion), self.clock)
        self.jobs = Jobs(store.table("jobs", PipelineJob), self.registry, self.data, self.clock)
        self.runner = Runner(
            self.jobs,
            folder,
            self.children,
            self.datastores,
            self.operations,
            self.publisher,
            self.pacer,
            self.clock,
            self.computes,
        )
        self.jobs.start = self.runner.start
        self.jobs.cancel_running = self.runner.cancel
        self.runner.tracking = self._tracking
        self.logs = RunLogs(store.table("run_metrics", RunMetrics))
        self.models = Models(store.table("models", ModelVersion), self.jobs, self.addresses, self.clock, self.publisher)

    def _wire_endpoints(self, folder: Path) -> None:
        store = self._store
        self.endpoints = Endpoints(store.table("endpoints", OnlineEndpoint), self.operations, self.pacer, self.clock)
        self.deployments = Deployments(
            store.table("deployments", OnlineDeployment),
            folder,
            self.endpoints,
            self.models,
            self.datastores,
            self.children,
            self.session,
            self.operations,
            self.publisher,
            self.pacer,
            self.clock,
            self.addresses.subscription,
        )
        self.endpoints.deployments_of = self.deployments.names
        self.endpoints.remove_deployments = self.deployments.remove_all

    def _tracking(self) -> dict[str, str]:
        """What a job logs by, as Azure ML puts it into a job's environment."""
        address = self.addresses.tracking().replace("azureml://", "https://").rstrip("?")
        token = self.tokens.issue(self.addresses.base)["access_token"]
        return {"address": address, "token": token, "ca": str(self._folder / "ca.pem")}

    def start(self) -> None:
        """Go on where the last process ended."""
        self.children.warm_up()
        self._background = [
            asyncio.create_task(self.publisher.run()),
            asyncio.create_task(self.metrics.keep_flushing()),
        ]
        self.computes.resume()
        self.endpoints.resume()
        self.deployments.resume()
        self.runner.resume()

    async def stop(self) -> None:
        """End all work and all children; the resources stay as they are."""
        self.faults.clear()
        await self.operations.stop()
        for task in self._background:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.children.stop()
        self.metrics.flush()
        self._store.close()


def cloud_of(request: Request) -> ControlPlane:
    """The cloud that a request is for."""
    cloud = request.app.state.cloud
    assert isinstance(cloud, ControlPlane)
    return cloud
