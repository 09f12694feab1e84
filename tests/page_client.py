"""A browser without a screen: the page of a world over HTTP, signed in, and the tags and forms of what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.testclient import TestClient

from functions import chat_requested, page_site
from shared import runtime
from tests.fakes import KEY, World
from tests.page_server import application

ORIGIN = "http://127.0.0.1"


class Markup(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One more."""
        self.tags.append((tag, dict(attrs)))

    @property
    def token(self) -> str:
        """What every form of the page carries."""
        found = {str(a["value"]) for tag, a in self.tags if tag == "input" and a.get("name") == "token"}
        (one,) = found
        return one

    @property
    def forms(self) -> set[str]:
        """Where its forms are sent, by POST."""
        return {str(a["action"]) for tag, a in self.tags if tag == "form" and a.get("method") == "post"}


def client_of(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A client of the page over a world; nobody is signed in yet."""
    monkeypatch.setattr(runtime, "_services", lambda: world.services)
    monkeypatch.setattr(runtime, "settings", lambda: world.services.settings)
    for remembered in (page_site.access, chat_requested._made_service):
        remembered.cache_clear()
    with TestClient(application(), base_url=ORIGIN, follow_redirects=False) as made:
        yield made
    for remembered in (page_site.access, chat_requested._made_service):
        remembered.cache_clear()


def sign_in(client: TestClient, key: str = KEY, **more: str) -> Any:
    """The answer to a key."""
    return client.post("/api/ui/sign-in", data={"key": key, "name": "ada", **more}, headers={"origin": ORIGIN})


def post(client: TestClient, path: str, token: str, headers: dict[str, str] | None = None, **fields: str) -> Any:
    """The answer to a form of the page."""
    sent = {"origin": ORIGIN, "sec-fetch-site": "same-origin", **(headers or {})}
    return client.post(f"/api/ui{path}", data={"token": token, **fields}, headers=sent)
