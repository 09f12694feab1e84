"""Clusters: created in the background, Succeeded or Failed in the end.

Writing the same cluster again updates it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from local.azureml.clock import Clock
from local.azureml.compute.exceptions import NoSuchCompute, OnlyClusters, UnknownSize
from local.azureml.compute.sizes import find_size
from local.azureml.operations.models import OperationFailed, Operations
from local.azureml.settings import Pacer
from local.azureml.store import ResourceTable
from local.azureml.wire.documents import Times
from local.azureml.wire.errors import BadArgument

_FURNISHED = "Standard_NC24ads_A100_v4"


class AmlCompute(msgspec.Struct):
    """One AmlCompute cluster."""

    name: str
    state: str
    # The caller's own properties, returned as they came.
    properties: dict[str, Any]
    times: Times
    tags: dict[str, str] = {}
    location: str = "local"
    errors: list[dict[str, Any]] = []
    identity: dict[str, Any] = {}

    @property
    def identities(self) -> set[str]:
        """Who its nodes are to storage, in small letters: `cluster/<name>` by itself, or the ids it was given."""
        own = {f"cluster/{self.name}"} if "systemassigned" in str(self.identity.get("type", "")).lower() else set()
        return {identity.lower() for identity in {*own, *(self.identity.get("userAssignedIdentities") or {})}}


@dataclass
class Computes:
    """The workspace's clusters."""

    table: ResourceTable[AmlCompute]
    operations: Operations
    pacer: Pacer
    clock: Clock
    # Clusters whose provisioning is to fail: name to message (control API).
    to_fail: dict[str, str] = field(default_factory=dict)

    def furnish(self, clusters: dict[str, str]) -> None:
        """Have these clusters, by name, with these identities, as a template would have made them."""
        for name, identity in clusters.items():
            if self.table.get(name) is None:
                now = self.clock.stamp()
                scale = {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT2M"}
                cluster = AmlCompute(
                    name=name,
                    state="Succeeded",
                    properties={"vmSize": _FURNISHED, "vmPriority": "Dedicated", "scaleSettings": scale},
                    times=Times(now, now),
                    identity={"type": "UserAssigned", "userAssignedIdentities": {identity: {}}},
                )
                self.table.put(name, cluster)

    def get(self, name: str) -> AmlCompute:
        """The cluster, or NoSuchCompute."""
        cluster = self.table.get(name)
        if cluster is None:
            raise NoSuchCompute(name)
        return cluster

    def put(self, name: str, body: dict[str, Any]) -> tuple[AmlCompute, bool]:
        """Create or update; returns the cluster and whether it is new."""
        outer = body.get("properties") or {}
        if outer.get("computeType") != "AmlCompute":
            raise OnlyClusters(outer.get("computeType"))
        inner = outer.get("properties") or {}
        if not inner.get("vmSize"):
            raise BadArgument("properties.vmSize is required.")
        if find_size(inner["vmSize"]) is None:
            raise UnknownSize(inner["vmSize"])
        return self._keep(name, body, inner)

    def _keep(self, name: str, body: dict[str, Any], inner: dict[str, Any]) -> tuple[AmlCompute, bool]:
        existing = self.table.get(name)
        now = self.clock.stamp()
        cluster = AmlCompute(
            name=name,
            state="Updating" if existing else "Creating",
            properties=inner,
            times=Times(existing.times.created if existing else now, now),
            tags=body.get("tags") or {},
            location=body.get("location") or "local",
            identity=body.get("identity") or {},
        )
        self.table.put(name, cluster)
        self.operations.start(f"computes/{name}", self._provision(name))
        return cluster, existing is None

    async def _provision(self, name: str) -> None:
        await self.pacer.wait("compute_seconds")
        cluster = self.get(name)
        message = self.to_fail.pop(name, None)
        if message is not None:
            cluster.state = "Failed"
            cluster.errors = [{"error": {"code": "ClusterCoreQuotaReached", "message": message}}]
            self.table.put(name, cluster)
            raise OperationFailed("ClusterCoreQuotaReached", message)
        cluster.state = "Succeeded"
        self.table.put(name, cluster)

    def delete(self, name: str) -> bool:
        """Start deleting; False when there is none."""
        cluster = self.table.get(name)
        if cluster is None:
            return False
        cluster.state = "Deleting"
        self.table.put(name, cluster)
        self.operations.start(f"computes/{name}", self._remove(name))
        return True

    async def _remove(self, name: str) -> None:
        await self.pacer.wait("delete_seconds")
        self.table.remove(name)

    def resume(self) -> None:
        """Go on with what was under way when the process ended."""
        for cluster in self.table:
            if cluster.state in ("Creating", "Updating"):
                self.operations.start(f"computes/{cluster.name}", self._provision(cluster.name))
            elif cluster.state == "Deleting":
                self.operations.start(f"computes/{cluster.name}", self._remove(cluster.name))
