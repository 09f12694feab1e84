"""docs/notifications.schema.json: what is sent to a topic or a webhook, for whoever reads it with another tool.

`python -m scripts.notification_schema > docs/notifications.schema.json`; a test compares the two.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from shared.ledger import notices

REFERENCE = "#/$defs/{name}"


def schema() -> str:
    """The JSON schema of an event: the envelope of CloudEvents 1.0, and the data of each type."""
    _, data = msgspec.json.schema_components(notices.TYPES, ref_template=REFERENCE)
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What Droptune tells",
        "oneOf": [_event(kind.__name__) for kind in notices.TYPES],
        "$defs": data,
    }
    return json.dumps(found, indent=1) + "\n"


def _event(name: str) -> dict[str, Any]:
    text = {"type": "string"}
    fields = {
        "specversion": {"const": "1.0"},
        "type": {"const": f"{notices.PREFIX}{name}"},
        "id": {**text, "description": "The same at every attempt: what was received under it before is a repeat."},
        "source": {**text, "description": "The installation that tells: /droptune/<8 hex>."},
        "subject": {
            **text,
            "description": "About what: snapshot/<id>, dataset/<name>, refused/<hash>, report/<time>, import/<id>.",
        },
        "time": {**text, "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "data": {"$ref": REFERENCE.format(name=name)},
    }
    return {"type": "object", "properties": fields, "required": list(fields)}


if __name__ == "__main__":
    sys.stdout.write(schema())
