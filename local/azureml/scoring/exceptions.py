"""What the data path refuses, in its own short JSON."""

from __future__ import annotations

from local.azureml.wire.errors import ResourceNotFound, Unauthorized, WireError


class BadKey(Unauthorized):
    """No key, or not one of this endpoint's two."""

    code = "key_auth_access_denied"

    def __init__(self) -> None:
        super().__init__("The key is missing or wrong.")


class NothingToAsk(ResourceNotFound):
    """No deployment has traffic, or not the one that was named."""

    code = "NoDeploymentWithTraffic"


class TimedOut(WireError):
    """The model took longer than the deployment's request timeout."""

    status = 408
    code = "RequestTimeout"


class TooMany(WireError):
    """More requests in flight than the deployment takes."""

    status = 429
    code = "TooManyRequests"
