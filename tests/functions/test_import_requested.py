"""Imports over HTTP: what is taken, what is refused by name or by the list of what is allowed, and looking at them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions import import_requested
from tests.fakes import World

Make = Callable[..., Request]
ASKED = {"source": "owner/alpaca", "dataset": "support-bot", "fraction": 0.5, "user": ["q"], "assistant": "a"}


@pytest.fixture
def allowed(world: World) -> World:
    world.settings["import_sources"] = "owner/*"
    world.services = world.new_process()
    return world


def _start(request: Request) -> Response:
    return asyncio.run(import_requested.start_import(request))


def _json(answer: Response) -> Any:
    return json.loads(bytes(answer.body))


def test_an_import_is_taken_and_can_be_looked_at(allowed: World, request_of: Make) -> None:
    answer = _start(request_of(ASKED, params={"by": "ada"}))
    assert answer.status_code == 202
    taken = _json(answer)
    assert (taken["state"], taken["message"]) == ("ASKED", "owner/alpaca into support-bot: will be imported")
    assert _json(_start(request_of(ASKED)))["id"] == taken["id"]
    shown = _json(import_requested.get_import(request_of(route={"id": taken["id"]})))
    assert (shown["by"], shown["request"]["fraction"], shown["snapshot"]) == ("ada", 0.5, None)
    (listed,) = _json(import_requested.list_imports(request_of()))["imports"]
    assert (listed["id"], listed["source"], listed["state"]) == (taken["id"], "owner/alpaca", "ASKED")
    assert _json(import_requested.list_imports(request_of(params={"state": "IMPORTED"}))) == {
        "imports": [],
        "next": None,
    }
    wrong = import_requested.list_imports(request_of(params={"state": "imported"}))
    assert (wrong.status_code, "one of ASKED" in _json(wrong)["error"]["message"]) == (400, True)


def test_without_a_list_of_sources_imports_are_off_and_it_is_said(world: World, request_of: Make) -> None:
    before = dict(world.storage.blobs)
    answer = _start(request_of(ASKED))
    assert (answer.status_code, "IMPORT_SOURCES" in _json(answer)["error"]["message"]) == (403, True)
    assert world.storage.blobs == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "../x"}, "source"),
        ({"source": "https://example.org/x"}, "source"),
        ({"dataset": "No_Name"}, "dataset: 2 to 41"),
        ({"fraction": 0}, "fraction"),
        ({"rows": -1}, "rows"),
        ({"splitz": []}, "splitz"),
        ({"revision": "main\n"}, "revision"),
        ({"options": {"hyperparameter": 1}}, "did you mean"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    allowed: World, request_of: Make, change: dict[str, Any], words: str
) -> None:
    answer = _start(request_of({**ASKED, **change}))
    assert (answer.status_code, words in _json(answer)["error"]["message"]) == (400, True), answer.body


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 400), (b"x" * 70_000, 413)],
    ids=["no", "half", "list", "long"],
)
def test_a_body_that_is_none_is_refused(allowed: World, request_of: Make, body: bytes, status: int) -> None:
    assert _start(request_of(body)).status_code == status


def test_an_import_that_is_not_there_is_404_with_where_to_look(world: World, request_of: Make) -> None:
    answer = import_requested.get_import(request_of(route={"id": "0123456789abcdef"}))
    assert (answer.status_code, "GET /api/imports" in _json(answer)["error"]["message"]) == (404, True)
