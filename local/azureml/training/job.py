"""What a job's process knows about its job, and how a step says that the data or the inputs are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPLITS = ("train", "validation", "test")


class StepError(Exception):
    """A step cannot go on; the message is for the person who submitted the job."""

    def __init__(self, message: str, code: str = "UserError") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class TrainingJob:
    """The runner's first message."""

    name: str
    folder: Path
    # The component's inputs, defaults filled in; paths as URIs.
    inputs: dict[str, Any]
    connection: str
    containers: dict[str, str]
    # Where in the default datastore the finished model goes.
    output_path: str
    # GPUs of every known virtual machine size, lower case.
    gpus: dict[str, int]
    log_files: dict[str, str]
    # Run ids of the steps, and where and with which token they log: address, token, ca.
    runs: dict[str, str]
    tracking: dict[str, str]
    # How long the step that runs is to take at least.
    seconds: float = 0.0

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> TrainingJob:
        """Read the runner's first message."""
        return cls(
            name=message["job"],
            folder=Path(message["folder"]),
            inputs=message["inputs"],
            connection=message["connection"],
            containers=message["containers"],
            output_path=message["output_path"],
            gpus=message["gpus"],
            log_files=message["log_files"],
            runs=message["runs"],
            tracking=message["tracking"],
        )

    @property
    def work(self) -> Path:
        """Where steps leave things for each other; deleted when the job has ended."""
        return self.folder / "work"
