"""Cores that deployments take: each reserves a share for its own upgrades."""

from __future__ import annotations

import math
from collections.abc import Mapping

from local.azureml.compute.sizes import VmSize
from local.azureml.endpoints.exceptions import OutOfQuota
from local.azureml.settings import TOTAL, CloudSettings


def cores_needed(size: VmSize, instances: int, settings: CloudSettings) -> int:
    """`ceil(1.2 * instances) * cores`, except for sizes that need no reserve."""
    exempt = {name.lower() for name in settings.sizes_without_reserve}
    factor = 1.0 if size.name.lower() in exempt else 1.0 + settings.upgrade_reserve
    # Rounded first: 1.2 * 5 is a little more than 6 in floating point.
    return math.ceil(round(factor * instances, 6)) * size.vCPUs


def check_quota(size: VmSize, needed: int, used: Mapping[str, int], settings: CloudSettings, subscription: str) -> None:
    """OutOfQuota when the family, or all together, have not enough cores left; `used` is by family."""
    limit = settings.quota.get(size.family, settings.quota.get("*", 0))
    total = settings.quota.get(TOTAL)
    for held, most in ((used.get(size.family, 0), limit), (sum(used.values()), total)):
        if most is not None and held + needed > most:
            raise OutOfQuota(size.name, subscription, held, most, needed)
