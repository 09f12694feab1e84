"""Refusals of the compute service."""

from __future__ import annotations

from local.azureml.wire.errors import BadArgument, NotImitated, ResourceNotFound


class NoSuchCompute(ResourceNotFound):
    """The workspace has no cluster of that name."""

    code = "ResourceNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(f"Compute with name {name} was not found in the workspace.")


class UnknownSize(BadArgument):
    """The region does not offer that virtual machine size."""

    def __init__(self, size: str) -> None:
        super().__init__(f"The specified VM size '{size}' is not supported in this region.")


class OnlyClusters(NotImitated):
    """Of all kinds of compute, only clusters exist here."""

    def __init__(self, kind: object) -> None:
        super().__init__(f"Compute type '{kind}' is not imitated locally; only AmlCompute is.")
