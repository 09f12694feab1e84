"""How the HTTP functions are declared, read and answer: routes, bounded bodies, JSON, and statuses for errors.

The one place that knows the HTTP classes. Importing Microsoft's extension makes the runtime stream all HTTP functions
of the app; their requests and responses are then those of Starlette.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid
import zlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal

import azure.functions as func
import azurefunctions.extensions.http.fastapi  # type: ignore[import-untyped] # noqa: F401
from starlette.requests import Request as Request
from starlette.responses import Response as Response

from shared.serving.routes import ApiRoute

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from shared.serving.protocol import ApiError

_CODES = {
    "extra_forbidden": "unsupported_parameter",
    "unsupported": "unsupported_parameter",
    "missing": "missing_parameter",
}

# Whom the platform lets in; elsewhere it lets everybody in.
_LEVELS = {"function": func.AuthLevel.FUNCTION, "admin": func.AuthLevel.ADMIN}
# Every HTTP function of the app, in the order of its declaration; those of the page apart, which programs do not call.
ROUTES: list[ApiRoute] = []
PAGE_ROUTES: list[tuple[ApiRoute, Callable[..., Any]]] = []
# All routes begin so. It is no prefix of the host's (host.json): then the app could not answer at its own address.
PREFIX = "api/"


def route[F: Callable[..., Any]](
    blueprint: func.Blueprint, method: Literal["GET", "POST", "DELETE"], path: str, **described: Any
) -> Callable[[F], F]:
    """Declares an HTTP function, for the platform and for the OpenAPI document; `described`: fields of ApiRoute.

    The platform checks the key where a function key is needed. Elsewhere it lets everybody in.
    """

    def declare(handler: F) -> F:
        summary = (handler.__doc__ or "").strip().split("\n")[0].rstrip(".")
        declared = ApiRoute(method, path, summary, **described)
        ROUTES.append(declared)
        level = _LEVELS.get(declared.caller, func.AuthLevel.ANONYMOUS)
        decorated: F = blueprint.route(route=f"{PREFIX}{path}", methods=[method], auth_level=level)(handler)
        return decorated

    return declare


def page_route[F: Callable[..., Any]](
    blueprint: func.Blueprint, method: Literal["GET", "POST"], path: str
) -> Callable[[F], F]:
    """Declares an HTTP function of the page. The platform lets everybody in; the function asks who it is."""

    def declare(handler: F) -> F:
        PAGE_ROUTES.append((ApiRoute(method, path, (handler.__doc__ or "").strip(), "anybody"), handler))
        anybody = func.AuthLevel.ANONYMOUS
        decorated: F = blueprint.route(route=f"{PREFIX}{path}", methods=[method], auth_level=anybody)(handler)
        return decorated

    return declare


_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")
_MOST_MEMBERS = 50
# How zlib reads an encoding; what many clients send as `deflate` has no frame around it.
_WINDOWS = {
    "gzip": (zlib.MAX_WBITS | 16,),
    "x-gzip": (zlib.MAX_WBITS | 16,),
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),
}


class BodyTooLarge(Exception):
    """The request's body is larger than so many bytes; the rest of it was not read."""

    def __init__(self, most: int) -> None:
        super().__init__(f"at most {most} bytes are taken")


class CallerLeft(Exception):
    """The caller has hung up: there is nobody to answer."""


async def chunks(req: Request, most: int) -> AsyncGenerator[bytes]:
    """The body as it arrives, of so many bytes in all at most. Raises BodyTooLarge as soon as that is known."""
    size = 0
    if (length := req.headers.get("content-length", "")).isdigit() and int(length) > most:
        raise BodyTooLarge(most)
    async for chunk in req.stream():
        size += len(chunk)
        if size > most:
            raise BodyTooLarge(most)
        yield chunk


async def body(req: Request, most: int) -> bytes:
    """The whole body, of so many bytes at most before and after it is decompressed. Raises BodyTooLarge, ApiError."""
    found = bytearray()
    async for chunk in chunks(req, most):
        found += chunk
    return _decompressed(bytes(found), req.headers.get("content-encoding", ""), most)


def _decompressed(found: bytes, encoding: str, most: int) -> bytes:
    """The body as it was before the client compressed it, of so many bytes at most."""
    from shared.serving.protocol import ApiError

    named = [name for one in encoding.split(",") if (name := one.strip().lower()) not in ("", "identity")]
    if not named:
        return found
    if len(named) > 1 or named[0] not in _WINDOWS:
        raise ApiError(415, "unsupported_encoding", "the body may be plain, gzip or deflate: mind Content-Encoding")
    for window in _WINDOWS[named[0]]:
        with contextlib.suppress(zlib.error):
            return _inflated(found, window, most)
    raise ApiError(400, "invalid_body", "the body is not what its Content-Encoding says")


def _inflated(found: bytes, window: int, most: int) -> bytes:
    """All members of a compressed body, of so many bytes together at most. Raises zlib.error."""
    from shared.serving.protocol import ApiError

    plain, rest = b"", found
    for _ in range(_MOST_MEMBERS):
        if not rest:
            return plain
        decoder = zlib.decompressobj(window)
        plain += decoder.decompress(rest, most + 1 - len(plain))
        if len(plain) > most:
            raise BodyTooLarge(most)
        if not decoder.eof:
            raise ApiError(400, "invalid_body", "the compressed body ends early")
        rest = decoder.unused_data  # a copy: very many small members would cost the square of their number
    raise ApiError(400, "invalid_body", f"the compressed body has more than {_MOST_MEMBERS} members")


async def unless_left[T](req: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result, unless the caller hangs up first: then the work is cancelled. Raises CallerLeft.

    To be called once the body was read: from then on the only message to come is that the caller has left.
    """
    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(req.receive())
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return await doing
        raise CallerLeft
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.wait((doing, leaving))


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(json.dumps(body, ensure_ascii=False), status, headers, "application/json")


def model(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer, of a pydantic model."""
    return Response(body.model_dump_json(), status, headers, "application/json")


def refusal(
    status: int, code: str, message: str, retry_after: int | None = None, headers: dict[str, str] | None = None
) -> Response:
    """An error in the shape that chat clients know, which suits the other routes as well."""
    from shared.serving.protocol import ApiError

    response = api_error(ApiError(status, code, message, retry_after))
    response.headers.update(headers or {})
    return response


def api_error(error: ApiError) -> Response:
    """The answer for a call that could not be answered."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.asked:  # the clients of the protocol repeat every 5xx by themselves, unless they are told not to
        headers["x-should-retry"] = "false"
    return model(error.body(), error.status, headers)


def malformed(error: ValidationError) -> ApiError:
    """400 naming each wrong field: where it is, what is wrong; never what was sent."""
    from shared.serving.protocol import ApiError

    found = error.errors(include_input=False, include_url=False)
    problems = [f"{_place(e) or 'body'}: {_said(e)}" for e in found]
    code = _CODES.get(found[0]["type"], "invalid_value")
    return ApiError(400, code, "; ".join(problems[:10]), param=_place(found[0]) or None)


def request_id(req: Request) -> str:
    """The caller's request id, if it is one that Azure takes, else a new one."""
    given = req.headers.get("x-request-id", "")
    return given if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", given) else uuid.uuid4().hex


def caller_name(req: Request) -> str:
    """Who asked, as far as the platform knows; what a caller says of itself is cut and kept printable."""
    name = req.headers.get("x-ms-client-principal-name") or req.query_params.get("by") or "http"
    return printable(name, 80)


def is_true(req: Request, name: str, *, without: bool = False) -> bool:
    """What a parameter that is yes or no says; `without`: what it is without it, and where it says neither."""
    said = req.query_params.get(name, "").lower()
    return without if said not in (*_YES, *_NO) else said in _YES


def printable(text: str, most: int) -> str:
    """So much of a text, without what does harm where it is shown."""
    return "".join(c for c in text if c.isprintable())[:most]


def patience(req: Request) -> float:
    """How many seconds the caller would rather wait than be told to come back: `Prefer: wait=20`."""
    found = re.search(r"(?:^|[,;\s])wait=(\d{1,4})\b", req.headers.get("prefer", ""))
    return float(found[1]) if found else 0.0


def _place(error: Any) -> str:
    """A field as people write it: `messages[0].role`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]]
    return "".join(parts).removeprefix(".")[:80]


def _said(error: Any) -> str:
    """What is wrong, in the words of a caller rather than of the library."""
    match error["type"]:
        case "extra_forbidden":
            return "is not supported here"
        case "too_short":
            return "must not be empty"
        case "too_long" | "string_too_long":
            context = error["ctx"]
            most, what = context["max_length"], "texts" if error["type"] == "too_long" else "characters"
            return f"has more than {most} {what}"
        case "model_type" | "dict_type":
            return "must be an object"
        case "literal_error":
            return f"only {error['ctx']['expected']} is supported"
    return str(error["msg"]).removeprefix("Value error, ")
