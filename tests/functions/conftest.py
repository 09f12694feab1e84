"""The functions over an in-memory world: the one place where the app's wiring is replaced by the tests'."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from functions import chat_requested
from shared import runtime
from tests.fakes import KEY, World

# What the app needs to be indexed: the schedules of its timers are settings.
IDS = {"AZURE_SUBSCRIPTION_ID": "s", "AZURE_RESOURCE_GROUP": "g", "AZUREML_WORKSPACE": "w", "DATA": "fake"}


with pytest.MonkeyPatch.context() as _patch:
    for _name, _value in IDS.items():
        _patch.setenv(_name, _value)
    runtime.settings.cache_clear()
    import function_app  # noqa: F401 - indexed once, with these settings, before any test module is read
runtime.settings.cache_clear()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose parts every function gets."""
    made = World()
    monkeypatch.setattr(runtime, "_services", lambda: made.services)
    monkeypatch.setattr(runtime, "_MADE", [])
    monkeypatch.setattr(runtime, "_DENIED", [])
    monkeypatch.setattr(runtime, "settings", lambda: made.services.settings)
    for remembered in (chat_requested._made_service, chat_requested._keys):
        remembered.cache_clear()
    yield made
    for remembered in (chat_requested._made_service, chat_requested._keys):
        remembered.cache_clear()


@pytest.fixture
def request_of() -> Callable[..., Request]:
    """Makes an HTTP request as the runtime hands it over, with a key that opens."""

    def make(
        body: Any = b"",
        *,
        method: str = "POST",
        route: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Request:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        messages = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.Event().wait()

        scope = {
            "type": "http",
            "method": method,
            "path": "/api",
            "path_params": route or {},
            "query_string": urlencode(params or {}).encode(),
            "headers": [
                (name.lower().encode(), value.encode("latin-1"))
                for name, value in {"x-functions-key": KEY, **(headers or {})}.items()
            ],
        }
        return Request(scope, receive)

    return make
