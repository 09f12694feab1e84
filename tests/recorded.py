"""The recorded Event Grid payloads in `tests/events`, turned into what the Functions runtime hands to a trigger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import azure.functions as func
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum

FOLDER = Path(__file__).parent / "events"
MALFORMED: dict[str, dict[str, Any]] = json.loads((FOLDER / "malformed.json").read_text())
NAMES = sorted(file.stem for file in FOLDER.glob("*.json") if file.stem != "malformed")


def payload(name: str) -> dict[str, Any]:
    """One recorded event as it came."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def event(body: str | dict[str, Any]) -> func.EventGridEvent:
    """An event (recorded, by name, or any body) as the runtime's own converter makes it: CloudEvents as CloudEvent."""
    text = json.dumps(payload(body) if isinstance(body, str) else body)
    made: Any = EventGridEventInConverter.decode(Datum(text, "json"), trigger_metadata={})
    return cast(func.EventGridEvent, made)
