"""The app's own HTTP functions over an in-memory world, behind a real server, for the commands that talk to an app."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from cli import target
from local.ports import free_port
from tests.fakes import KEY, World
from tests.functions.conftest import world as world
from tests.whole_app import application


@pytest.fixture(scope="session")
def served() -> Iterator[str]:
    """The address of a server with the app's functions."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(application(), port=port, log_level="warning", lifespan="off"))
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
