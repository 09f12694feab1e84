"""The machines that train and serve: which size, whether model and region allow it, and how much quota it takes.

Called by preflight and by the steps that reserve and submit. The rules are Azure's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import naming
from shared.azure.workspace.compute import MachineSize
from shared.azure.workspace.quota import QuotaUsage, family_key
from shared.errors import AccessDenied, BadSnapshot
from shared.ledger.pending import Patience, PendingWrite, pursue, reached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from shared.azure.workspace.compute import Cluster
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

SERVERLESS = "serverless"
_CHANGING = ("Creating", "Updating", "Deleting")
# GPU sizes that are too old to train on, in lower case.
TOO_OLD = ("standard_nc6", "standard_nc12", "standard_nc24", "standard_nc24r")
# A managed deployment reserves a fifth more machines for its own upgrades, except of the sizes that Azure's list of
# sizes for managed online endpoints marks "Skip 20% Reservation".
_RESERVE = 1.2
_WITHOUT_RESERVE = tuple(
    f"standard_{size}"
    for size in (
        "nc24ads_a100_v4", "nc48ads_a100_v4", "nc96ads_a100_v4", "nc40ads_h100_v5", "nc80adis_h100_v5",
        "nd96asr_v4", "nd96amsr_a100_v4", "nd40rs_v2", "nd96is_h100_v5", "nd96isr_h100_v5",
    )
)  # fmt: skip


# GPUs of one machine, for a region whose sizes the app may not read: those that the registry's models allow.
_GPUS = {
    "standard_nc24ads_a100_v4": 1, "standard_nc48ads_a100_v4": 2, "standard_nc96ads_a100_v4": 4,
    "standard_nc40ads_h100_v5": 1, "standard_nc80adis_h100_v5": 2,
    "standard_nd40rs_v2": 8, "standard_nd96asr_v4": 8, "standard_nd96amsr_a100_v4": 8,
    "standard_nd96is_h100_v5": 8, "standard_nd96isr_h100_v5": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """Machine sizes and quota of the region. None is what the app's identity may not read; `unchecked` says why."""

    sizes: Mapping[str, MachineSize] | None
    usages: Mapping[str, QuotaUsage] | None
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuotaNeed:
    """Cores of the quota that a snapshot takes. `held`: they count as used already, as far as they are used."""

    purpose: str
    size: MachineSize
    cores: int
    held: bool


def cluster(services: Services) -> Cluster | None:
    """The named cluster that trains; None with serverless compute, or when there is no such cluster (yet)."""
    name = services.settings.training_compute
    return None if name == SERVERLESS else services.workspace.compute.get(name)


def region(services: Services, with_quota: bool = True) -> RegionFacts:
    """What the region offers and allows, as far as the app's identity may read it: both are on the subscription."""
    unchecked: list[str] = []

    def known[T](read: Callable[[], T], instead: str) -> T | None:
        try:
            return read()
        except AccessDenied as error:
            unchecked.append(f"{error}; {instead}")
            return None

    sizes = known(services.workspace.compute.sizes, "sizes are checked by the registry's facts about the model only")
    instead = "Azure says it when a job or a deployment takes too much"
    usages = known(services.workspace.quota.usages, instead) if with_quota else None
    return RegionFacts(sizes, usages, tuple(unchecked))


def training_size(services: Services) -> MachineSize:
    """The size that will train. Raises BadSnapshot when the region does not offer it.

    Where the app may not read the region's sizes, it is a size as the public lists have it; one GPU if they do not.
    """
    found = cluster(services)
    name = found.size if found else services.settings.training_instance_type
    sizes = region(services, with_quota=False).sizes
    if sizes is None:
        return MachineSize(name=name, gpus=_GPUS.get(name.lower(), 1), cores=0)
    size = sizes.get(name.lower())
    if size is None:
        raise BadSnapshot(f"the workspace's region does not offer {name}")
    return size


def ensure_cluster(services: Services, row: Snapshot) -> tuple[str, dict[str, PendingWrite]]:
    """Creates the named cluster where it is missing. What it has to be waited for, or nothing; and what is pending.

    Raises AzureFailed when Azure does not make it, or does not end changing it.
    """
    name, given = services.settings.training_compute, services.settings
    found = None if name == SERVERLESS else services.workspace.compute.get(name)
    what, changing = f"cluster {name}", found.state if found and found.state in _CHANGING else ""
    if name == SERVERLESS or (found is not None and not changing):
        return "", reached(row.pending, what)

    def create() -> str:
        tags = {naming.TAG_INSTALLATION: services.installation}
        size, nodes = given.training_instance_type, given.training_nodes
        return services.workspace.compute.create(name, size, nodes, tags, given.training_identity)

    pending = pursue(
        row.pending,
        what,
        now=services.clock(),
        patience=Patience(given.deploy_limit_minutes * 60, given.look_seconds),
        changing=changing,
        write=create,
        failure=services.workspace.failure,
    )
    return f"{what} is {changing or 'being created'}", pending


def cores_to_serve(size: MachineSize, instances: int) -> int:
    """The quota a deployment takes: `ceil(1.2 x instances) x cores`, without the reserve for exempt sizes."""
    factor = 1.0 if size.name.lower() in _WITHOUT_RESERVE else _RESERVE
    return math.ceil(round(factor * instances, 6)) * size.cores  # rounded first: 1.2 x 5 is a little more than 6


def quota_needs(services: Services, sizes: Mapping[str, MachineSize], cluster: Cluster | None) -> Iterator[QuotaNeed]:
    """What a snapshot takes of the quota: to prepare, to train and to serve, which do not overlap.

    A cluster that exists is in the region's usage as far as its nodes run, so its cores are only compared with the
    limit. Sizes that the region does not know are left out.
    """
    given = services.settings
    wanted = [("serving", given.serving_instance_type, given.serving_instances, False)]
    if given.training_compute == SERVERLESS:
        wanted.append(("preparing", given.preparation_instance_type, 1, False))
    training = cluster.size if cluster else given.training_instance_type
    wanted.append(("training", training, given.training_nodes, cluster is not None))
    for purpose, name, machines, held in wanted:
        size = sizes.get(name.lower())
        if size is not None:
            cores = cores_to_serve(size, machines) if purpose == "serving" else machines * size.cores
            yield QuotaNeed(f"{purpose} on {machines} x {size.name}", size, cores, held)


def usage_of(size: MachineSize, usages: Mapping[str, QuotaUsage]) -> QuotaUsage | None:
    """The usage of a size's family; None when Azure says nothing of it."""
    return usages.get(family_key(size.family)) if size.family else None
