"""Asked through the OpenAI route: what is passed on, what is believed; and what `/score` cannot give."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.azure.inference import EndpointAnswer
from shared.ledger.release import ServingApi
from shared.serving.calls import AnswerPiece, ChatCall
from shared.serving.fields import RequestExtras
from shared.serving.protocol import ApiError
from shared.serving.service import ChatService
from shared.serving.turns import ChatTurn
from tests.builders import DATASET, DEPLOYMENT, ENDPOINT, NEWER, URI, a_dataset, a_release, an_answer
from tests.fake_process import InlineExecutor
from tests.fakes import World

CHAT = URI.replace("/score", "/v1/chat/completions")
USER = ChatTurn(role="user", content="Why?")
SYSTEM = ChatTurn(role="system", content="Be brief.")
NO_ROUTE = EndpointAnswer(424, None, DEPLOYMENT, "Not Found", container_status=404)
EXTRAS = RequestExtras(("verbosity",), {"seed": 7}, {"logit_bias": ({"5": 1}, "is not supported here (only {}): why")})


class OneRelease:
    """A chat service over one release, and what its endpoint was asked."""

    def __init__(self, api: ServingApi, *answers: EndpointAnswer, **row: Any) -> None:
        self.world = World()
        self.asked: list[tuple[str, Any]] = []
        self.answers = list(answers) or [an_answer(ended="stop", tokens=(3, 1))]
        inference: Any = self
        self.world.services.inference = inference
        self.world.workspace.endpoints.write(ENDPOINT, {}, {})
        self.world.services.ledger.create(a_dataset(**{"live": a_release(api=api), **row}))
        self.service = ChatService(self.world.services, notes=InlineExecutor())

    async def ask(self, uri: str, key: str, body: Any, timeout: float, **more: Any) -> EndpointAnswer:
        self.asked.append((uri, body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    stream = ask

    def call(self, *turns: ChatTurn, streamed: bool = False, **given: Any) -> tuple[AnswerPiece, ChatCall]:
        call = ChatCall(DATASET, turns or (USER,), **given)

        async def run() -> AnswerPiece:
            if not streamed:
                return await self.service.answer(call)
            return [piece async for piece in self.service.stream(call)][-1]

        return asyncio.run(run()), call

    def refused(self, *turns: ChatTurn, **given: Any) -> ApiError:
        with pytest.raises(ApiError) as refused:
            self.call(*turns, **given)
        return refused.value

    @property
    def counted(self) -> tuple[int, int, int]:
        """Calls asked, failed and refused."""
        self.world.services.counts.flush()
        found = self.world.services.counts.since(DATASET, DEPLOYMENT, 0)
        return found.asked, found.failed, found.refused


def test_hints_demands_and_stops_are_passed_on_and_only_what_has_no_effect_is_named() -> None:
    served = OneRelease("openai")
    _, call = served.call(SYSTEM, USER, parameters={"max_new_tokens": 9}, stops=("END",), extras=EXTRAS)
    ((uri, body),) = served.asked
    assert uri == CHAT
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    sent = {"messages": turns, "temperature": 0.6, "top_p": 0.9, "max_tokens": 9}
    assert body == {**sent, "stop": ["END"], "seed": 7, "logit_bias": {"5": 1}}
    assert (call.notes.ignored, call.notes.unavailable) == (("verbosity",), ())


@pytest.mark.parametrize("api", ["", "score", "mlflow"])
def test_at_score_hints_are_named_and_demands_refused_before_anybody_is_asked(api: ServingApi) -> None:
    served = OneRelease(api)
    refused = served.refused(extras=EXTRAS)
    assert (refused.status, refused.code, refused.param) == (400, "unsupported_parameter", "logit_bias")
    assert not served.asked
    _, call = served.call(extras=RequestExtras(EXTRAS.unused, EXTRAS.hints))
    assert (served.asked[0][0], call.notes.ignored) == (URI, ("verbosity", "seed"))


@pytest.mark.parametrize("streamed", [False, True])
def test_what_score_cannot_give_is_noted(streamed: bool) -> None:
    found, call = OneRelease("score", an_answer()).call(streamed=streamed)
    assert call.notes.unavailable == (*(["stream"] if streamed else []), "finish_reason", "usage")
    assert (found.ended, found.end_estimated) == (None, True)


def test_until_its_answer_is_there_a_stream_from_score_counts_as_not_to_be_had() -> None:
    served = OneRelease("score")
    call = ChatCall(DATASET, (USER,))

    async def run() -> None:
        held = asyncio.Event()

        async def thinks(*_: Any, **__: Any) -> EndpointAnswer:
            await held.wait()
            return an_answer()

        served.stream = thinks  # type: ignore[method-assign]
        pieces = served.service.stream(call)
        first = asyncio.ensure_future(anext(pieces))
        while not call.notes.unavailable:
            await asyncio.sleep(0.01)
        held.set()
        await first
        await pieces.aclose()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("container", "status", "code", "counted"),
    [
        (400, 400, "invalid_value", (1, 0, 1)),
        (422, 400, "invalid_value", (1, 0, 1)),
        (413, 413, "too_large", (1, 0, 1)),
        (429, 429, "rate_limit", (1, 0, 0)),
        (500, 502, "model_error", (1, 1, 0)),
        (404, 502, "model_error", (1, 1, 0)),
        (0, 502, "model_error", (1, 1, 0)),
    ],
)
def test_the_statuses_of_the_openai_route_are_believed(
    container: int, status: int, code: str, counted: tuple[int, int, int]
) -> None:
    answer = EndpointAnswer(424, None, DEPLOYMENT, "temperature: too high", container_status=container)
    served = OneRelease("openai", answer)
    refused = served.refused()
    assert (refused.status, refused.code) == (status, code)
    assert ("temperature: too high" in str(refused)) == (status not in (413, 429))
    assert served.counted == counted


def test_the_status_behind_score_is_the_deployments_own_failure() -> None:
    """The payload is ours: a refusal of it says nothing about the caller."""
    served = OneRelease("mlflow", EndpointAnswer(424, None, DEPLOYMENT, "no input_data", container_status=400))
    assert (served.refused().status, served.counted) == (502, (1, 1, 0))


def test_a_deployment_without_the_route_that_it_had_is_asked_at_score_for_a_while() -> None:
    served = OneRelease("openai", NO_ROUTE, an_answer())
    assert served.call()[0].text == "an answer"
    served.call()
    assert [uri for uri, _ in served.asked] == [CHAT, URI, URI]
    served.service._resolver._at_score[DEPLOYMENT] = 0.0  # the time is over
    served.call()
    assert served.asked[-1][0] == CHAT
    assert served.counted == (3, 0, 0)


def test_the_generic_image_gets_no_system_turn_and_turns_that_alternate() -> None:
    served = OneRelease("mlflow")
    served.call(SYSTEM, USER, USER)
    ((_, body),) = served.asked
    joined = {"role": "user", "content": "Be brief.\n\nWhy?\n\nWhy?"}
    assert body["input_data"]["input_string"] == [joined]


def test_of_two_releases_each_is_asked_as_it_can_be() -> None:
    candidate = a_release(NEWER, api="openai")
    rollout = {"candidate": candidate, "traffic": {DEPLOYMENT: 50, candidate.deployment: 50}}
    served = OneRelease("score", **rollout)
    for _ in range(40):
        served.call()
    assert {uri for uri, _ in served.asked} == {CHAT, URI}
    served.asked.clear()
    for _ in range(10):
        served.call(extras=EXTRAS)
    assert {uri for uri, _ in served.asked} == {CHAT}


@pytest.mark.parametrize(
    "detail",
    [
        "This model's maximum context length is 4096 tokens.",
        "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
        "the request exceeds the available context size",
    ],
)
def test_a_conversation_that_is_too_long_is_told_in_the_words_that_clients_know(detail: str) -> None:
    served = OneRelease("openai", EndpointAnswer(424, None, DEPLOYMENT, detail, container_status=422))
    refused = served.refused()
    assert (refused.status, refused.code, served.counted) == (400, "context_length_exceeded", (1, 0, 1))
    assert "maximum context length" in str(refused)
