"""One event, read from and written in either schema: Event Grid's own and CloudEvents 1.0.

The broker keeps every event in one form and writes the form its subscription asks for. (The service converts
from its own schema to CloudEvents only; here both ways work.)
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.eventgrid.errors import BadEvents

EVENT_GRID = "EventGridSchema"
CLOUD_EVENTS = "CloudEventSchemaV1_0"
# The topics whose input schema is that of CloudEvents, as the templates make them; all others take either.
CLOUD_EVENT_TOPICS = frozenset({"droptune"})
_REQUIRED = {
    EVENT_GRID: ("id", "subject", "eventType", "eventTime", "dataVersion"),
    CLOUD_EVENTS: ("id", "source", "type", "specversion"),
}
_CLOUD_EVENTS_OWN = {"id", "source", "type", "specversion", "subject", "time", "data"}


@dataclass(frozen=True, kw_only=True)
class EventGridEvent:
    """What happened. `extensions` are the CloudEvents attributes that Event Grid's schema has no place for."""

    topic: str
    subject: str
    type: str
    data: Any
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    time: str = field(default_factory=lambda: stamp())
    data_version: str = ""
    extensions: Mapping[str, Any] = field(default_factory=dict)

    def written_in(self, schema: str) -> dict[str, Any]:
        """The event as a JSON object of the given schema."""
        return self._as_cloud_event() if schema == CLOUD_EVENTS else self._as_event_grid()

    def _as_event_grid(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "topic": self.topic,
            "subject": self.subject,
            "eventType": self.type,
            "eventTime": self.time,
            "data": self.data,
            "dataVersion": self.data_version,
            "metadataVersion": "1",
        }

    def _as_cloud_event(self) -> dict[str, Any]:
        document = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.topic,
            "subject": self.subject,
            "type": self.type,
            "time": self.time,
            "data": self.data,
            **self.extensions,
        }
        if "data_base64" in document:
            del document["data"]
        return document


def stamp(moment: datetime | None = None) -> str:
    """A time as Event Grid writes it, with seven digits behind the second."""
    return f"{moment or datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def read_events(body: bytes, topic: str) -> list[EventGridEvent]:
    """The published events, of whichever schema the topic takes; BadEvents names what is wrong with the first bad."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise BadEvents(f"the body is not JSON: {error}") from error
    documents = found if isinstance(found, list) else [found]
    return [_read(document, topic) for document in documents]


def _read(document: object, topic: str) -> EventGridEvent:
    if not isinstance(document, dict):
        raise BadEvents(f"an event must be an object, not {document!r:.80}")
    schema = CLOUD_EVENTS if "specversion" in document else EVENT_GRID
    if topic in CLOUD_EVENT_TOPICS and schema != CLOUD_EVENTS:
        raise BadEvents(f"the input schema of the topic {topic} is {CLOUD_EVENTS}: an event of {schema} is not taken")
    missing = [name for name in _REQUIRED[schema] if document.get(name) is None]
    if missing:
        raise BadEvents(f"required property {missing[0]!r} is missing from an event of {schema}")
    return _from_cloud_event(document) if schema == CLOUD_EVENTS else _from_event_grid(document, topic)


def _from_event_grid(document: Mapping[str, Any], topic: str) -> EventGridEvent:
    return EventGridEvent(
        id=document["id"],
        topic=document.get("topic") or topic,
        subject=document["subject"],
        type=document["eventType"],
        time=document["eventTime"],
        data=document.get("data"),
        data_version=document["dataVersion"],
    )


def _from_cloud_event(document: Mapping[str, Any]) -> EventGridEvent:
    return EventGridEvent(
        id=document["id"],
        topic=document["source"],
        subject=document.get("subject") or "",
        type=document["type"],
        time=document.get("time") or stamp(),
        data=document.get("data"),
        extensions={name: value for name, value in document.items() if name not in _CLOUD_EVENTS_OWN},
    )
