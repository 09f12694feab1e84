"""Events over HTTP: what is asked for is checked, what is sent is an event stream, and it ends in its time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions import events_requested
from functions.events_requested import LONGEST, stream_events
from shared.errors import ServiceBusy
from shared.ledger.states import SnapshotState as S
from shared.operations import event_feed
from tests.builders import DATASET, SNAPSHOT, a_snapshot
from tests.fakes import World

type Make = Callable[..., Request]


def _answer(req: Request) -> Response:
    async def answered() -> Response:
        return await stream_events(req)

    return asyncio.run(answered())


async def _streamed(response: Response) -> list[str]:
    """The text of an event stream, event by event, until it ends."""
    sent: list[bytes] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    await response({"type": "http", "method": "GET"}, receive, send)
    return b"".join(sent).decode().split("\n\n")


def test_a_stream_says_when_to_come_back_then_the_present_with_its_id_and_ends(
    world: World, request_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.services.ledger.create(a_snapshot())

    async def asked() -> list[str]:
        response = await stream_events(request_of(method="GET", params={"dataset": DATASET, "seconds": "1"}))
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        return await _streamed(response)

    first, event, rest = asyncio.run(asked())
    assert first == ": listening\nretry: 1000"
    number, kind, data = event.split("\n")
    assert (number[:4], kind) == ("id: ", "event: snapshot")
    found = json.loads(data.removeprefix("data: "))
    assert (found["id"], found["state"], found["dataset"]) == (SNAPSHOT, "RECEIVED", DATASET)
    assert rest == ""


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"snapshot": "support-bot"}, "snapshot: the id"),
        ({"dataset": "../x"}, "dataset: 2 to 41"),
        ({"seconds": "0"}, f"seconds: 1 to {LONGEST}"),
        ({"seconds": "211"}, f"seconds: 1 to {LONGEST}"),
        ({"seconds": "1e1"}, f"seconds: 1 to {LONGEST}"),
        ({"seconds": "١"}, f"seconds: 1 to {LONGEST}"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(world: World, request_of: Make, params: dict[str, str], said: str) -> None:
    response = _answer(request_of(method="GET", params=params))
    assert response.status_code == 400
    assert said in json.loads(bytes(response.body))["error"]["message"]


def test_nobody_may_listen_where_that_is_off(world: World, request_of: Make) -> None:
    event_feed.feed(world.services).most = 0
    response = _answer(request_of(method="GET"))
    assert (response.status_code, response.headers["retry-after"]) == (503, "10")
    assert json.loads(bytes(response.body))["error"]["code"] == "too_many_listeners"


def test_storage_that_does_not_answer_is_503(world: World, request_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any) -> Any:
        raise ServiceBusy("storage is busy")

    monkeypatch.setattr(world.storage, "list", busy)
    response = _answer(request_of(method="GET"))
    assert response.status_code == 503
    assert "storage is busy" in json.loads(bytes(response.body))["error"]["message"]


def test_a_caller_who_leaves_makes_room(world: World, request_of: Make) -> None:
    world.services.ledger.create(a_snapshot(S.VALIDATING))

    async def leaves() -> int:
        feed = event_feed.feed(world.services)
        response = await stream_events(request_of(method="GET"))
        sent, left = asyncio.Event(), asyncio.Event()

        async def receive() -> Any:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if b"VALIDATING" in message.get("body", b""):
                sent.set()

        answering = asyncio.ensure_future(response({"type": "http", "method": "GET"}, receive, send))
        await sent.wait()
        assert feed._listeners == 1
        left.set()
        await answering
        return feed._listeners

    assert asyncio.run(leaves()) == 0


def test_events_that_break_off_end_the_stream_quietly(world: World) -> None:
    async def broken() -> AsyncIterator[Any]:
        raise ServiceBusy("storage is busy")
        yield

    async def sent() -> list[Any]:
        events: Any = broken()
        return [event async for event in events_requested._sent(events)]

    assert len(asyncio.run(sent())) == 1
