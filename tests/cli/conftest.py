"""The app's own HTTP functions over an in-memory world, behind a real server, for the commands that talk to an app."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from cli import target
from local.ports import free_port
from tests.fakes import KEY, World
from tests.functions.conftest import world as world


def _application() -> Starlette:
    """Every HTTP function of the app at its route; keys are left to the platform, as in Azure."""
    import function_app

    routes: list[Route] = []
    for function in function_app.app.get_functions():
        trigger: Any = function.get_trigger()
        if trigger.type == "httpTrigger":
            path = f"/{trigger.route}".replace("{*path}", "{path:path}")
            methods = [str(getattr(method, "value", method)) for method in trigger.methods]
            routes.append(Route(path, function.get_user_function(), methods=methods))
    # The platform takes the most precise route, Starlette the first.
    routes.sort(key=lambda route: "{path:path}" in route.path)
    return Starlette(routes=routes)


@pytest.fixture(scope="session")
def served() -> Iterator[str]:
    """The address of a server with the app's functions."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(_application(), port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def an_app(served: str, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """The app that the environment names, with nothing in it."""
    monkeypatch.setenv(target.APP, served)
    monkeypatch.setenv(target.KEY, KEY)
    monkeypatch.delenv(target.STORAGE, raising=False)
    monkeypatch.chdir(tmp_path)
    return world
