"""Imports on the page: the form, the question before anything begins, the import itself and how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from shared.operations import imports
from tests.fakes import KEY, World
from tests.page_client import Markup, client_of, post, sign_in
from tests.page_world import SCRIPT

ASKED = {"source": "owner/alpaca", "dataset": "alpaca-bot", "splits": "train, test", "fraction": "0.5"}


@pytest.fixture
def world() -> World:
    return World(settings={"page_keys": KEY, "import_sources": "owner/*"})


@pytest.fixture
def client(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    for made in client_of(world, monkeypatch):
        sign_in(made)
        yield made


def form(client: TestClient, **asked: str) -> str:
    return str(client.get(f"/api/ui/imports/new?{urlencode(asked)}").text)


def test_an_import_is_asked_about_and_begins_when_that_is_confirmed(client: TestClient, world: World) -> None:
    assert Markup(form(client)).forms == {"/api/ui/sign-out"}
    before, messages = dict(world.storage.blobs), [*world.storage.messages]
    question = form(client, **ASKED)
    assert "Import owner/alpaca?" in question
    assert (world.storage.blobs, world.storage.messages) == (before, messages)
    hidden = {str(a["name"]): str(a["value"]) for tag, a in Markup(question).tags if a.get("type") == "hidden"}
    token = hidden.pop("token")
    assert hidden == ASKED
    answer = post(client, "/imports", token, None, **hidden)
    (known,) = imports.newest(world.services)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/api/ui/imports/{known['id']}")
    found = imports.show(world.services, known["id"])
    assert (found["by"], found["request"]["splits"], found["request"]["fraction"]) == ("ada", ("train", "test"), 0.5)
    page = client.get(answer.headers["location"]).text
    assert "owner/alpaca into alpaca-bot: will be imported" in page
    assert f'href="/api/ui/imports/{known["id"]}"' in client.get("/api/ui/imports").text
    assert post(client, "/imports", token, None, **hidden).headers["location"] == answer.headers["location"]
    assert len(imports.newest(world.services)) == 1


def test_the_overview_names_imports_that_go_on_or_failed_and_no_others(client: TestClient, world: World) -> None:
    assert "Imports that go on" not in client.get("/api/ui").text
    rows = [{"instruction": f"q {n}", "input": "", "output": f"an answer {n}"} for n in range(40)]
    world.hub.datasets["owner/alpaca"] = {"train": [rows]}
    token = Markup(form(client, **ASKED)).token
    for source in ("owner/alpaca", "owner/gone"):
        post(client, "/imports", token, source=source, dataset="alpaca-bot")
    assert client.get("/api/ui").text.count('href="/api/ui/imports/') == 2
    world.run()
    shown = client.get("/api/ui").text
    assert ("owner/gone" in shown, "owner/alpaca" in shown) == (True, False)
    assert 'class="chip bad">Import failed' in shown


def test_an_import_that_ended_shows_its_rows_and_its_snapshot(client: TestClient, world: World) -> None:
    rows = [{"instruction": f"q {n}", "input": "", "output": f"an answer {n}"} for n in range(40)]
    world.hub.datasets["owner/alpaca"] = {"train": [rows]}
    token = Markup(form(client, **ASKED)).token
    address = post(client, "/imports", token, source="owner/alpaca", dataset="alpaca-bot").headers["location"]
    world.run()
    page = client.get(address).text
    assert 'class="chip good">Imported' in page
    assert 'href="/api/ui/snapshots/alpaca-bot-' in page
    assert "<dt>Rows read</dt><dd>40</dd>" in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": "others/alpaca"}, "IMPORT_SOURCES"),
        ({"source": "../x"}, "source"),
        ({"dataset": "No_Name"}, "dataset: 2 to 41"),
        ({"fraction": "much"}, "fraction"),
        ({"rows": "-1"}, "rows"),
        ({"user": "q"}, "user and assistant go together"),
        ({"shape": SCRIPT}, "shape"),
    ],
)
def test_what_cannot_be_imported_is_said_in_the_form_with_what_was_typed(
    client: TestClient, world: World, change: dict[str, str], said: str
) -> None:
    token, asked = Markup(form(client)).token, {**ASKED, **change}
    before = dict(world.storage.blobs)
    for answer in (
        client.get(f"/api/ui/imports/new?{urlencode(asked)}"),
        post(client, "/imports", token, None, **asked),
    ):
        assert answer.status_code == 400
        assert said in answer.text.partition('role="alert"')[2][:400]
        assert 'value="train, test"' in answer.text
        assert SCRIPT not in answer.text
    assert world.storage.blobs == before


def test_what_was_filled_in_can_be_changed(client: TestClient) -> None:
    page = form(client, **ASKED, change="yes")
    assert 'name="source" value="owner/alpaca"' in page
    assert '<details id="sample" open>' in page


def test_where_imports_are_off_the_page_says_which_setting_allows_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = World(settings={"page_keys": KEY})
    for client in client_of(off, monkeypatch):
        sign_in(client)
        assert "IMPORT_SOURCES" in client.get("/api/ui/imports").text
        assert "IMPORT_SOURCES" in form(client)
        assert "IMPORT_SOURCES" in form(client, **ASKED)


@pytest.mark.parametrize("name", ["0123456789abcdef", "..x", "%2e%2e", "x" * 300])
def test_an_import_that_is_not_there_is_404(client: TestClient, name: str) -> None:
    assert client.get(f"/api/ui/imports/{name}").status_code == 404
