"""Registered models: versions that point to what a job left in the datastore.

A version is made once. Written again with the same path it changes only tags, description and archiving; with
another path, or after its deletion, it is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from local.azureml.addresses import Addresses
from local.azureml.clock import Clock
from local.azureml.events.publisher import Publisher
from local.azureml.jobs.documents import PipelineJob
from local.azureml.jobs.models import Jobs
from local.azureml.models.exceptions import NoSuchModel, NoSuchOutput, PathIsFixed, WasDeleted
from local.azureml.store import ResourceTable
from local.azureml.wire.documents import Times
from local.azureml.wire.errors import UserError

_JOB_OUTPUT = re.compile(r"^azureml://jobs/([^/]+)/outputs/([^/]+?)(?:/paths)?/?$")


class ModelVersion(msgspec.Struct):
    """One version of a registered model."""

    name: str
    version: str
    # What the caller gave, and where that is in the datastore.
    given_uri: str
    uri: str
    properties: dict[str, Any]
    times: Times
    job: str | None = None
    flavors: dict[str, Any] = {}
    deleted_at: str | None = None


@dataclass
class Models:
    """The workspace's registered models."""

    table: ResourceTable[ModelVersion]
    jobs: Jobs
    addresses: Addresses
    clock: Clock
    publisher: Publisher

    def get(self, name: str, version: str) -> ModelVersion:
        """One version, or NoSuchModel."""
        found = self.table.get(f"{name}/{version}")
        if found is None or found.deleted_at:
            raise NoSuchModel(name, version)
        return found

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions that are not deleted, newest first."""
        return [row for row in reversed(self.live()) if row.name.lower() == name.lower()]

    def live(self) -> list[ModelVersion]:
        """Every version of every model that is not deleted, oldest first."""
        return [row for row in self.table if not row.deleted_at]

    def by_id(self, reference: str) -> ModelVersion:
        """A version named by ARM id or `azureml:name:version`; BadArgument's cause otherwise."""
        if match := re.search(r"/models/([^/]+)/versions/([^/]+)$", reference, re.IGNORECASE):
            return self.get(match[1], match[2])
        if match := re.fullmatch(r"azureml:([^:]+):([^:]+)", reference):
            return self.get(match[1], match[2])
        raise UserError(f"'{reference}' names no model version of this workspace.")

    def put(self, name: str, version: str, body: dict[str, Any]) -> tuple[ModelVersion, bool]:
        """Register a version, or change what may change of it."""
        properties = body.get("properties") or {}
        given = properties.get("modelUri") or ""
        existing = self.table.get(f"{name}/{version}")
        if existing is None:
            return self._register(name, version, given, properties), True
        if existing.deleted_at:
            raise WasDeleted(name, version, existing.deleted_at)
        if given.rstrip("/") not in (existing.given_uri.rstrip("/"), existing.uri.rstrip("/")):
            raise PathIsFixed(name, version, existing.given_uri)
        existing.properties = properties
        existing.times.modified = self.clock.stamp()
        self.table.put(f"{name}/{version}", existing)
        return existing, False

    def _register(self, name: str, version: str, given: str, properties: dict[str, Any]) -> ModelVersion:
        uri, job, flavors = self._resolve(given)
        now = self.clock.stamp()
        row = ModelVersion(
            name=name,
            version=version,
            given_uri=given,
            uri=uri,
            properties=properties,
            times=Times(now, now),
            job=job.name if job else None,
            flavors=flavors,
        )
        self.table.put(f"{name}/{version}", row)
        self.publisher.model_registered(name, version, properties.get("tags") or {})
        return row

    def _resolve(self, given: str) -> tuple[str, PipelineJob | None, dict[str, Any]]:
        if not given.startswith("azureml://"):
            raise NoSuchOutput(f"'{given}' is no path to a model.")
        match = _JOB_OUTPUT.match(given)
        if match is None:
            return given, None, {}
        job = self.jobs.get(match[1])
        if match[2] not in job.outputs:
            raise NoSuchOutput(f"Job {job.name} ({job.status}) has no output '{match[2]}'.")
        output = job.outputs[match[2]]
        return self.addresses.output("workspaceblobstore", output.path), job, output.flavors

    def delete(self, name: str, version: str) -> bool:
        """Delete for good; False when there is none."""
        row = self.table.get(f"{name}/{version}")
        if row is None or row.deleted_at:
            return False
        row.deleted_at = self.clock.stamp()
        self.table.put(f"{name}/{version}", row)
        return True
