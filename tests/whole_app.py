"""All HTTP functions of the app at their routes, for tests that ask the app as its callers do."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route


def application() -> Starlette:
    """Every HTTP function at its route; keys are left to the platform, as in Azure."""
    import function_app

    routes: list[Route] = []
    function_app.app.functions_bindings = {}  # an app can be indexed once; leave it as it was for others
    for function in function_app.app.get_functions():
        trigger: Any = function.get_trigger()
        if trigger.type == "httpTrigger":
            path = f"/{trigger.route}".replace("{*path}", "{path:path}")
            methods = [str(getattr(method, "value", method)) for method in trigger.methods]
            routes.append(Route(path, function.get_user_function(), methods=methods))
    function_app.app.functions_bindings = {}
    # The platform takes the most precise route, Starlette the first.
    routes.sort(key=lambda route: "{path:path}" in route.path)
    return Starlette(routes=routes)
