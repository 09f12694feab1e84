"""The frame that every Azure resource document has."""

from __future__ import annotations

import re
from typing import Any

import msgspec

TERMINAL = frozenset({"Succeeded", "Failed", "Canceled"})


class Times(msgspec.Struct):
    """When a resource was made and last changed."""

    created: str
    modified: str

    def system_data(self) -> dict[str, str]:
        """Azure's `systemData`."""
        return {
            "createdAt": self.created,
            "createdBy": "local",
            "createdByType": "User",
            "lastModifiedAt": self.modified,
            "lastModifiedBy": "local",
            "lastModifiedByType": "User",
        }


def document(identity: str, kind: str, properties: dict[str, Any], times: Times, /, **more: Any) -> dict[str, Any]:
    """A resource as the service returns it."""
    return {
        "id": identity,
        "name": identity.rsplit("/", 1)[-1],
        "type": f"Microsoft.MachineLearningServices/{kind}",
        "properties": properties,
        "systemData": times.system_data(),
        **more,
    }


_DURATION = re.compile(r"^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$")


def seconds_of(duration: str) -> float:
    """Seconds in an ISO 8601 duration such as PT1M30S; ValueError for anything else."""
    match = _DURATION.match(duration)
    if match is None or not any(match.groups()):
        raise ValueError(f"not an ISO 8601 duration: {duration}")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
