"""What is kept about a job and its steps; words for their statuses."""

from __future__ import annotations

from typing import Any

import msgspec

from local.azureml.wire.documents import Times

ENDED = frozenset({"Completed", "Failed", "Canceled"})
# No more progress will be made, but the service still counts the run as open.
HALTED = ENDED | {"NotResponding"}


class RunError(msgspec.Struct):
    """Why a run failed."""

    code: str
    message: str


class ChildRun(msgspec.Struct):
    """One child run."""

    run_id: str
    name: str
    status: str = "NotStarted"
    started: str | None = None
    ended: str | None = None
    error: RunError | None = None


class JobOutput(msgspec.Struct):
    """What a finished job left in the default datastore."""

    path: str
    flavors: dict[str, Any] = {}


class PipelineJob(msgspec.Struct):
    """One pipeline job."""

    name: str
    # As submitted; tags, description, display name and archiving follow later updates.
    properties: dict[str, Any]
    status: str
    times: Times
    steps: list[ChildRun]
    # Resolved component inputs: what the child process is given.
    inputs: dict[str, Any]
    output_name: str
    started: str | None = None
    ended: str | None = None
    error: RunError | None = None
    outputs: dict[str, JobOutput] = {}
    vanished: bool = False

    @property
    def experiment(self) -> str:
        """Name of the experiment it belongs to."""
        return str(self.properties.get("experimentName") or "Default")
