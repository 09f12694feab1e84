"""HTTP triggers: find the function by path and method, check its key, hand over the request and the answer.

As in Azure, a method that a route does not list is 404, not 405; a failing function is an empty 500 (the
stack trace is in the log). Bodies are kept whole in memory, except for apps that stream (`streaming`).
"""

import logging
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.host import keys, routes
from local.host.errors import CannotStart, InvocationFailed
from local.host.functions import Function
from local.host.invocations import Invoker, TriggerInput
from local.host.keys import HostKeys, Level
from local.host.messages import RpcHttp, TypedData
from local.host.streaming import Forwarder

log = logging.getLogger("host.http")

_LEVELS: dict[str, Level] = {"ANONYMOUS": "anonymous", "FUNCTION": "function", "ADMIN": "admin"}
_BODILESS = (204, 304)
_FRAMING = ("content-length", "transfer-encoding", "connection")


class HttpTriggers:
    """All HTTP functions of the app; with a Forwarder, its requests and responses are streamed."""

    def __init__(
        self,
        functions: list[Function],
        prefix: str,
        keys: HostKeys,
        invoker: Invoker,
        forwarder: Forwarder | None,
    ) -> None:
        found = [(_route(function, prefix), function) for function in functions]
        self._routes = sorted(found, key=lambda each: each[0].precedence)
        self._keys = keys
        self._invoker = invoker
        self._forwarder = forwarder

    async def respond(self, request: Request) -> Response:
        """Answer one request to an app's route."""
        if self._forwarder and "\n" in _path(request):
            # The app's inner server has no route for such a path, and its function would wait for the request for ever.
            return _refusal(404, "invalid_request_error", "unknown_route", "no route has a line feed in its path")
        found = self._find(request)
        if not found:
            return Response(status_code=404)
        function, params = found
        query, headers = _joined(request.query_params.multi_items()), _headers(request)
        level = _LEVELS.get(str(function.trigger.get("authLevel", "FUNCTION")).upper(), "admin")
        if not self._keys.allow(level, keys.offered(query, headers)):
            return _unauthorized()
        rpc = RpcHttp(
            method=request.method,
            url=str(request.url),
            headers=headers,
            query=query,
            params=params,
            body=TypedData(),
        )
        if self._forwarder:
            return await self._forwarder.respond(request, function, rpc)
        rpc.body = TypedData(bytes=await request.body())
        try:
            return response_from(await self._invoker.run(function, TriggerInput(TypedData(http=rpc))))
        except InvocationFailed:
            return Response(status_code=500)

    def _find(self, request: Request) -> tuple[Function, dict[str, str]] | None:
        path = _path(request)
        for route, function in self._routes:
            methods = function.trigger.get("methods")
            if methods and request.method not in [str(method).upper() for method in methods]:
                continue
            if (params := route.match(path)) is not None:
                return function, params
        return None


def _unauthorized() -> Response:
    text = "a function key is missing or wrong: send it as x-functions-key or ?code="
    return _refusal(401, "authentication_error", "invalid_api_key", text)


def _refusal(status: int, kind: str, code: str, text: str) -> Response:
    """Azure's has no body. This one says what is wrong, in the form in which chat clients read errors."""
    return JSONResponse({"error": {"message": text, "type": kind, "param": None, "code": code}}, status)


def response_from(value: TypedData | None) -> Response:
    """The response for a function's return value; 204 if it returned nothing, 500 if it cannot be sent."""
    if value is None or value.WhichOneof("data") is None:
        return Response(status_code=204)
    if value.WhichOneof("data") != "http":
        media = "application/json" if value.json is not None else "text/plain"
        return Response(value.value(), media_type=media)
    try:
        return _response(value.http)
    except (ValueError, UnicodeError) as wrong:
        log.error("the response cannot be sent: %s", wrong)
        return Response(status_code=500)


def _response(http: RpcHttp) -> Response:
    status = int(http.status_code)
    if not 200 <= status <= 599:
        raise ValueError(f"status code {status}")
    body = b"" if status in _BODILESS else http.body.bytes
    headers = {name: text for name, text in http.headers.items() if name.lower() not in _FRAMING}
    response = Response(body, status, headers)
    for cookie in http.cookies or []:
        response.raw_headers.append((b"set-cookie", _cookie(cookie).encode("latin-1")))
    return response


def _cookie(cookie: Any) -> str:
    """A Set-Cookie header from the parts that the runtime took it apart into."""
    # The runtime wraps what was given, and empty text for what was not.
    given = {name: part.value for name, part in vars(cookie).items() if hasattr(part, "value")}
    value = {name: part for name, part in given.items() if part not in ("", False)}
    parts = [f"{cookie.name}={cookie.value}"]
    parts += [f"{label}={value[name]}" for name, label in (("domain", "Domain"), ("path", "Path")) if name in value]
    if "expires" in value:
        parts.append(f"Expires={formatdate(value['expires'].seconds, usegmt=True)}")
    if "max_age" in value:
        parts.append(f"Max-Age={int(value['max_age'])}")
    parts += [label for name, label in (("secure", "Secure"), ("http_only", "HttpOnly")) if name in value]
    same_site = {1: "Lax", 2: "Strict", 3: "None"}.get(cookie.same_site)
    return "; ".join([*parts, f"SameSite={same_site}"] if same_site else parts)


def _route(function: Function, prefix: str) -> routes.HttpRoute:
    own = str(function.trigger.get("route") or function.name).strip("/")
    try:
        return routes.compile_route(f"{prefix}/{own}")
    except ValueError as wrong:
        raise CannotStart(f"function {function.name}: {wrong}") from wrong


def _path(request: Request) -> str:
    """The path with its escapes undone, but for %2F, which separates nothing."""
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    return unquote(raw.decode("latin-1").replace("%2F", "%252F").replace("%2f", "%252F"))


def _headers(request: Request) -> Mapping[str, str]:
    """Header names in lower case, repeated ones joined."""
    return _joined(request.headers.items(), {"cookie": "; "})


def _joined(pairs: Any, separators: Mapping[str, str] | None = None) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in pairs:
        separator = (separators or {}).get(name, ",")
        values[name] = f"{values[name]}{separator}{value}" if name in values else value
    return values
