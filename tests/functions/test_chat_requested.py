"""Questions over HTTP: both payloads, what is refused before anybody is asked, and that nothing sent is echoed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions.chat_requested import chat_completions, score
from functions.web import MOST_BYTES
from shared.lifecycle import DatasetState as D
from shared.scoring import Answer
from tests.builders import DATASET, DEPLOYMENT, ENDPOINT, SNAPSHOT, a_dataset, an_answer
from tests.fakes import World

Make = Callable[..., Request]
TURN = {"role": "user", "content": "Why?"}
NATIVE = {"input_data": {"input_string": [TURN], "parameters": {"temperature": 0.6, "max_new_tokens": 50}}}
CHAT = {"model": DATASET, "messages": [TURN]}
ROUTE = {"dataset": DATASET}
BOTH = pytest.mark.parametrize("act", [score, chat_completions], ids=["score", "chat"])


class Endpoint:
    """Answers every question alike and keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.asked = answer, list[dict[str, Any]]()

    async def ask(self, uri: str, key: str, body: Any, timeout: float, **more: str) -> Answer:
        self.asked.append({"body": body, **more})
        return self.answer


def _live(world: World, answer: Answer | None = None, **changes: Any) -> Endpoint:
    endpoint: Any = Endpoint(answer or an_answer(text="Because."))
    world.parts.scorer = endpoint
    world.parts.ledger.create(a_dataset(**changes))
    world.workspace.write_endpoint(ENDPOINT, {}, {})
    made: Endpoint = endpoint
    return made


def _answered(act: Any, request: Request) -> tuple[int, Any, Any]:
    answer: Response = asyncio.run(act(request))
    assert answer.media_type == "application/json"
    return answer.status_code, json.loads(bytes(answer.body)), answer.headers


def test_the_recipes_payload_is_answered_with_the_text_and_who_gave_it(world: World, request_of: Make) -> None:
    endpoint = _live(world)
    status, body, _ = _answered(score, request_of(NATIVE, route=ROUTE))
    assert status == 200
    assert body == {"output": "Because.", "dataset": DATASET, "release": SNAPSHOT, "deployment": DEPLOYMENT}
    parameters = endpoint.asked[0]["body"]["input_data"]["parameters"]
    assert parameters == {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "max_new_tokens": 50}


def test_a_chat_completion_has_the_shape_that_clients_know(world: World, request_of: Make) -> None:
    endpoint = _live(world)
    status, body, _ = _answered(chat_completions, request_of({**CHAT, "max_tokens": 7}))
    assert status == 200
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert isinstance(body["created"], int)
    assert body["model"] == f"{DATASET}@{SNAPSHOT}"
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Because."}
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert endpoint.asked[0]["body"]["input_data"]["parameters"]["max_new_tokens"] == 7


@pytest.mark.parametrize(("given", "kept"), [("abc-DEF_1", True), ("x" * 41, False), ("a b", False), ("", False)])
def test_a_callers_request_id_is_passed_on_if_azure_takes_it(
    world: World, request_of: Make, given: str, kept: bool
) -> None:
    endpoint = _live(world)
    _answered(score, request_of(NATIVE, route=ROUTE, headers={"X-Request-Id": given}))
    found = endpoint.asked[0]["request_id"]
    assert (found == given) == kept
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", found)


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"SECRET-CONTENT",
        b'{"a": SECRET-CONTENT}',
        b'"SECRET-CONTENT"',
        b"\xff\xfeSECRET-CONTENT",
        b"[" * 10_000,
        b"null",
        b"[]",
        b'{"model": 5, "messages": "SECRET-CONTENT", "input_data": "SECRET-CONTENT"}',
        b'{"model": "x", "messages": [{"role": "SECRET-CONTENT", "content": "y"}]}',
        b'{"input_data": {"input_string": [{"role": "user", "content": ["SECRET-CONTENT"]}]}}',
    ],
)
def test_a_malformed_body_is_400_that_names_the_place_and_echoes_nothing(
    world: World, request_of: Make, act: Any, body: bytes
) -> None:
    endpoint = _live(world)
    status, found, _ = _answered(act, request_of(body, route=ROUTE))
    assert status == 400
    assert (found["error"]["type"], found["error"]["code"]) == ("invalid_request_error", "invalid_request")
    assert found["error"]["message"]
    assert "SECRET" not in json.dumps(found)
    assert not endpoint.asked


def test_a_wrong_field_is_named(world: World, request_of: Make) -> None:
    _, found, _ = _answered(chat_completions, request_of({**CHAT, "temperature": 9, "stream": True}))
    assert "temperature: Input should be less than or equal to 2" in found["error"]["message"]
    assert "stream: streaming is not offered yet" in found["error"]["message"]


@BOTH
def test_a_body_with_thousands_of_mistakes_gets_a_short_answer(world: World, request_of: Make, act: Any) -> None:
    turns = [{"role": "bot", "content": ""}] * 900
    body = {"model": "x", "messages": turns, "input_data": {"input_string": turns}, "k" * 100_000: 1}
    status, found, _ = _answered(act, request_of(body, route=ROUTE))
    assert status == 400
    assert len(found["error"]["message"]) < 3000


def test_an_endless_field_name_is_cut(world: World, request_of: Make) -> None:
    _, found, _ = _answered(chat_completions, request_of({**CHAT, "k" * 100_000: 1}))
    assert "kkk" in found["error"]["message"]
    assert len(found["error"]["message"]) < 200


@BOTH
def test_a_body_that_is_too_large_is_413_before_it_is_read(world: World, request_of: Make, act: Any) -> None:
    endpoint = _live(world)
    status, found, _ = _answered(act, request_of(b"x" * (MOST_BYTES + 1), route=ROUTE))
    assert (status, found["error"]["code"]) == (413, "too_large")
    assert not endpoint.asked


@BOTH
@pytest.mark.parametrize("name", ["suport-bot", "../x", "ü"])
def test_an_unknown_dataset_is_404(world: World, request_of: Make, act: Any, name: str) -> None:
    _live(world)
    body = NATIVE if act is score else {**CHAT, "model": name}
    status, found, _ = _answered(act, request_of(body, route={"dataset": name}))
    assert (status, found["error"]["code"]) == (404, "model_not_found")
    assert ("did you mean support-bot" in found["error"]["message"]) == (name == "suport-bot")


@BOTH
@pytest.mark.parametrize(
    ("answer", "status", "kind", "retry"),
    [
        (an_answer(429, retry_after="9"), 429, "rate_limit_error", "9"),
        (an_answer(424, detail="boom"), 502, "server_error", None),
        (an_answer(0), 504, "server_error", None),
        (an_answer(503), 503, "server_error", "10"),
    ],
)
def test_an_endpoint_that_does_not_answer_has_its_status_and_patience(
    world: World, request_of: Make, act: Any, answer: Answer, status: int, kind: str, retry: str | None
) -> None:
    _live(world, answer)
    found = _answered(act, request_of(NATIVE if act is score else CHAT, route=ROUTE))
    assert (found[0], found[1]["error"]["type"]) == (status, kind)
    assert found[2].get("Retry-After") == retry


@BOTH
def test_a_sleeping_dataset_is_woken_and_the_caller_told_when_to_come_back(
    world: World, request_of: Make, act: Any
) -> None:
    world.parts.ledger.create(a_dataset(D.ASLEEP))
    status, found, headers = _answered(act, request_of(NATIVE if act is score else CHAT, route=ROUTE))
    assert (status, found["error"]["code"], headers["Retry-After"]) == (503, "waking", "30")
    assert world.parts.ledger.read(f"dataset/{DATASET}").row.requested.what == "wake"


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([("user", "a"), ("assistant", "b")], "must end with a user turn"),
        ([("user", "a"), ("system", "b"), ("user", "c")], "a system turn can only be the first one"),
        ([("user", "  ")], "blank"),
    ],
)
def test_turns_no_model_can_answer_are_400_before_any_model_is_asked(
    world: World, request_of: Make, turns: list[tuple[str, str]], said: str
) -> None:
    endpoint = _live(world)
    messages = [{"role": role, "content": content} for role, content in turns]
    status, found, _ = _answered(chat_completions, request_of({**CHAT, "messages": messages}))
    assert status == 400
    assert said in found["error"]["message"]
    assert not endpoint.asked
