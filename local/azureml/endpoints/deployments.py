"""Deployments: a registered model served by a process of its own.

Succeeded is only what really answered its probe. Writing the same deployment again starts it anew when
model or size of requests differ, and only changes its documents otherwise. Deleting stops the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from local.azureml.clock import Clock
from local.azureml.compute.sizes import find_size
from local.azureml.endpoints.exceptions import HasTraffic, NoSuchDeployment
from local.azureml.endpoints.models import Endpoints, OnlineEndpoint, check_name
from local.azureml.endpoints.quota import check_quota, cores_needed
from local.azureml.endpoints.replica import SERVER_LOG, Replica, ReplicaNotReady
from local.azureml.events.publisher import Publisher
from local.azureml.models.models import Models, ModelVersion
from local.azureml.operations.models import OperationFailed, Operations
from local.azureml.processes.children import Children
from local.azureml.settings import Pacer
from local.azureml.store import ResourceTable
from local.azureml.wire.documents import Times, seconds_of
from local.azureml.wire.errors import BadArgument, WireError
from local.azureml.workspace.models import Datastores

MOST_INSTANCES = 50


class OnlineDeployment(msgspec.Struct):
    """One deployment behind an endpoint."""

    endpoint: str
    name: str
    state: str
    times: Times
    # As written by the caller.
    properties: dict[str, Any]
    instances: int
    size: str
    tags: dict[str, str] = {}
    location: str = "local"

    @property
    def key(self) -> str:
        """Its place in the table, its folder, its operation."""
        return f"{self.endpoint}/{self.name}"

    @property
    def operation(self) -> str:
        """Key of the operation on it."""
        return f"onlineEndpoints/{self.endpoint}/deployments/{self.name}"

    @property
    def concurrency(self) -> int:
        """Requests that one instance takes at once."""
        return int(self._request_settings().get("maxConcurrentRequestsPerInstance") or 1)

    @property
    def workers(self) -> int:
        """Questions that the real images answer at once at `/score`, by their environment variable."""
        told = str((self.properties.get("environmentVariables") or {}).get("WORKER_COUNT", "1"))
        return max(1, int(told)) if told.isdecimal() else 1

    @property
    def timeout(self) -> float:
        """Seconds after which a request is given up."""
        return seconds_of(self._request_settings().get("requestTimeout") or "PT5S")

    def _request_settings(self) -> dict[str, Any]:
        return self.properties.get("requestSettings") or {}


class PlannedFailure(msgspec.Struct, forbid_unknown_fields=True):
    """A deployment that is to fail, on request of the control API."""

    code: str = "ResourceNotReady"
    message: str = "User container has crashed or terminated."
    # What the container is to have written before it died.
    log: str = ""
    # It is being made for so long first, or until all faults are cleared.
    after_seconds: float = 0.0


@dataclass
class Deployments:
    """All deployments of the workspace."""

    table: ResourceTable[OnlineDeployment]
    folder: Path
    endpoints: Endpoints
    models: Models
    datastores: Datastores
    children: Children
    session: aiohttp.ClientSession
    operations: Operations
    publisher: Publisher
    pacer: Pacer
    clock: Clock
    subscription: str
    replicas: dict[str, Replica] = field(default_factory=dict)
    # By "endpoint/deployment", or "endpoint/*" for the next one (control API).
    to_fail: dict[str, PlannedFailure] = field(default_factory=dict)
    _cleared: asyncio.Event = field(default_factory=asyncio.Event)

    # -- looking ---------------------------------------------------------------------------------

    def get(self, endpoint: str, name: str) -> OnlineDeployment:
        """The deployment, or NoSuchDeployment."""
        self.endpoints.get(endpoint)
        deployment = self.table.get(f"{endpoint}/{name}")
        if deployment is None:
            raise NoSuchDeployment(endpoint, name)
        return deployment

    def of(self, endpoint: str) -> list[OnlineDeployment]:
        """All deployments of an endpoint, oldest first."""
        return [row for row in self.table if row.endpoint.lower() == endpoint.lower()]

    def names(self, endpoint: str) -> list[str]:
        """Their names."""
        return [row.name for row in self.of(endpoint)]

    def replica(self, deployment: OnlineDeployment) -> Replica:
        """Its process, running or not."""
        folder = self.folder / "deployments" / deployment.key
        return self.replicas.setdefault(deployment.key.lower(), Replica(folder))

    def cores_in_use(self, *, but: OnlineDeployment | None = None) -> dict[str, int]:
        """Cores by family, of all deployments that hold machines."""
        used: dict[str, int] = {}
        for row in self.table:
            size = find_size(row.size)
            if size is not None and row.state != "Failed" and row is not but:
                needed = cores_needed(size, row.instances, self.pacer.settings)
                used[size.family] = used.get(size.family, 0) + needed
        return used

    # -- writing ---------------------------------------------------------------------------------

    def put(self, endpoint: str, name: str, body: dict[str, Any]) -> tuple[OnlineDeployment, bool]:
        """Create or update; returns the deployment and whether it is new."""
        check_name("OnlineDeployment", name)
        self.endpoints.get(endpoint)
        existing = self.table.get(f"{endpoint}/{name}")
        deployment = self._described(endpoint, name, body, existing)
        self._check(deployment, existing)
        self.endpoints.claim(endpoint)
        as_it_runs = existing is not None and existing.state == "Succeeded" and _same(existing, deployment)
        self.table.put(deployment.key, deployment)
        self.operations.start(deployment.operation, self._provision(deployment, start=not as_it_runs))
        return deployment, existing is None

    def _described(
        self, endpoint: str, name: str, body: dict[str, Any], existing: OnlineDeployment | None
    ) -> OnlineDeployment:
        properties = body.get("properties") or {}
        now = self.clock.stamp()
        return OnlineDeployment(
            endpoint=existing.endpoint if existing else endpoint,
            name=existing.name if existing else name,
            state="Updating" if existing else "Creating",
            times=Times(existing.times.created if existing else now, now),
            properties=properties,
            instances=int((body.get("sku") or {}).get("capacity") or 1),
            size=str(properties.get("instanceType") or ""),
            tags=body.get("tags") or {},
            location=body.get("location") or "local",
        )

    def _check(self, deployment: OnlineDeployment, existing: OnlineDeployment | None) -> None:
        size = find_size(deployment.size)
        if size is None:
            raise BadArgument(f"The specified instance type '{deployment.size}' is not supported in this region.")
        if deployment.instances > MOST_INSTANCES:
            raise BadArgument(f"A deployment has at most {MOST_INSTANCES} instances; found {deployment.instances}.")
        self._model_of(deployment)
        try:
            _ = deployment.timeout
        except ValueError as error:
            raise BadArgument(f"requestSettings.requestTimeout: {error}") from error
        used = Counter(self.cores_in_use(but=existing)) + Counter(self.pacer.settings.cores_of_others)
        needed = cores_needed(size, deployment.instances, self.pacer.settings)
        check_quota(size, needed, used, self.pacer.settings, self.subscription)

    def _model_of(self, deployment: OnlineDeployment) -> ModelVersion:
        reference = str(deployment.properties.get("model") or "")
        try:
            return self.models.by_id(reference)
        except WireError as error:
            raise BadArgument(f"Deployment {deployment.name}: {error.message}") from error

    async def _provision(self, deployment: OnlineDeployment, *, start: bool = True) -> None:
        try:
            if start:
                await self._start(deployment)
            await self.pacer.wait("deployment_seconds")
        except OperationFailed:
            self._set_state(deployment, "Failed")
            self.endpoints.release(deployment.endpoint)
            raise
        self._set_state(deployment, "Succeeded")
        self.endpoints.release(deployment.endpoint)
        model = self._model_of(deployment)
        self.publisher.model_deployed(deployment.endpoint, f"{model.name}:{model.version}", deployment.tags)

    async def _start(self, deployment: OnlineDeployment) -> None:
        """Start a process for the deployment; one that serves already is stopped once the new one answers."""
        old = self.replica(deployment)
        # One that never ran is started itself: after a restart of the cloud, requests wait on it already.
        new = old if old.child is None else Replica(old.folder)
        new.folder.mkdir(parents=True, exist_ok=True)
        if planned := self._planned(deployment):
            with (new.folder / SERVER_LOG).open("a") as log_file:
                log_file.write(f"{planned.log or planned.message}\n")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._cleared.wait(), planned.after_seconds)
            raise OperationFailed(planned.code, planned.message)
        limit = self.pacer.settings.deployment_timeout_seconds
        try:
            await new.start(self.children, self._specification(deployment), self.session, limit)
        except ReplicaNotReady as error:
            raise OperationFailed("ResourceNotReady", str(error)) from error
        self.replicas[deployment.key.lower()] = new
        self.operations.watch(self._watch(deployment.key, new))
        if old is not new:
            await old.stop()

    def clear_failures(self) -> None:
        """Plans no failure any more, and lets those go on that take their time."""
        self.to_fail.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    def _planned(self, deployment: OnlineDeployment) -> PlannedFailure | None:
        """What is to go wrong with this write: planned for this deployment, or for the next behind its endpoint."""
        by_name = self.to_fail.pop(deployment.key.lower(), None)
        return by_name or self.to_fail.pop(f"{deployment.endpoint}/*".lower(), None)

    def _specification(self, deployment: OnlineDeployment) -> dict[str, Any]:
        place = self.datastores.place(self._model_of(deployment).uri)
        return {
            "connection": self.datastores.connection,
            "container": place.container,
            "path": place.path.rstrip("/") + "/",
            "concurrency": deployment.concurrency * deployment.instances,
            "workers": deployment.workers * deployment.instances,
        }

    async def _watch(self, key: str, replica: Replica) -> None:
        """A process that ends by itself makes its deployment Failed."""
        assert replica.child is not None
        await replica.child.ended()
        deployment = self.table.get(key)
        if self.replicas.get(key.lower()) is replica and replica.ready.is_set() and deployment is not None:
            replica.ready.clear()
            self._set_state(deployment, "Failed")

    def _set_state(self, deployment: OnlineDeployment, state: str) -> None:
        deployment.state = state
        deployment.times.modified = self.clock.stamp()
        self.table.put(deployment.key, deployment)

    # -- deleting --------------------------------------------------------------------------------

    def delete(self, endpoint: str, name: str) -> OnlineDeployment | None:
        """Start deleting; None when there is none."""
        owner = self.endpoints.get(endpoint)
        deployment = self.table.get(f"{endpoint}/{name}")
        if deployment is None:
            return None
        if weight := _weight(owner, name):
            raise HasTraffic(name, weight)
        self.endpoints.claim(endpoint)
        self._set_state(deployment, "Deleting")
        self.operations.start(deployment.operation, self._delete(deployment))
        return deployment

    async def _delete(self, deployment: OnlineDeployment) -> None:
        await self.pacer.wait("delete_seconds")
        if planned := self.to_fail.pop(deployment.key.lower(), None):
            self._set_state(deployment, "Failed")
            self.endpoints.release(deployment.endpoint)
            raise OperationFailed(planned.code, planned.message)
        await self._forget(deployment)
        self.endpoints.release(deployment.endpoint)

    async def _forget(self, deployment: OnlineDeployment) -> None:
        replica = self.replica(deployment)
        await replica.stop()
        self.replicas.pop(deployment.key.lower(), None)
        shutil.rmtree(replica.folder, ignore_errors=True)
        self.table.remove(deployment.key)

    async def remove_all(self, endpoint: str) -> None:
        """Stop and forget everything behind an endpoint."""
        for deployment in self.of(endpoint):
            self.operations.give_up(deployment.operation)
            await self._forget(deployment)

    # -- starting again --------------------------------------------------------------------------

    def resume(self) -> None:
        """Go on with writes that were under way, and start the processes of all that had succeeded."""
        for deployment in self.table:
            if deployment.state in ("Creating", "Updating"):
                self.endpoints.hold(deployment.endpoint)
                self.operations.start(deployment.operation, self._provision(deployment))
            elif deployment.state == "Deleting":
                self.endpoints.hold(deployment.endpoint)
                self.operations.start(deployment.operation, self._delete(deployment))
            elif deployment.state == "Succeeded":
                self.operations.start(deployment.operation, self._revive(deployment))

    async def _revive(self, deployment: OnlineDeployment) -> None:
        try:
            await self._start(deployment)
        except OperationFailed:
            self._set_state(deployment, "Failed")
            raise


def _weight(endpoint: OnlineEndpoint, deployment: str) -> int:
    return next((w for name, w in endpoint.traffic.items() if name.lower() == deployment.lower()), 0)


def _same(old: OnlineDeployment, new: OnlineDeployment) -> bool:
    """Whether a running process would not notice the difference."""
    names = ("model", "requestSettings")
    return old.instances == new.instances and all(
        old.properties.get(name) == new.properties.get(name) for name in names
    )
