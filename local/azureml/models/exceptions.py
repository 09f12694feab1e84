"""Refusals about registered models."""

from __future__ import annotations

from local.azureml.wire.errors import Conflict, ResourceNotFound, UserError


class NoSuchModel(ResourceNotFound):
    """No such model or version."""

    code = "ModelNotFound"

    def __init__(self, name: str, version: str = "") -> None:
        which = f"{name}:{version}" if version else name
        super().__init__(f"Model {which} was not found in the workspace.")


class PathIsFixed(Conflict):
    """A version holds one artifact for good."""

    def __init__(self, name: str, version: str, path: str) -> None:
        super().__init__(f"A model with this name and version already exists: {name}:{version} is {path}.")


class WasDeleted(Conflict):
    """A deleted version's name is used up."""

    def __init__(self, name: str, version: str, when: str) -> None:
        super().__init__(f"Model {name}:{version} was deleted at {when}, it cannot be recreated.")


class NoSuchOutput(UserError):
    """The artifact to register is not there."""
