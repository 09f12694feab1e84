"""Cores that deployments take: each reserves a share for its own upgrades."""

from __future__ import annotations

import math

from local.azureml.compute.sizes import VmSize
from local.azureml.endpoints.exceptions import OutOfQuota
from local.azureml.settings import CloudSettings


def cores_needed(size: VmSize, instances: int, settings: CloudSettings) -> int:
    """`ceil(1.2 * instances) * cores`, except for sizes that need no reserve."""
    exempt = {name.lower() for name in settings.sizes_without_reserve}
    factor = 1.0 if size.name.lower() in exempt else 1.0 + settings.upgrade_reserve
    # Rounded first: 1.2 * 5 is a little more than 6 in floating point.
    return math.ceil(round(factor * instances, 6)) * size.vCPUs


def check_quota(size: VmSize, needed: int, used: int, settings: CloudSettings, subscription: str) -> None:
    """OutOfQuota when the family has not enough cores left."""
    limit = settings.quota.get(size.family, settings.quota.get("*", 0))
    if used + needed > limit:
        raise OutOfQuota(size.name, subscription, used, limit, needed)
