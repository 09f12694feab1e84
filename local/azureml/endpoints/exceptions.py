"""Refusals of the inference service."""

from __future__ import annotations

from local.azureml.wire.errors import BadArgument, Conflict, NotImitated, ResourceNotFound, UserError, WireError


class NoSuchEndpoint(ResourceNotFound):
    """The workspace has no endpoint of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Online endpoint {name} was not found in the workspace.")


class NoSuchDeployment(ResourceNotFound):
    """The endpoint has no deployment of that name."""

    def __init__(self, endpoint: str, name: str) -> None:
        super().__init__(f"Deployment {name} was not found in online endpoint {endpoint}.")


class BadName(BadArgument):
    """A name the service does not take."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            f"{kind} name '{name}' is invalid: 3 to 32 letters, digits and '-', beginning with a letter "
            "and not ending with '-'."
        )


class NameIsTaken(UserError):
    """Somebody else in the region has an endpoint of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The specified endpoint name '{name}' is not available. Endpoint names must be unique "
            "within the region. Please choose a different name and try again."
        )


class EndpointIsBusy(Conflict):
    """One write at a time per endpoint."""

    def __init__(self, name: str, state: str) -> None:
        super().__init__(f"Endpoint {name} is in state {state}; wait until the operation has completed.")


class BadTraffic(BadArgument):
    """Weights that do not add up, or for a deployment that is not there."""


class HasTraffic(UserError):
    """A deployment that is still asked cannot be deleted."""

    def __init__(self, name: str, weight: int) -> None:
        super().__init__(f"Deployment {name} has {weight}% of the traffic; set its traffic to 0 before deleting it.")


class OutOfQuota(WireError):
    """Not enough cores left. The service nests the cause below a plain BadRequest."""

    def __init__(self, size: str, subscription: str, used: int, limit: int, needed: int) -> None:
        message = (
            f"Not enough quota available for {size} in SubscriptionId {subscription}. Current usage/limit: "
            f"{used}/{limit}. Additional needed: {needed} Please see troubleshooting guide, available here: "
            "https://aka.ms/oe-tsg#error-outofquota"
        )
        super().__init__(
            f"The request is invalid. (OutOfQuota) {message}",
            details=[{"code": "OutOfQuota", "message": message, "target": "VmSize"}],
        )


class AuthModeNotImitated(NotImitated):
    """Only keys are."""

    def __init__(self, mode: object) -> None:
        super().__init__(f"authMode '{mode}' is not imitated locally; only Key is.")
