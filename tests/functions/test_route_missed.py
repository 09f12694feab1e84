"""Routes that are not there: what a client that speaks another protocol, or has a wrong base address, is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from functions.route_missed import explain_routes


def _answered(request: Request) -> tuple[int, Any, Any]:
    found = asyncio.run(explain_routes(request))
    return found.status_code, json.loads(bytes(found.body)), found.headers


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("v1/responses", "instead of the Responses API"),
        ("v1/completions", "send the text as a user message"),
        ("v1/embeddings", "answer chats only"),
        ("chat/completions", "ends in /api/v1"),
        ("v1/v1/chat/completions", "ends in /api/v1"),
        ("models", "ends in /api/v1"),
        ("snapshot", "did you mean GET /api/snapshots?"),
        ("dataset/support-bot/wake", "did you mean POST /api/datasets/{name}/wake?"),
        ("datasets/support-bot/wak", "did you mean POST /api/datasets/{name}/wake?"),
        ("snapshots/x/retri", "did you mean POST /api/snapshots/{id}/retry?"),
        ("helth", "did you mean GET /api/health?"),
        ("", "there is no route /api/"),
        ("x" * 10_000, "there is no route /api/xxx"),
        ("a\nb", "/api/ab"),
    ],
)
def test_an_unknown_route_says_what_there_is(request_of: Callable[..., Request], path: str, said: str) -> None:
    status, body, _ = _answered(request_of(route={"path": path}, headers={"x-functions-key": ""}))
    assert status == 404
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["code"] == "unknown_route"
    assert said in body["error"]["message"]
    assert "POST /api/v1/chat/completions" in body["error"]["message"]
    assert len(body["error"]["message"]) < 500


@pytest.mark.parametrize(
    ("path", "allowed"), [("v1/chat/completions", "POST"), ("v1/models/support-bot", "GET"), ("Health", "GET")]
)
def test_another_method_is_405_with_the_right_one(request_of: Callable[..., Request], path: str, allowed: str) -> None:
    status, body, headers = _answered(request_of(method="PUT", route={"path": path}))
    assert (status, body["error"]["code"], headers["Allow"]) == (405, "method_not_allowed", allowed)
