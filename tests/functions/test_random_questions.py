"""Random JSON at the routes that ask: never a 500, never a traceback, never a key in the answer, nothing echoed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from functions import chat_requested
from shared import runtime
from tests.answers_sent import sent
from tests.builders import DATASET, ENDPOINT, a_dataset
from tests.fakes import KEY, World

# Only ever the content of a turn, which may not come back in an error.
MARK = "content-of-a-caller"
LEGAL = {200, 400, 404, 413, 422}
TEXTS = st.one_of(
    st.sampled_from(["", " ", "user", "system", "assistant", "developer", DATASET, f"{DATASET}@x"]),
    st.text(max_size=20),
)
NUMBERS = st.one_of(st.integers(-3, 5), st.integers(), st.floats(), st.booleans(), st.none())
VALUES = st.recursive(
    st.one_of(TEXTS, NUMBERS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
FIELDS = [
    "model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "n", "stream",
    "stream_options", "user", "input_data", "params", "tools", "seed", "logprobs", "response_format",
]  # fmt: skip
TURNS = st.fixed_dictionaries({"role": TEXTS, "content": st.one_of(TEXTS, VALUES)}, optional={"name": TEXTS})
GOOD = {
    "model": DATASET,
    "messages": [{"role": "user", "content": MARK}],
    "input_data": {"input_string": [{"role": "user", "content": MARK}]},
}
ROUTES = {chat_requested.chat_completions: ("model", "messages"), chat_requested.score: ("input_data",)}


@st.composite
def bodies(draw: st.DrawFn, needed: tuple[str, ...]) -> bytes:
    """Any JSON; or a good question with a few fields changed, which gets further."""
    if draw(st.integers(0, 3)) == 0:
        return json.dumps(draw(VALUES)).encode("utf-8", "surrogatepass")
    body: dict[str, Any] = {name: GOOD[name] for name in needed}
    changed = draw(st.lists(st.sampled_from([*FIELDS, *needed]), max_size=3, unique=True))
    for name in changed:
        body[name] = draw(st.one_of(VALUES, st.lists(TURNS, max_size=4)))
    if "input_data" in needed and draw(st.booleans()):
        body["input_data"] = {"input_string": draw(st.lists(TURNS, max_size=3)), "parameters": draw(VALUES)}
    return json.dumps(body).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One world for all examples: what they leave behind, the next one meets."""
    made = World()
    made.services.ledger.create(a_dataset())
    made.workspace.endpoints.write(ENDPOINT, {}, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "_services", lambda: made.services)
        patch.setattr(runtime, "settings", lambda: made.services.settings)
        for remembered in (chat_requested._made_service, chat_requested._keys):
            remembered.cache_clear()
        yield made
        for remembered in (chat_requested._made_service, chat_requested._keys):
            remembered.cache_clear()


def _told(act: Any, body: bytes) -> tuple[int, str]:
    """The status and everything a caller sees."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def run() -> tuple[int, str]:
        headers = [(b"x-functions-key", KEY.encode())]
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
        response = await act(Request({**scope, "path_params": {"dataset": DATASET}}, receive))
        found = await sent(response)
        seen = found.body.decode()
        if not found.streamed:
            json.loads(seen)
        return response.status_code, seen + repr(response.headers)

    return asyncio.run(run())


@pytest.mark.parametrize("act", ROUTES, ids=["chat", "score"])
def test_any_json_is_answered_or_refused_in_good_form(world: World, act: Any) -> None:
    seen: set[int] = set()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(bodies(ROUTES[act]))
    def holds(body: bytes) -> None:
        status, told = _told(act, body)
        seen.add(status)
        assert status in LEGAL, told
        for secret in (KEY, f"key-of-{ENDPOINT}", "Traceback", ".py"):
            assert secret not in told
        assert MARK not in told

    holds()
    assert {200, 400} <= seen
