"""Acting on the page: who may, from where, what is asked first, and what is shown of what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from shared.azure.inference import EndpointAnswer
from shared.operations import nightly, status
from shared.ui.page_actions import ACTIONS
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_release, a_snapshot, a_trained_snapshot
from tests.fakes import KEY, World, dialogues
from tests.page_client import Markup, client_of, post, sign_in
from tests.page_world import HOSTILE, READER_KEY, SCRIPT

IMPORT = {"source": "owner/alpaca", "dataset": "support-bot"}
OTHER_FORMS = ["/datasets/{datasets}/ask", "/nights/run", "/imports"]
FORMS = [f"/{kind}/{{{kind}}}/{name}" for kind, found in ACTIONS.items() for name in found]


@pytest.fixture
def world() -> World:
    keys = {"page_keys": KEY, "page_reader_keys": READER_KEY}
    made = World(settings={**keys, "rollback_keep_hours": 24, "import_sources": "owner/*"})
    made.services.ledger.create(a_trained_snapshot())
    made.services.ledger.create(a_snapshot("REJECTED", id=NEWER, poll_at=None))  # type: ignore[arg-type]
    made.services.ledger.create(a_dataset())
    return made


@pytest.fixture
def client(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    yield from client_of(world, monkeypatch)


def token(client: TestClient, key: str = KEY) -> str:
    """The token of the forms that a visitor with this key is shown."""
    sign_in(client, key)
    return Markup(client.get(f"/api/ui/datasets/{DATASET}").text).token


def at(path: str) -> str:
    return path.format(datasets=DATASET, snapshots=NEWER)


def test_what_is_asked_for_is_recorded_under_the_visitors_name_and_shown_once(client: TestClient, world: World) -> None:
    answer = post(client, f"/datasets/{DATASET}/sleep", token(client))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/api/ui/datasets/{DATASET}")
    asked = status.dataset(world.services, DATASET)["requested"]
    assert (asked["what"], asked["by"], asked["origin"]) == ("sleep", "ada", "person")
    assert "will sleep" in client.get(f"/api/ui/datasets/{DATASET}").text
    assert "will sleep" not in client.get(f"/api/ui/datasets/{DATASET}").text


def test_what_cannot_be_done_now_is_said_where_it_was_asked(client: TestClient) -> None:
    answer = post(client, f"/datasets/{DATASET}/rollback", token(client))
    assert answer.status_code == 303
    page = client.get(answer.headers["location"]).text
    assert 'class="notice bad" role="alert"' in page
    assert "nothing to go back to" in page


@pytest.mark.parametrize("path", [*FORMS, *OTHER_FORMS, "/sign-out"])
def test_no_other_site_can_have_a_visitor_act(client: TestClient, world: World, path: str) -> None:
    found, before = token(client), dict(world.storage.blobs)
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"}):
        assert post(client, at(path), found, headers, question="x").status_code == 403
    for other in ("", "0" * 64, "ü"):
        assert post(client, at(path), other, question="x").status_code == 403
    assert {name: blob.etag for name, blob in world.storage.blobs.items()} == {
        name: blob.etag for name, blob in before.items()
    }


@pytest.mark.parametrize("path", [*FORMS, *OTHER_FORMS])
def test_a_reader_looks_and_does_not_act(client: TestClient, world: World, path: str) -> None:
    found, before = token(client, READER_KEY), dict(world.storage.blobs)
    world.storage.messages.clear()
    assert post(client, at(path), found, None, **IMPORT, question="x").status_code == 403
    assert (world.storage.blobs, world.storage.messages) == (before, [])
    asked = f"/imports/new?{urlencode(IMPORT)}"
    for view in (f"/datasets/{DATASET}", f"/snapshots/{NEWER}", "/nights/run", asked):
        assert Markup(client.get(f"/api/ui{view}").text).forms == {"/api/ui/sign-out"}


@pytest.mark.parametrize("path", [*FORMS, *OTHER_FORMS])
def test_nobody_acts_without_signing_in(client: TestClient, path: str) -> None:
    assert post(client, at(path), "0" * 64).status_code == 401


def test_what_cannot_be_taken_back_is_asked_about_once_more(client: TestClient, world: World) -> None:
    sign_in(client)
    page = client.get(f"/api/ui/snapshots/{NEWER}").text
    assert f'href="/api/ui/snapshots/{NEWER}/override"' in page
    asked = Markup(client.get(f"/api/ui/snapshots/{NEWER}/override").text)
    assert f"/api/ui/snapshots/{NEWER}/override" in asked.forms
    assert status.snapshot(world.services, NEWER)["state"] == "REJECTED"
    assert post(client, f"/snapshots/{NEWER}/override", asked.token).status_code == 303
    row = status.snapshot(world.services, NEWER)
    assert (row["state"], row["history"][-1]["reason"]) == ("RECEIVED", "override by ada")


@pytest.mark.parametrize(
    "path", [f"/datasets/{DATASET}/explode", "/datasets/nobody/sleep", f"/snapshots/{NEWER}/sleep"]
)
def test_what_is_not_there_is_404(client: TestClient, path: str) -> None:
    found = token(client)
    assert client.get(f"/api/ui{path}").status_code == 404
    assert post(client, path, found).status_code == 404


@pytest.mark.parametrize("path", [*FORMS, OTHER_FORMS[0]])
def test_nobody_is_asked_about_what_is_not_there(client: TestClient, world: World, path: str) -> None:
    sign_in(client)
    before = dict(world.storage.blobs)
    missing = path.format(datasets="nobody", snapshots="nobody-20260101000000-01234567")
    for odd in (missing, path.format(datasets="..x", snapshots="..x")):
        answer = client.get(f"/api/ui{odd}")
        assert (answer.status_code, "nothing of that name" in answer.text) == (404, True)
    assert client.get(f"/api/ui{at(path)}").status_code == 200
    assert world.storage.blobs == before


def test_a_form_that_is_none_is_refused(client: TestClient) -> None:
    sign_in(client)
    answer = client.post(f"/api/ui/datasets/{DATASET}/sleep", json={"token": "x"})
    assert (answer.status_code, "Not a form" in answer.text) == (400, True)


def test_a_deletion_says_what_goes_and_takes_the_name_typed(client: TestClient, world: World) -> None:
    sign_in(client)
    asked = client.get(f"/api/ui/datasets/{DATASET}/delete")
    assert "What goes" in asked.text
    assert "What stays" in asked.text
    found = Markup(asked.text).token
    for typed in ("", "support-bo"):
        answer = post(client, f"/datasets/{DATASET}/delete", found, typed=typed)
        assert answer.headers["location"].endswith("/delete")
        assert "Nothing was done" in client.get(answer.headers["location"]).text
    assert status.dataset(world.services, DATASET)["state"] == "LIVE"
    answer = post(client, f"/datasets/{DATASET}/delete", found, typed=DATASET)
    assert answer.headers["location"] == "/api/ui/datasets"
    assert status.dataset(world.services, DATASET)["state"] == "DELETING"


def test_a_paused_dataset_says_so_and_goes_on_when_asked(client: TestClient, world: World) -> None:
    found = token(client)
    post(client, f"/datasets/{DATASET}/pause", found)
    assert status.dataset(world.services, DATASET)["paused"]["by"] == "ada"
    assert "Paused" in client.get(f"/api/ui/datasets/{DATASET}").text
    post(client, f"/datasets/{DATASET}/unpause", found)
    assert status.dataset(world.services, DATASET)["paused"] is None


def test_what_is_offered_fits_the_state(client: TestClient, world: World) -> None:
    sign_in(client)
    page = client.get(f"/api/ui/datasets/{DATASET}").text
    assert "/sleep" in page
    assert "/wake" not in page
    assert "/rollback" not in page

    def change(row: object) -> object:
        return row.but(previous=a_release(NEWER), kept_until=world.clock() + 60)  # type: ignore[attr-defined]

    world.services.ledger.change(f"dataset/{DATASET}", change)
    assert "/rollback" in client.get(f"/api/ui/datasets/{DATASET}").text


def test_the_night_is_shown_beforehand_and_made_when_that_is_confirmed(client: TestClient, world: World) -> None:
    sign_in(client)
    assert 'href="/api/ui/nights/run"' in client.get("/api/ui/nights").text
    world.storage.messages.clear()
    asked = client.get("/api/ui/nights/run")
    assert (asked.status_code, "Would be asked to sleep" in asked.text) == (200, True)
    assert world.storage.messages == []
    answer = post(client, "/nights/run", Markup(asked.text).token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/api/ui/nights")
    assert [text for _, _, text in world.storage.messages] == [nightly.MESSAGE]
    assert "the nightly round begins" in client.get("/api/ui/nights").text
    assert "the nightly round begins" not in client.get("/api/ui/nights").text


def test_while_a_round_is_under_way_no_other_is_made_from_the_page(client: TestClient, world: World) -> None:
    found = token(client)
    world.storage.messages.clear()
    lease = world.storage.lease(nightly.LOCK)
    assert post(client, "/nights/run", found).status_code == 303
    lease.release()
    page = client.get("/api/ui/nights").text
    assert ('class="notice bad"' in page, "a nightly round is under way" in page) == (True, True)
    assert world.storage.messages == []


def test_a_model_is_tried_and_its_answer_is_shown_as_text(client: TestClient, world: World) -> None:
    world.drop("try-me.jsonl", dialogues(40))
    world.run()
    world.inference.answers = lambda deployment, question: EndpointAnswer(200, f"{SCRIPT} to: {question}", deployment)
    answer = post(client, "/datasets/try-me/ask", token(client), question=HOSTILE, system="Be brief.")
    assert answer.status_code == 200
    assert [turn["role"] for turn in world.inference.turns[-1]] == ["system", "user"]
    assert SCRIPT not in answer.text
    assert "&lt;script&gt;alert(&#39;owned&#39;)&lt;/script&gt; to: " in answer.text
    assert 'href="/api/ui/snapshots/try-me-' in answer.text


def test_a_question_that_cannot_be_answered_says_why_and_keeps_what_was_typed(client: TestClient) -> None:
    found = token(client)
    empty = post(client, f"/datasets/{DATASET}/ask", found, question="  ")
    assert (empty.status_code, "Type a question first" in empty.text) == (400, True)
    unknown = post(client, "/datasets/nobody/ask", found, question="Is anybody there?")
    assert unknown.status_code == 404
    assert "Is anybody there?" in unknown.text
    assert SNAPSHOT not in unknown.text


@pytest.mark.parametrize(("encoding", "said"), [("br", "may be plain"), ("gzip", "Content-Encoding says")])
def test_a_form_in_an_encoding_that_is_not_taken_is_no_form_for_visitors_and_others(
    client: TestClient, encoding: str, said: str
) -> None:
    given = token(client)
    for path in ("/sign-in", "/sign-out", f"/datasets/{DATASET}/sleep", "/upload"):
        answer = post(client, path, given, {"content-encoding": encoding})
        assert (answer.status_code, said in answer.text) == (400, True), path
