"""Refusals of the tracking routes, in MLflow's own words beside the service's."""

from __future__ import annotations

from typing import Any

from local.azureml.wire.errors import WireError


class NoSuchRun(WireError):
    """No job or step of that name."""

    status = 404
    code = "UserError"

    def __init__(self, run: str) -> None:
        super().__init__(f"Run {run} was not found in the workspace.")

    def document(self) -> dict[str, Any]:
        """MLflow's clients read `error_code` and `message`."""
        return {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": self.message, **super().document()}


class InvalidValue(WireError):
    """A request that MLflow would not send."""

    def document(self) -> dict[str, Any]:
        """See NoSuchRun."""
        return {"error_code": "INVALID_PARAMETER_VALUE", "message": self.message, **super().document()}
