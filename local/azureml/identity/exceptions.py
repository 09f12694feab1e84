"""Refusals of the identity endpoint and of the token check."""

from __future__ import annotations

from local.azureml.wire.errors import Unauthorized, WireError


class InvalidToken(Unauthorized):
    """A request to the control plane without a fitting token."""


class WrongIdentityHeader(Unauthorized):
    """The caller does not know the secret that only the app's environment holds."""

    code = "Unauthorized"


class NoResource(WireError):
    """A token was asked for without saying for what."""

    code = "invalid_request"
