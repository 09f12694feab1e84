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
    """A compute cluster of the workspace: the managed identities that its machines have, and how many there may be.

    `most_nodes` 0: not known. A system-assigned identity is `system`.
    """

    name: str
    size: str
    state: str
    errors: str = ""
    identities: tuple[str, ...] = ()
    most_nodes: int = 0


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
        return Cluster(
            name=name,
            size=getattr(found, "size", "") or "",
            state=state_of(found),
            errors=str(errors) if errors else "",
            identities=_identities(getattr(found, "identity", None)),
            most_nodes=int(getattr(found, "max_instances", None) or 0),
        )

    def create(self, name: str, size: str, nodes: int, tags: dict[str, str], identity: str = "") -> str:
        """Starts creating a cluster that scales to zero, with a user-assigned identity (its resource id) or none.

        Returns the address of the operation, for `Workspace.failure`; empty when the service names none.
        """
        from azure.ai.ml.entities import AmlCompute, IdentityConfiguration, ManagedIdentityConfiguration

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
            identity=IdentityConfiguration(
                type="UserAssigned", user_assigned_identities=[ManagedIdentityConfiguration(resource_id=identity)]
            )
            if identity
            else None,
        )
        with writing(what):
            return operation_of(self._client.workspace.compute.begin_create_or_update(cluster))


def _identities(found: Any) -> tuple[str, ...]:
    """The resource ids of user-assigned identities, and `system`."""
    kind = str(getattr(found, "type", "") or "").lower().replace("_", "")
    assigned = [str(each.resource_id) for each in getattr(found, "user_assigned_identities", None) or []]
    return (*(("system",) if "systemassigned" in kind else ()), *assigned)


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
