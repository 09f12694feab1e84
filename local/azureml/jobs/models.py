"""Jobs: accepted once, immutable afterwards, moved on by the runner.

The same job written again is the job that is there; a different one under its name is refused, except for
what may change: description, tags, displayName, properties, isArchived.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local.azureml.clock import Clock
from local.azureml.data.models import DataAssets
from local.azureml.jobs.checks import check_base_model, only_node, output_name, resolve_inputs
from local.azureml.jobs.documents import HALTED, ChildRun, PipelineJob
from local.azureml.jobs.exceptions import JobHasEnded, JobIsImmutable, NoSuchJob
from local.azureml.registry.models import Registry
from local.azureml.store import ResourceTable
from local.azureml.wire.documents import Times

_IMMUTABLE = ("jobType", "settings", "inputs", "outputs", "jobs", "experimentName", "computeId")
_MUTABLE = ("description", "displayName", "isArchived")


@dataclass
class Jobs:
    """The workspace's jobs."""

    table: ResourceTable[PipelineJob]
    registry: Registry
    data: DataAssets
    clock: Clock
    # Set by the wiring: hands a new job to the runner, or takes it away.
    start: Callable[[PipelineJob], None] = lambda job: None
    cancel_running: Callable[[PipelineJob], None] = lambda job: None

    def get(self, name: str) -> PipelineJob:
        """The job, or NoSuchJob."""
        job = self.table.get(name)
        if job is None or job.vanished:
            raise NoSuchJob(name)
        return job

    def keep(self, job: PipelineJob) -> None:
        """Write a job that was changed."""
        job.times.modified = self.clock.stamp()
        self.table.put(job.name, job)

    def step(self, run_id: str) -> tuple[PipelineJob, ChildRun]:
        """A child run and its job, or NoSuchJob."""
        for job in self.table:
            for step in job.steps:
                if step.run_id == run_id and not job.vanished:
                    return job, step
        raise NoSuchJob(run_id)

    def all(self) -> list[PipelineJob]:
        """Newest first, as the service lists them."""
        return [job for job in reversed(self.table.values()) if not job.vanished]

    def put(self, name: str, body: dict[str, Any]) -> tuple[PipelineJob, bool]:
        """Submit, or update what may be updated; returns the job and whether it is new."""
        properties = body.get("properties") or {}
        existing = self.table.get(name)
        if existing is not None:
            self._update(existing, properties)
            return existing, False
        job = self._accepted(name, properties)
        self.keep(job)
        self.start(job)
        return job, True

    def _accepted(self, name: str, properties: dict[str, Any]) -> PipelineJob:
        component = self.registry.component
        node = only_node(properties, component)
        inputs = resolve_inputs(node, properties.get("inputs") or {}, component)
        check_base_model(inputs, self.registry)
        now = self.clock.stamp()
        return PipelineJob(
            name=name,
            properties=properties,
            status="NotStarted",
            times=Times(now, now),
            steps=[ChildRun(str(uuid.uuid4()), fact.name) for fact in component.steps],
            inputs={key: self._followed(value) for key, value in inputs.items()},
            output_name=output_name(node, properties.get("outputs") or {}),
        )

    def _followed(self, value: Any) -> Any:
        """Data assets become the places they name."""
        if isinstance(value, str) and "/data/" in value and "/versions/" in value and value.startswith("/"):
            name, version = value.rsplit("/data/", 1)[1].split("/versions/")
            return self.data.get(name, version).properties["dataUri"]
        return value

    def _update(self, job: PipelineJob, properties: dict[str, Any]) -> None:
        different = [name for name in _IMMUTABLE if _differ(job.properties.get(name), properties.get(name))]
        if different:
            raise JobIsImmutable(different)
        for name in _MUTABLE:
            if name in properties:
                job.properties[name] = properties[name]
        # Tags and properties can be added and changed; leaving one out removes nothing.
        for name in ("tags", "properties"):
            job.properties[name] = {**(job.properties.get(name) or {}), **(properties.get(name) or {})}
        self.keep(job)

    def patch(self, name: str, changes: dict[str, Any]) -> PipelineJob:
        """What the history service may change of a run."""
        job = self.get(name)
        for key in ("tags", "properties"):
            job.properties[key] = {**(job.properties.get(key) or {}), **(changes.get(key) or {})}
        for key in ("displayName", "description"):
            if changes.get(key) is not None:
                job.properties[key] = changes[key]
        # The history service's word for archived; the SDK archives jobs this way.
        if changes.get("hidden") is not None:
            job.properties["isArchived"] = changes["hidden"]
        self.keep(job)
        return job

    def cancel(self, name: str) -> PipelineJob:
        """Ask the runner to stop; repeating it changes nothing while it stops."""
        job = self.get(name)
        if job.status in HALTED:
            raise JobHasEnded(name, job.status)
        self.cancel_running(job)
        return job


def _differ(ours: Any, theirs: Any) -> bool:
    return (ours or None) != (theirs or None)
