"""Refusals of the identity endpoint and of the token check."""

from __future__ import annotations

from local.azureml.wire.errors import Forbidden, Unauthorized, WireError


class InvalidToken(Unauthorized):
    """A request to the control plane without a fitting token."""


class WrongIdentityHeader(Unauthorized):
    """The caller does not know the secret that only the app's environment holds."""

    code = "Unauthorized"


class NotAuthorized(Forbidden):
    """The caller's identity has no role that allows the action."""

    code = "AuthorizationFailed"

    def __init__(self, principal: str, action: str, scope: str) -> None:
        super().__init__(
            f"The client '{principal}' with object id '{principal}' does not have authorization to perform action "
            f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh "
            "your credentials."
        )


class NotAuthorizedForMetrics(NotAuthorized):
    """The batch query of metrics says 401 where the control plane says 403."""

    status = 401


class UnknownRole(WireError):
    """The settings name a role or a scope that is not imitated."""


class NoResource(WireError):
    """A token was asked for without saying for what."""

    code = "invalid_request"
