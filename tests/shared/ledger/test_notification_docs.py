"""What docs/notifications.md and its schema promise to receivers is what is sent."""

from __future__ import annotations

import base64
import hmac
import json
import re
import time
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from scripts.notification_schema import schema
from shared.azure.notifications import WebhookChannel, cloud_event
from shared.ledger import notices
from shared.ledger.states import ReleaseState, SnapshotState
from tests.builders import a_fault, a_snapshot

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "notifications.md").read_text("utf-8")
EVENT, WORKFLOW = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
SCHEMA = json.loads(schema())


def test_the_schema_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "notifications.schema.json").read_text("utf-8") == schema(), "run: make docs"


def _is_described(event: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(event)
    name = event["type"].removeprefix(notices.PREFIX)
    assert set(event["data"]) == set(SCHEMA["$defs"][name]["properties"])


def test_the_event_on_the_page_is_one() -> None:
    _is_described(EVENT)


def test_what_is_sent_is_described() -> None:
    row = a_snapshot()
    found = notices.of_write(None, row.but(attention=True, fault=a_fault()), "0a1b2c3d", 1.0, ("topic",))
    assert len(found) == 2
    for one in found:
        _is_described(cloud_event("/droptune/0a1b2c3d", one))


def test_the_receiver_on_the_page_takes_what_is_signed_and_nothing_else() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope: dict[str, Any] = {"base64": base64, "hmac": hmac, "time": time}
    exec(code, scope)
    for secret in ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "the-secret-of-the-webhook"):
        headers = WebhookChannel("https://example.org", secret)._signed("n1", b"{}")
        assert scope["is_genuine"](headers, b"{}", secret)
        assert not scope["is_genuine"](headers, b"{ }", secret)
        old = WebhookChannel("https://example.org", secret, lambda: time.time() - 400)._signed("n1", b"{}")
        assert not scope["is_genuine"](old, b"{}", secret)


def test_the_workflow_on_the_page_reads_fields_that_there_are() -> None:
    text = json.dumps(WORKFLOW)
    data = {name for kind in SCHEMA["$defs"].values() for name in kind["properties"]}
    assert set(re.findall(r"\['data'\]\?\['(\w+)'\]", text)) <= data
    assert set(re.findall(r"triggerBody\(\)\?\['(\w+)'\]", text)) <= {*SCHEMA["oneOf"][0]["properties"]}
    assert set(re.findall(r"parameters\('([$\w]+)'\)", text)) == set(WORKFLOW["parameters"])
    (states,) = re.findall(r"createArray\((.*?)\)", text)
    assert set(re.findall(r"'(\w+)'", states)) <= {*map(str, SnapshotState), *map(str, ReleaseState)}
    assert set(re.findall(r"Droptune\.(\w+)", text)) <= {kind.__name__ for kind in notices.TYPES}


@pytest.mark.parametrize("kind", notices.TYPES)
def test_every_type_is_on_the_page(kind: type) -> None:
    assert f"`{notices.PREFIX}{kind.__name__}`" in PAGE
