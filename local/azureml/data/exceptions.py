"""Refusals about data assets."""

from __future__ import annotations

from local.azureml.wire.errors import Conflict, ResourceNotFound


class NoSuchData(ResourceNotFound):
    """No such asset or version."""

    code = "UserError"

    def __init__(self, name: str, version: str = "") -> None:
        which = f"{name}:{version}" if version else name
        super().__init__(f"Data asset {which} was not found in the workspace.")


class DataPathIsFixed(Conflict):
    """A version points to one place for good."""

    def __init__(self, name: str, version: str) -> None:
        super().__init__(f"Data asset {name}:{version} already exists with another dataUri, which is immutable.")
