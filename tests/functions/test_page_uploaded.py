"""A file dropped on the page: into storage piece by piece, and seen as a snapshot at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from shared.azure.storage import blocks
from shared.operations import status
from shared.ui import upload
from tests.fakes import KEY, World, dialogues
from tests.page_client import ORIGIN, Markup, client_of, sign_in
from tests.page_world import READER_KEY, SCRIPT


@pytest.fixture
def world() -> World:
    return World(settings={"page_keys": KEY, "page_reader_keys": READER_KEY, "page_upload_mb": 1})


@pytest.fixture
def client(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    yield from client_of(world, monkeypatch)


def send(client: TestClient, name: str, data: bytes, dataset: str = "support-bot", **more: Any) -> Any:
    """The answer to an upload by a visitor who may act."""
    sign_in(client)
    token = more.pop("token", None) or Markup(client.get("/api/ui/upload").text).token
    headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin", **more}
    fields = {"token": token, "dataset": dataset}
    return client.post("/api/ui/upload", data=fields, files={"file": (name, data)}, headers=headers)


def uploaded(world: World) -> list[str]:
    return [name for container, name in world.storage.blobs if container == "snapshots"]


def test_a_file_becomes_a_snapshot_and_the_page_leads_to_it(client: TestClient, world: World) -> None:
    answer = send(client, "My rows (1).jsonl", dialogues(40))
    assert answer.status_code == 303
    (name,) = uploaded(world)
    assert name.startswith("support-bot/2026-")
    assert name.endswith("-My-rows-1.jsonl")
    assert world.storage.read("snapshots", name)[0] == dialogues(40)
    assert client.get(answer.headers["location"]).status_code == 200
    snapshot = answer.headers["location"].rpartition("/")[2]
    assert status.snapshot(world.services, snapshot)["state"] == "RECEIVED"
    world.run()
    assert status.snapshot(world.services, snapshot)["state"] == "LIVE"


@pytest.mark.parametrize("size", [1, 1000])
def test_a_file_of_many_blocks_is_whole(
    client: TestClient, world: World, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", size)
    data = dialogues(3)[:3000]
    send(client, "rows.jsonl", data)
    (name,) = uploaded(world)
    assert world.storage.read("snapshots", name)[0] == data


@pytest.mark.parametrize(
    ("filename", "path"),
    [
        ("rows.JSONL", "d1/2026-09-21T141320-ab12-rows.jsonl"),
        ("train.parquet", "d1/2026-09-21T141320-ab12.parquet"),
        (f"{SCRIPT}.jsonl.gz", "d1/2026-09-21T141320-ab12-script-alert-owned-script.jsonl.gz"),
        ("../../etc.jsonl", "d1/2026-09-21T141320-ab12-etc.jsonl"),
        ("ש.jsonl", "d1/2026-09-21T141320-ab12.jsonl"),
        (f"{'x' * 5000}.jsonl", f"d1/2026-09-21T141320-ab12-{'x' * 60}.jsonl"),
    ],
)
def test_a_name_is_made_harmless_and_never_one_of_a_split(filename: str, path: str, world: World) -> None:
    assert upload.blob_path("d1", filename, world.clock(), "ab12") == path


@pytest.mark.parametrize(
    ("filename", "data", "dataset", "status_", "said"),
    [
        ("rows.csv", b"x", "support-bot", 400, "ends in .jsonl"),
        ("rows.jsonl", b"", "support-bot", 400, "empty"),
        ("rows.jsonl", b"{}", "Support Bot", 400, "not a dataset name"),
        ("rows.jsonl", b"{}", "../x", 400, "not a dataset name"),
        ("rows.jsonl", b"x" * 1_100_000, "support-bot", 413, "at most 1 MB"),
    ],
)
def test_what_makes_no_snapshot_is_said_in_the_form_and_leaves_nothing(
    client: TestClient, world: World, filename: str, data: bytes, dataset: str, status_: int, said: str
) -> None:
    answer = send(client, filename, data, dataset)
    assert (answer.status_code, uploaded(world)) == (status_, [])
    assert said in answer.text
    assert 'role="alert"' in answer.text


def test_no_byte_is_kept_of_a_form_of_another_site_or_of_a_reader(client: TestClient, world: World) -> None:
    assert send(client, "rows.jsonl", dialogues(9), token="0" * 64).status_code == 403
    assert send(client, "rows.jsonl", dialogues(9), **{"sec-fetch-site": "cross-site"}).status_code == 403
    sign_in(client, READER_KEY)
    page = client.get("/api/ui/upload")
    assert "/api/ui/upload" not in Markup(page.text).forms
    sent = {"token": Markup(page.text).token, "dataset": "d1"}
    assert client.post("/api/ui/upload", data=sent, files={"file": ("a.jsonl", b"x")}).status_code == 403
    client.cookies.clear()
    assert client.post("/api/ui/upload", data=sent, files={"file": ("a.jsonl", b"x")}).status_code == 401
    assert uploaded(world) == []


def test_two_files_of_one_name_in_one_second_are_two_snapshots_each_of_its_own_bytes(world: World) -> None:
    first = upload.PageUpload(world.services, "support-bot", "rows.jsonl")
    second = upload.PageUpload(world.services, "support-bot", "rows.jsonl")
    first.write(dialogues(9))
    second.write(dialogues(40))
    assert first.finish() != second.finish()
    contents = [world.storage.read("snapshots", one.path)[0] for one in (first, second)]
    assert contents == [dialogues(9), dialogues(40)]


def test_an_upload_that_is_cut_off_leaves_nothing(client: TestClient, world: World) -> None:
    sign_in(client)
    token = Markup(client.get("/api/ui/upload").text).token
    body = (
        f'--xx\r\nContent-Disposition: form-data; name="token"\r\n\r\n{token}\r\n'
        '--xx\r\nContent-Disposition: form-data; name="dataset"\r\n\r\nsupport-bot\r\n'
        '--xx\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{"messages": '
    )
    headers = {"content-type": "multipart/form-data; boundary=xx"}
    answer = client.post("/api/ui/upload", content=body, headers=headers)
    assert (answer.status_code, uploaded(world)) == (400, [])
    assert "ends early" in answer.text


def test_a_form_without_a_file_says_so(client: TestClient) -> None:
    sign_in(client)
    token = Markup(client.get("/api/ui/upload").text).token
    answer = client.post("/api/ui/upload", data={"token": token, "dataset": "support-bot"})
    assert (answer.status_code, "Choose a file first" in answer.text) == (400, True)
