"""docs/local-cloud.md says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from local.eventgrid.app import Api
from local.eventgrid.faults import DeliveryFaults
from local.eventgrid.subscriptions import Subscription, read_subscription
from local.record import CloudRecord

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "local-cloud.md").read_text("utf-8")


def test_every_address_of_the_broker_is_documented() -> None:
    api = Api.__new__(Api)  # its routes need nothing of it
    routes = {
        f"{method} {route.path}" for route in api.routes() for method in (route.methods or ()) if method != "HEAD"
    }
    assert set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", PAGE, re.MULTILINE)) == routes


def test_every_fault_is_documented() -> None:
    assert re.findall(r'^\| `"(\w+)": ', PAGE, re.MULTILINE) == [
        field.name for field in msgspec.structs.fields(DeliveryFaults)
    ]


def test_every_key_of_cloud_json_is_documented() -> None:
    section = PAGE.split("`cloud.json` has these keys:")[1].split("\n## ")[0]
    keys = [key for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)]
    assert sorted(keys) == sorted(field.name for field in msgspec.structs.fields(CloudRecord))


def test_documented_subscription_is_one_and_shows_every_field() -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    read_subscription(example.encode(), "example")
    kept_by_the_broker = {"name", "state"}
    assert set(json.loads(example)) == {f.name for f in msgspec.structs.fields(Subscription)} - kept_by_the_broker
