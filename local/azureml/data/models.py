"""Data assets: versions of names for places.

The same version written again keeps its place and changes its tags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from local.azureml.clock import Clock
from local.azureml.data.exceptions import DataPathIsFixed, NoSuchData
from local.azureml.store import ResourceTable
from local.azureml.wire.documents import Times
from local.azureml.wire.errors import UserError


class DataVersion(msgspec.Struct):
    """One version of a data asset."""

    name: str
    version: str
    properties: dict[str, Any]
    times: Times


@dataclass
class DataAssets:
    """The workspace's data assets."""

    table: ResourceTable[DataVersion]
    clock: Clock

    def get(self, name: str, version: str) -> DataVersion:
        """One version, or NoSuchData."""
        found = self.table.get(f"{name}/{version}")
        if found is None:
            raise NoSuchData(name, version)
        return found

    def versions(self, name: str) -> list[DataVersion]:
        """All versions, newest first."""
        return [row for row in reversed(self.table.values()) if row.name.lower() == name.lower()]

    def put(self, name: str, version: str, body: dict[str, Any]) -> tuple[DataVersion, bool]:
        """Create, or change tags, description and archiving of what is there."""
        properties = body.get("properties") or {}
        if not properties.get("dataUri") or not properties.get("dataType"):
            raise UserError("properties.dataUri and properties.dataType are required.")
        existing = self.table.get(f"{name}/{version}")
        if existing and existing.properties["dataUri"] != properties["dataUri"]:
            raise DataPathIsFixed(name, version)
        now = self.clock.stamp()
        row = DataVersion(name, version, properties, Times(existing.times.created if existing else now, now))
        self.table.put(f"{name}/{version}", row)
        return row, existing is None
