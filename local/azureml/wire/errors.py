"""The service's refusals in its own JSON.

    WireError 400 BadRequest
      ├ ResourceNotFound 404 ResourceNotFound
      ├ Conflict 409
      ├ Unauthorized 401
      ├ Forbidden 403
      └ NotImitated 501

Resources add their own in `exceptions.py`; handlers just raise.
"""

from __future__ import annotations

from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse


class WireError(Exception):
    """A refusal: status, code, message, and what the service adds below them."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "BadRequest"

    def __init__(
        self,
        message: str,
        *,
        details: list[dict[str, Any]] | None = None,
        inner: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or []
        self.inner = inner

    def document(self) -> dict[str, Any]:
        """The body as Azure words it."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "details": self.details}
        if self.inner is not None:
            error["innererror"] = self.inner
        return {"error": error}


class ResourceNotFound(WireError):
    """No such resource."""

    status = 404
    code = "ResourceNotFound"


class Conflict(WireError):
    """The resource is busy or not what the request supposes."""

    status = 409
    code = "Conflict"


class Unauthorized(WireError):
    """No token, or one that does not fit."""

    status = 401
    code = "InvalidAuthenticationToken"


class Forbidden(WireError):
    """The caller is known, and may not do this."""

    status = 403
    code = "Forbidden"


class UserError(WireError):
    """The run and asset services' word for a request that cannot be right."""

    code = "UserError"


class BadArgument(WireError):
    """The inference and compute services' word for the same."""

    code = "BadArgument"


class NotImitated(WireError):
    """The real service may know this; this one does not, and says so instead of guessing."""

    status = 501
    code = "NotImitatedLocally"


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Exception handler: a raised refusal becomes its answer."""
    assert isinstance(error, WireError)
    return JSONResponse(error.document(), error.status)
