"""The cores that the subscription may use in the workspace's region, by machine family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.azure.workspace.translation import reading
from shared.ledger.record import Struct

if TYPE_CHECKING:
    from shared.azure.workspace.client import AzureMlClient

# The row over all families, which stands beside theirs under a name of its own.
TOTAL = "total"


class QuotaUsage(Struct, frozen=True, kw_only=True):
    """The dedicated cores of one machine family in the region: in use by anybody of the subscription, and allowed."""

    used: int
    limit: int


def family_key(family: str) -> str:
    """A machine family's name as it is compared: Azure spells one in several ways (`standard NCASv3_T4 Family`)."""
    return family.replace(" ", "").replace("_", "").lower()


class QuotaOperations:
    """Reads quota; asking for more is a person's business."""

    def __init__(self, client: AzureMlClient) -> None:
        self._client = client

    def usages(self) -> dict[str, QuotaUsage]:
        """Dedicated cores in use and allowed, by machine family and in all (`TOTAL`).

        Raises AccessDenied without a role at the subscription.

        Rows of dedicated and low-priority cores have the same names and differ in their type only; so do rows of single
        workspaces. A limit of -1 is none. The SDK's entity has the cores in use under the service's own spelling.
        """
        with reading("quota"):
            found = list(self._client.workspace.compute.list_usage())
        rows = ((u, str(u.type or "").lower(), (u.name or {}).get("value") or "") for u in found)
        return {
            _key(name): QuotaUsage(used=int(getattr(u, "currentValue", None) or 0), limit=int(u.limit))
            for u, kind, name in rows
            if "lowprioritycores" not in kind and "/workspaces/" not in kind and (u.limit or 0) >= 0 and name
        }


def _key(name: str) -> str:
    """The row over all families is `Total Cluster Dedicated Regional vCPUs`; there are totals of other things."""
    key = family_key(name)
    return TOTAL if key.startswith(TOTAL) and "dedicated" in key else key
