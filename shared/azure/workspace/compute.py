"""Clusters of the workspace, and the machine sizes of its region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.azure.workspace.client import operation_of
from shared.azure.workspace.names import check_tags, named
from shared.azure.workspace.translation import or_none, reading, state_of, writing
from shared.ledger.record import Struct

if TYPE_CHECKING:
    from shared.azure.workspace.client import AzureMlClient

_IDLE_SECONDS = 120


class MachineSize(Struct, frozen=True, kw_only=True):
    """A machine size: what one machine has, and the family whose quota it takes. Memory and disk 0: not known."""

    name: str
    gpus: int
    cores: int
    family: str = ""
    memory_gb: float = 0.0
    disk_gb: float = 0.0


class Cluster(Struct, frozen=True, kw_only=True):
    """A compute cluster of the workspace."""

    name: str
    size: str
    state: str
    errors: str = ""


class ComputeOperations:
    """Reads clusters and sizes, makes a cluster."""

    def __init__(self, client: AzureMlClient) -> None:
        self._client = client

    def sizes(self) -> dict[str, MachineSize]:
        """The machine sizes of the workspace's region, by name in lower case.

        Raises AccessDenied without a role at the subscription.
        """
        with reading("machine sizes"):
            found = list(self._client.workspace.compute.list_sizes())
        return {s.name.lower(): _machine_size(s) for s in found}

    def get(self, name: str) -> Cluster | None:
        """A cluster."""
        with reading(named("compute", name)):
            found = or_none(lambda: self._client.workspace.compute.get(name))
        if found is None:
            return None
        errors = getattr(found, "provisioning_errors", None)
        size = getattr(found, "size", "") or ""
        return Cluster(name=name, size=size, state=state_of(found), errors=str(errors) if errors else "")

    def create(self, name: str, size: str, nodes: int, tags: dict[str, str]) -> str:
        """Starts creating a cluster that scales to zero.

        Returns the address of the operation, for `Workspace.failure`; empty when the service names none.
        """
        from azure.ai.ml.entities import AmlCompute

        what = named("compute", name)
        named("machine size", size)
        check_tags(tags)
        cluster = AmlCompute(
            name=name,
            size=size,
            min_instances=0,
            max_instances=nodes,
            idle_time_before_scale_down=_IDLE_SECONDS,
            tags=tags,
        )
        with writing(what):
            return operation_of(self._client.workspace.compute.begin_create_or_update(cluster))


def _machine_size(found: Any) -> MachineSize:
    """A size under the service's own spellings, which the SDK's entity has beside names of its own."""

    def number(name: str) -> float:
        return float(getattr(found, name, None) or 0)

    return MachineSize(
        name=found.name,
        gpus=int(found.gpus or 0),
        cores=int(number("vCPUs")),
        family=found.family or "",
        memory_gb=number("memoryGB"),
        disk_gb=number("maxResourceVolumeMB") / 1024,
    )
