"""Refusals about jobs."""

from __future__ import annotations

from collections.abc import Sequence

from local.azureml.wire.errors import NotImitated, ResourceNotFound, UserError


class NoSuchJob(ResourceNotFound):
    """No job or run of that name."""

    code = "UserError"

    def __init__(self, name: str) -> None:
        super().__init__(f"Run {name} was not found in the workspace.")


class JobIsImmutable(UserError):
    """A submitted job's work cannot be changed any more."""

    def __init__(self, properties: Sequence[str]) -> None:
        names = ", ".join(properties)
        super().__init__(
            "A job with this name already exists. If you are trying to create a new job, use a different "
            f"name. If you are trying to update an existing job, the existing job's {names} cannot be "
            "changed. Only description, tags, displayName, properties, and isArchived can be updated.",
            inner={"code": "Immutable", "innererror": {"code": "JobPropertyImmutable"}},
        )


class InvalidJob(UserError):
    """What was submitted cannot run."""


class JobHasEnded(UserError):
    """Too late to cancel."""

    def __init__(self, name: str, status: str) -> None:
        super().__init__(f"Run {name} is already in a terminal state ({status}) and cannot be canceled.")


class OnlyChatPipelines(NotImitated):
    """Jobs of any other make."""
