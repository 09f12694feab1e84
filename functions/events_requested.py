"""Somebody wants to hear of state changes as they happen (HTTP): server-sent events, resumed by `Last-Event-ID`."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING

import azure.functions as func

from functions import answers, web
from functions.web import Request, Response
from shared import runtime
from shared.errors import BadRequest, PipelineError
from shared.serving.routes import LIST_ERRORS

if TYPE_CHECKING:
    from sse_starlette import ServerSentEvent

    from shared.operations.event_feed import NumberedEvent
    from shared.operations.events import EventQuery

blueprint = func.Blueprint()
log = logging.getLogger(__name__)

# The platform cuts an answer off after 230 s.
LONGEST = 210
# How soon (ms) a client comes back when its stream has ended.
_AGAIN_MS = 1000


@web.route(
    blueprint,
    "GET",
    "events",
    errors=LIST_ERRORS,
    media="text/event-stream",
    query=(
        ("snapshot", "Only events of this snapshot, and of its dataset where it is about its release."),
        ("dataset", "Only events of this dataset and its snapshots."),
        ("seconds", f"How long to listen, up to {LONGEST}, which is also what it is without it."),
    ),
)
async def stream_events(req: Request) -> Response:
    """State changes of snapshots and datasets as they happen, and how far trainings are, as server-sent events."""
    from functions.event_stream import EventStream
    from shared.operations import event_feed

    try:
        query, seconds = _query(req.query_params)
        feed = event_feed.feed(await asyncio.to_thread(runtime.services))
        await feed.begin()
    except event_feed.TooManyListeners:
        text = "as many listen as this instance takes (EVENT_LISTENERS): come back later, or ask for states instead"
        return web.refusal(503, "too_many_listeners", text, answers.AGAIN_SECONDS)
    except PipelineError as error:
        return answers.refused(error)
    return EventStream(_sent(feed.listen(query, req.headers.get("last-event-id", ""), seconds)))


def _query(params: Mapping[str, str]) -> tuple[EventQuery, float]:
    """What is asked for, and for how long. Raises BadRequest."""
    from shared import naming
    from shared.operations.events import EventQuery

    snapshot, dataset, seconds = (params.get(name, "") for name in ("snapshot", "dataset", "seconds"))
    if snapshot and not naming.SNAPSHOT_ID.fullmatch(snapshot):
        raise BadRequest("snapshot: the id of a snapshot, as GET /api/snapshots lists it")
    if dataset and not naming.DATASET.fullmatch(dataset):
        raise BadRequest("dataset: 2 to 41 of a-z, 0-9 and '-'")
    if seconds and not (re.fullmatch(r"[0-9]{1,3}", seconds) and 1 <= int(seconds) <= LONGEST):
        raise BadRequest(f"seconds: 1 to {LONGEST}")
    return EventQuery(snapshot, dataset), float(seconds or LONGEST)


async def _sent(events: AsyncGenerator[NumberedEvent]) -> AsyncGenerator[ServerSentEvent]:
    """The events as they are sent. Where storage does not answer the stream ends, and the client comes back."""
    from msgspec import json
    from sse_starlette import ServerSentEvent

    try:
        yield ServerSentEvent(comment="listening", retry=_AGAIN_MS, sep="\n")
        async for one in events:
            data = json.encode(one.event).decode()
            yield ServerSentEvent(data, event=one.event.kind, id=one.id or None, sep="\n")
    except PipelineError as error:
        log.info("a stream of events ends early: %s", error)
    finally:
        await events.aclose()
