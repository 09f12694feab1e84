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

from local.azureml.identity.exceptions import NotAuthorized
from local.azureml.identity.roles import Scope, action_of, allowed
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


def guarded(
    method: str,
    path: str,
    handler: Handler,
    *,
    extra_audiences: Sequence[str] = (),
    action: str | None = None,
    refusal: type[NotAuthorized] = NotAuthorized,
    after_its_end: bool = False,
) -> ArmRoute:
    """A route for callers with a token for this cloud and a role, inside this cloud's own workspace.

    `action` is what a role must allow, where it does not follow from method and path; empty: nothing is asked.
    `after_its_end`: also when the workspace was deleted.
    """
    needed = action_of(method, path) if action is None else action

    async def check_then_handle(request: Request) -> Response:
        cloud = request.app.state.cloud
        claims = cloud.tokens.check(request.headers.get("authorization", ""), extra_audiences)
        _check_scope(request, cloud.addresses)
        if not after_its_end and "workspace" in request.path_params and cloud.around.workspace_state() != "there":
            raise ResourceNotFound(
                f"The Resource '{PROVIDER.partition('/')[2]}/workspaces/{cloud.addresses.workspace}' "
                f"under resource group '{cloud.addresses.group}' was not found."
            )
        assignments = cloud.pacer.settings.roles
        if needed and assignments is not None:
            scope: Scope = "workspace" if "workspace" in request.path_params else "subscription"
            resource = cloud.addresses.workspace_id if scope == "workspace" else request.url.path
            if not allowed(assignments, needed, scope):
                raise refusal(claims["oid"], needed, resource)
        return await handler(request)

    check_then_handle.__name__ = handler.__name__
    check_then_handle.__dict__["action"] = needed
    return ArmRoute(path, check_then_handle, method=method)


def _check_scope(request: Request, addresses: object) -> None:
    for part in ("subscription", "group", "workspace"):
        asked = request.path_params.get(part)
        if asked is not None and asked.lower() != getattr(addresses, part).lower():
            raise ResourceNotFound(f"{part} '{asked}' was not found; this local cloud has only one.")
