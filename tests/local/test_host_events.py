"""Events as the host hands them to a worker: whatever was delivered, it is JSON that the worker can read."""

from __future__ import annotations

import json

import orjson
import pytest

from local.host.webhooks import parse_events


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("\\ud83d.jsonl", "\N{REPLACEMENT CHARACTER}.jsonl"),
        ("a\\udc00b", "a\N{REPLACEMENT CHARACTER}b"),
        ("\\ud83d\\ude00", "\N{GRINNING FACE}"),
        ("plain", "plain"),
    ],
)
def test_half_a_surrogate_pair_is_replaced_on_its_way_to_a_worker(text: str, read: str) -> None:
    body = f'{{"eventType": "x", "subject": "{text}", "data": {{"{text}": ["{text}"]}}}}'
    (event,) = parse_events(body.encode())
    assert orjson.loads(json.dumps(event)) == {"eventType": "x", "subject": read, "data": {read: [read]}}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_a_number_that_is_none_is_text_for_a_worker(number: str) -> None:
    (event,) = parse_events(f'{{"eventType": "x", "data": {number}}}'.encode())
    assert isinstance(orjson.loads(json.dumps(event))["data"], str)
