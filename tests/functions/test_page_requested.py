"""The page over HTTP, without a browser: who gets in, what every answer carries, that nothing of others is markup."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from shared.errors import ServiceBusy
from shared.ledger.rows import HistoryEntry
from shared.operations import nightly
from shared.ui import assets
from shared.ui.sign_in import ticket_for
from tests.builders import DATASET, SNAPSHOT, a_dataset, a_snapshot
from tests.fakes import KEY, World
from tests.page_client import Markup, client_of, sign_in
from tests.page_world import HOSTILE, READER_KEY, SCRIPT, page_world

VIEWS = ("", "/datasets", "/snapshots", "/datasets/{dataset}", "/snapshots/{snapshot}", "/sign-in")


@pytest.fixture(scope="module")
def lived() -> World:
    return page_world()


@pytest.fixture
def client(lived: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    yield from client_of(lived, monkeypatch)


@pytest.fixture
def empty() -> World:
    return World(settings={"page_keys": KEY, "page_reader_keys": READER_KEY})


def all_views(world: World) -> list[str]:
    """The address of every view, of each dataset and snapshot there is."""
    rows = world.snapshots()
    found = ["", "/datasets", "/snapshots", "/sign-in", "/upload", "/nights"]
    found += [f"/nights/{one.night}" for one in nightly.cards(world.services)]
    found += sorted({f"/datasets/{row['dataset']}" for row in rows})
    found += [f"/snapshots/{row['id']}" for row in rows]
    return [f"/api/ui{path}" for path in found]


def test_nobody_sees_anything_without_signing_in(client: TestClient, lived: World) -> None:
    for address in all_views(lived):
        answer = client.get(address)
        assert answer.status_code == 401, address
        assert "support-bot-2" not in answer.text.replace(address, ""), address


def test_a_key_opens_the_page_and_leads_back_to_what_was_asked_for(client: TestClient) -> None:
    asked = client.get("/api/ui/snapshots", params={"state": "LIVE"})
    (form,) = [a for tag, a in Markup(asked.text).tags if tag == "input" and a.get("name") == "next"]
    assert form["value"] == "/api/ui/snapshots?state=LIVE"
    answer = sign_in(client, next=str(form["value"]))
    assert (answer.status_code, answer.headers["location"]) == (303, "/api/ui/snapshots?state=LIVE")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert KEY not in cookie
    assert client.get("/api/ui").status_code == 200


@pytest.mark.parametrize(
    "wanted", ["https://elsewhere.example", "//elsewhere.example", "/api/uix", "/api/ui/../health", "/api/ui/\\x", ""]
)
def test_signing_in_leads_to_no_other_site(client: TestClient, wanted: str) -> None:
    assert sign_in(client, next=wanted).headers["location"] == "/api/ui"


def test_over_https_the_cookie_is_one_that_no_other_host_can_set(client: TestClient) -> None:
    form = {"key": KEY, "name": ""}
    answer = client.post("/api/ui/sign-in", data=form, headers={"origin": "https://droptune.example"})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-droptune=")
    assert "; Secure" in cookie
    assert "Path=/;" in cookie
    assert "Domain" not in cookie


def test_a_wrong_key_is_told_so_and_shown_nowhere(client: TestClient) -> None:
    answer = sign_in(client, "a-key-that-opens-nothing")
    assert answer.status_code == 401
    assert "PAGE_KEYS" in answer.text
    assert "a-key-that-opens-nothing" not in answer.text
    assert "set-cookie" not in answer.headers


# As a browser sends the form in a file of the user's own.
FROM_A_FILE = {"origin": "null", "sec-fetch-site": "cross-site"}


@pytest.mark.parametrize(("plain", "cookie"), [("1", "droptune="), ("", "__Host-droptune=")])
def test_a_ticket_signs_in_from_a_file_and_leads_on(client: TestClient, plain: str, cookie: str) -> None:
    ticket = ticket_for(KEY, "ada", time.time())
    form = {"ticket": ticket, "next": "/api/ui/datasets", "plain": plain}
    answer = client.post("/api/ui/sign-in", data=form, headers=FROM_A_FILE)
    assert (answer.status_code, answer.headers["refresh"]) == (200, "0; url=/api/ui/datasets")
    assert answer.headers["set-cookie"].startswith(cookie)
    assert ticket not in answer.text


def test_a_ticket_that_is_over_and_a_key_from_elsewhere_sign_nobody_in(client: TestClient) -> None:
    old = ticket_for(KEY, "ada", time.time() - 120)
    form = {"ticket": old, "next": "https://elsewhere.example"}
    answer = client.post("/api/ui/sign-in", data=form, headers=FROM_A_FILE)
    assert answer.headers["refresh"] == "0; url=/api/ui", "where the form to sign in is shown"
    assert "set-cookie" not in answer.headers
    answer = client.post("/api/ui/sign-in", data={"key": KEY}, headers=FROM_A_FILE)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert "droptune open</code> signs in by itself" in client.get("/api/ui").text, "says what to do"


def test_without_a_key_in_the_settings_the_page_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for client in client_of(World(), monkeypatch):
        answer = client.get("/api/ui")
        assert answer.status_code == 401
        assert "PAGE_KEYS" in answer.text
        assert "<form" not in answer.text


def test_a_link_from_another_site_is_followed_with_the_cookie_of_this_one(client: TestClient) -> None:
    """Strict cookies are not sent with it: the first answer has the browser ask again from here, once."""
    elsewhere = {"sec-fetch-site": "cross-site"}
    answer = client.get("/api/ui/snapshots", headers=elsewhere)
    assert (answer.status_code, answer.headers["refresh"]) == (200, "0")
    answer = client.get("/api/ui/snapshots", headers={"sec-fetch-site": "same-origin"})
    assert (answer.status_code, "refresh" in answer.headers) == (401, False)


def test_every_answer_says_that_nothing_foreign_may_run_in_it(client: TestClient, lived: World) -> None:
    sign_in(client)
    for address in all_views(lived):
        answer = client.get(address)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_whatever_uploaders_choose_is_shown_as_text(client: TestClient, lived: World) -> None:
    sign_in(client)
    shown = ""
    for address in all_views(lived):
        answer = client.get(address)
        assert answer.status_code in (200, 401), address
        shown += answer.text
        for tag, attributes in Markup(answer.text).tags:
            assert tag not in ("img", "iframe", "object", "embed", "style", "base", "b"), address
            assert not [name for name in attributes if name.startswith("on") or name == "style"], address
            if tag == "script":
                assert str(attributes["src"]).startswith("/api/ui/page.js?v=")
            for name in ("href", "src", "action"):
                assert str(attributes.get(name) or "/").startswith(("/", "#", "https://")), address
    assert "&lt;script&gt;" in shown
    assert "{{7*7}}" in shown
    assert "49" not in shown.partition("{{7*7}}")[0][-20:]


def test_texts_of_ten_thousand_characters_and_of_any_direction_fit_on_a_page(
    empty: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = f"{HOSTILE} " + "ש" * 5000 + "\u202e" + "x" * 5000
    history = (HistoryEntry(state="REJECTED", at=1.0, reason=long),)
    row = a_snapshot(note=long, source=long, passed_over=(long,), hyperparameters={SCRIPT: long}, history=history)
    empty.services.ledger.create(row)
    empty.services.ledger.create(a_dataset(history=history))
    for client in client_of(empty, monkeypatch):
        sign_in(client)
        for path in ("", f"/snapshots/{SNAPSHOT}", f"/datasets/{DATASET}"):
            answer = client.get(f"/api/ui{path}")
            assert answer.status_code == 200
            assert SCRIPT not in answer.text
            assert len(answer.text) < 100_000


def test_an_empty_installation_says_that_nothing_is_there(empty: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for client in client_of(empty, monkeypatch):
        sign_in(client)
        answer = client.get("/api/ui")
        assert "Nothing waits for you" in answer.text
        assert "Nothing was dropped yet" in answer.text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/datasets/nobody", 404, "nothing of that name"),
        ("/snapshots/nobody-20260101000000-01234567", 404, "nothing of that name"),
        ("/snapshots/..x", 404, "nothing of that name"),
        ("/snapshots?state=FLYING", 400, "state: one of"),
        ("/snapshots?before=x", 400, "before: the id"),
        ("/nowhere", 404, "nothing at this address"),
    ],
)
def test_what_cannot_be_shown_is_said_on_a_page(client: TestClient, path: str, status: int, said: str) -> None:
    sign_in(client)
    answer = client.get(f"/api/ui{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert said in answer.text


def test_a_storage_that_is_busy_is_said_on_a_page(empty: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any) -> Any:
        raise ServiceBusy("storage is busy")

    for client in client_of(empty, monkeypatch):
        sign_in(client)
        monkeypatch.setattr(empty.storage, "list", busy)
        answer = client.get("/api/ui")
        assert (answer.status_code, "storage is busy" in answer.text) == (503, True)


def test_what_waits_for_a_person_comes_first(client: TestClient) -> None:
    sign_in(client)
    page = client.get("/api/ui").text
    assert page.index("Waits for a person") < page.index("Costs an hour") < page.index("Dropped last")
    waiting = page[: page.index("Costs an hour")]
    assert "contract-clauses-" in waiting
    assert "sql-helper-" in waiting
    assert "travel-notes-" not in waiting


def test_a_refused_snapshot_shows_which_rows_and_a_failed_one_its_log(client: TestClient, lived: World) -> None:
    sign_in(client)
    by_dataset = {row["dataset"]: row["id"] for row in lived.snapshots()}
    page = client.get(f"/api/ui/snapshots/{by_dataset['sql-helper']}").text
    assert "invalid-json" in page
    assert '<td class="num">4</td>' in page
    page = client.get(f"/api/ui/snapshots/{by_dataset['contract-clauses']}").text
    assert "CUDA: out of memory" in page
    assert "then try again" in page


def test_signing_out_forgets_the_session_and_no_other_site_can_do_it(client: TestClient) -> None:
    sign_in(client)
    page = Markup(client.get("/api/ui").text)
    (token,) = [str(a["value"]) for tag, a in page.tags if tag == "input" and a.get("name") == "token"]
    assert client.post("/api/ui/sign-out", data={"token": "0" * 64}).status_code == 403
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert client.post("/api/ui/sign-out", data={"token": token}, headers=elsewhere).status_code == 403
    assert client.get("/api/ui").status_code == 200
    assert client.post("/api/ui/sign-out", data={"token": token}).status_code == 303
    assert client.get("/api/ui").status_code == 401


def test_stylesheet_and_script_are_kept_by_browsers_until_they_change(client: TestClient) -> None:
    page = client.get("/api/ui").text
    for name, kind in assets.KINDS.items():
        assert f'"/api/ui/{name}?v={assets.version()}"' in page
        answer = client.get(f"/api/ui/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert "immutable" in answer.headers["cache-control"]
