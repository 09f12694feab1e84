"""Somebody asked for a route that is not there (HTTP): say what there is, in the shape of errors that clients read.

Most who come here have a client that speaks another protocol by default, or a base address with a part too many.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict

import azure.functions as func

from functions import web
from functions.web import Request, Response
from shared.serving.routes import ApiRoute

blueprint = func.Blueprint()

# Those that the streaming extension takes: with any other one the call would wait for a request that never comes.
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

_ASKING = "POST /api/v1/chat/completions, GET /api/v1/models and GET /api/v1/models/{model}"
# So much of a path is compared with those that there are.
_LONGEST = 100
# By the end of a path, what its caller should know.
_HINTS = {
    "chat/completions": "the base address for clients ends in /api/v1",
    "models": "the base address for clients ends in /api/v1",
    "responses": "set the client to chat completions instead of the Responses API",
    "completions": "text completions are not here: send the text as a user message",
    "embeddings": "the models here answer chats only",
}


@blueprint.route(route=web.PREFIX + "{*path}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def explain_routes(req: Request) -> Response:
    """What there is instead: 405 where the path is known with another method, else 404."""
    path = str(req.path_params.get("path") or "").strip("/")
    routes = [*web.ROUTES, *(route for route, _ in web.PAGE_ROUTES)]
    allowed = [route.method for route in routes if _fits(route.path, path)]
    if allowed:
        return web.refusal(
            405, "method_not_allowed", f"this route takes {' or '.join(allowed)}", headers={"Allow": ", ".join(allowed)}
        )
    hint = next((f": {hint}" for end, hint in _HINTS.items() if path == end or path.endswith(f"/{end}")), "")
    shown = "".join(c for c in path[:80] if c.isprintable())
    near = hint or _nearest(path, req.method)
    text = (
        f"there is no route /api/{shown}{near}. Models are asked with {_ASKING}; GET /api/openapi.json has all routes"
    )
    return web.refusal(404, "unknown_route", text)


def _nearest(path: str, method: str) -> str:
    """The route that may have been meant, with its method: the one whose path is most like this one."""
    ways: dict[str, list[ApiRoute]] = defaultdict(list)
    for route in web.ROUTES:
        ways[_filled(route.path, path[:_LONGEST])].append(route)
    near = difflib.get_close_matches(path[:_LONGEST].lower(), ways, n=1, cutoff=0.7)
    if not near:
        return ""
    found = min(ways[near[0]], key=lambda route: route.method != method)
    return f"; did you mean {found.method} /api/{found.path}?"


def _filled(template: str, path: str) -> str:
    """A route with the caller's own words in the places of its parameters."""
    given = path.split("/")
    parts = [
        given[at] if part.startswith("{") and at < len(given) else part for at, part in enumerate(template.split("/"))
    ]
    return "/".join(parts).lower()


def _fits(template: str, path: str) -> bool:
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
    return re.fullmatch(pattern, path, re.IGNORECASE) is not None
