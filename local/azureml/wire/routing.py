"""Addresses of the control plane: matched without regard to case, closed to callers without a fitting token.

Every `urls.py` builds its table from `guarded` (Azure's own paths) and `unguarded` (discovery, scoring,
control).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.azureml.wire.errors import ResourceNotFound

type Handler = Callable[[Request], Awaitable[Response]]

PROVIDER = "providers/Microsoft.MachineLearningServices"
WORKSPACE = "/subscriptions/{subscription}/resourceGroups/{group}/" + PROVIDER + "/workspaces/{workspace}"
LOCATION = "/subscriptions/{subscription}/" + PROVIDER + "/locations/{location}"


class ArmRoute(Route):
    """A route whose fixed parts ignore case: clients write listkeys and listKeys."""

    def __init__(self, path: str, endpoint: Handler, *, method: str) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)


def unguarded(method: str, path: str, handler: Handler) -> ArmRoute:
    """A route that asks for no token."""
    return ArmRoute(path, handler, method=method)


def guarded(method: str, path: str, handler: Handler, *, extra_audiences: Sequence[str] = ()) -> ArmRoute:
    """A route for callers with a token for this cloud, inside this cloud's own workspace."""

    async def check_then_handle(request: Request) -> Response:
        cloud = request.app.state.cloud
        cloud.tokens.check(request.headers.get("authorization", ""), extra_audiences)
        _check_scope(request, cloud.addresses)
        return await handler(request)

    check_then_handle.__name__ = handler.__name__
    return ArmRoute(path, check_then_handle, method=method)


def _check_scope(request: Request, addresses: object) -> None:
    for part in ("subscription", "group", "workspace"):
        asked = request.path_params.get(part)
        if asked is not None and asked.lower() != getattr(addresses, part).lower():
            raise ResourceNotFound(f"{part} '{asked}' was not found; this local cloud has only one.")
