"""How the HTTP functions read and answer: bounded bodies, JSON, and from the app's errors to status codes.

The one place that knows the HTTP classes. Importing Microsoft's extension makes the runtime stream all HTTP functions
of the app; their requests and responses are then those of Starlette.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import azurefunctions.extensions.http.fastapi  # type: ignore[import-untyped] # noqa: F401
from starlette.requests import Request as Request
from starlette.responses import Response as Response

if TYPE_CHECKING:
    from pydantic import ValidationError

    from shared.chat import Unanswered

MOST_BYTES = 1_000_000


class TooLarge(Exception):
    """The request's body is larger than `MOST_BYTES`; the rest of it was not read."""


async def body(req: Request) -> bytes:
    """The whole body. Raises TooLarge as soon as that is known."""
    found = bytearray()
    if (told := req.headers.get("content-length", "")).isdigit() and int(told) > MOST_BYTES:
        raise TooLarge
    async for chunk in req.stream():
        found += chunk
        if len(found) > MOST_BYTES:
            raise TooLarge
    return bytes(found)


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(json.dumps(body, ensure_ascii=False), status, headers, "application/json")


def refusal(status: int, code: str, message: str, retry_after: int | None = None) -> Response:
    """An error in the shape that chat clients know, which suits the other routes as well."""
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return answer({"error": {"message": message, "type": kind, "code": code, "param": None}}, status, headers)


def too_large() -> Response:
    """413, for a body nobody reads to its end."""
    return refusal(413, "too_large", f"at most {MOST_BYTES} bytes are allowed")


def unanswered(error: Unanswered) -> Response:
    """The answer for a question that could not be answered."""
    return refusal(error.status, error.code, str(error), error.retry_after)


def malformed(error: ValidationError) -> Response:
    """400 naming each wrong field: where it is, what is wrong; never what was sent."""
    problems = [f"{'.'.join(map(str, e['loc']))[:80] or 'body'}: {_said(e)}" for e in error.errors(include_input=False)]
    return refusal(400, "invalid_request", "; ".join(problems[:10]))


def _said(error: Any) -> str:
    """What is wrong, in the words of a caller rather than of the library."""
    where = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "extra_forbidden":
            return "is not supported here"
        case "too_short":
            return "must not be empty"
        case "literal_error" if where == "stream":
            return "streaming is not offered yet: leave it out or send false"
    return str(error["msg"]).removeprefix("Value error, ")
