"""What each route is said to answer (OpenAPI, docs/reference.md) is what it answers, no more and no less."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from functions import web
from shared import runtime
from shared.errors import AzureRefused, ServiceBusy
from shared.ledger.imports import ImportRequest
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from shared.operations import imports, nightly
from shared.serving.routes import ApiRoute
from tests.builders import DATASET, NEWER, a_dataset, a_fault, a_release, a_snapshot
from tests.fakes import KEY, World, dialogues
from tests.whole_app import application

# The platform answers it in front of the app, where a key is needed that it knows.
BY_THE_PLATFORM = {"function": {401}, "admin": {401}, "ask": set[int](), "anybody": set[int]()}
BACK, GOING, STUCK, ASLEEP = "back", "going", "stuck", "asleep"
NOBODY = "nobody-20260101000000-01234567"
# What no parameter of its name can be.
WRONG = {
    "limit": "0", "before": "x", "state": "FLYING", "sort": "luck", "dataset": "No_Name", "snapshot": "x",
    "seconds": "x", "month": "x", "rows": "x", "what": "luck", "confirm": "another",
}  # fmt: skip
# What is asked for beside the name in the address, so that it can be done.
RIGHT = {"rows": "10", "tokens_per_row": "9", "seconds": "1", "dry": "false"}
SENT: dict[str, tuple[tuple[Any, dict[str, str]], ...]] = {
    "imports": (
        ({"source": "owner/alpaca", "dataset": "fresh"}, {}),
        ({"source": "others/alpaca", "dataset": "fresh"}, {}),
        ("{", {}),
        ("x" * 70_000, {}),
        ("x", {"content-encoding": "br"}),
    ),
    "v1/chat/completions": (({"model": DATASET, "messages": [{"role": "user", "content": "What is abc?"}]}, {}),),
}


@pytest.fixture(scope="module")
def world() -> World:
    """One dataset that serves, and rows in the states that stand in the way of what is asked for, or do not."""
    made = World(settings={"import_sources": "owner/alpaca"})
    made.drop(f"{DATASET}.jsonl", dialogues(40))
    made.run(until=20_000)
    nightly.every_night(made.services)
    ledger, tail = made.services.ledger, NEWER.removeprefix(DATASET)
    ledger.create(a_dataset(D.LIVE, name=BACK, previous=a_release(f"{BACK}{tail}"), kept_until=2 * made.clock()))
    ledger.create(a_dataset(D.DELETING, name=GOING))
    ledger.create(a_dataset(D.ASLEEP, name=ASLEEP))
    ledger.create(a_dataset(D.DEPLOYING, name=STUCK, attention=True, fault=a_fault()))
    for name, state in ((ASLEEP, S.TRAINING_FAILED), (GOING, S.REJECTED), (STUCK, S.TRAINING)):
        ledger.create(a_snapshot(state, id=f"{name}{tail}", dataset=name))
    imports.start(made.services, ImportRequest(source="owner/alpaca", dataset="fresh"), "ada")
    return made


@pytest.fixture
def client(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(runtime, "_services", lambda: world.services)
    monkeypatch.setattr(runtime, "settings", lambda: world.services.settings)
    with TestClient(application(), raise_server_exceptions=False, headers={"x-functions-key": KEY}) as made:
        yield made


def _addresses(world: World, path: str) -> Iterator[str]:
    """A route about each thing that there is, and about one that is not."""
    known = [world.snapshots(name)[0]["id"] for name in (DATASET, ASLEEP, GOING, STUCK)]
    own = {"imports/{id}": [imports.newest(world.services)[0]["id"], "0123456789abcdef"]}
    named = {
        "id": own.get(path, [*known, NOBODY]),
        "night": [nightly.cards(world.services)[0].night, "2020-01-01T000000"],
        **{kind: [DATASET, BACK, GOING, ASLEEP, STUCK, "nobody"] for kind in ("name", "dataset", "model")},
    }
    (parameter,) = re.findall(r"{(\w+)}", path) or ("",)
    for value in named.get(parameter, [""]):
        yield path.replace(f"{{{parameter}}}", value)


def _status(client: TestClient, route: ApiRoute, address: str, asked: dict[str, str], sent: Any = None) -> int:
    body, headers = sent or (b"", {})
    content = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return client.request(route.method, f"/api/{address}", params=asked, content=content, headers=headers).status_code


def _answered(client: TestClient, world: World, route: ApiRoute) -> Iterator[int]:
    """The statuses of a route, however it is asked."""
    names = {name for name, _ in route.query}
    for address in _addresses(world, route.path):
        right = {name: RIGHT.get(name, address.rpartition("/")[2]) for name in names & {*RIGHT, "confirm"}}
        wrong = [{**right, name: WRONG[name]} for name in sorted(names & WRONG.keys())]
        without: list[dict[str, str]] = [] if route.media == "text/event-stream" else [{}]  # it would go on for minutes
        for asked in (right, *without, *wrong):
            for sent in SENT.get(route.path, (None,)) if route.method == "POST" else (None,):
                yield _status(client, route, address, asked, sent)


def test_every_route_answers_with_the_statuses_that_it_is_said_to_answer_with(
    client: TestClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = sorted(web.ROUTES, key=lambda route: (route.method != "GET", route.method == "DELETE"))
    found = {route.name: {*_answered(client, world, route)} for route in routes}
    for failure in (ServiceBusy("storage is busy"), AzureRefused("refused")):

        def fail(failure: Exception = failure) -> Any:
            raise failure

        monkeypatch.setattr(runtime, "_services", fail)
        for route in routes:
            if route.caller != "ask":
                sent = SENT.get(route.path, (None,))[0]
                found[route.name].add(_status(client, route, route.path, RIGHT | {"confirm": "{name}"}, sent))
    said = {
        route.name: {route.status, *route.errors, *([200] if route.previews else [])} - BY_THE_PLATFORM[route.caller]
        for route in routes
    }
    assert {name: answered - said[name] for name, answered in found.items() if answered - said[name]} == {}
    never = {route.name: said[route.name] - found[route.name] for route in routes if route.caller != "ask"}
    assert {name: statuses for name, statuses in never.items() if statuses} == {}
