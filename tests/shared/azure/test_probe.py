"""What a container speaks, told by its answers to an empty object."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.azure.inference import EndpointAnswer
from shared.azure.probe import find_api
from tests.builders import URI

CHAT = URI.replace("/score", "/v1/chat/completions")
NOT_FOUND = EndpointAnswer(424, None, detail="Not Found", container_status=404)
FAILED = EndpointAnswer(200, None, detail="{}")


def behind(status: int, detail: str = "") -> EndpointAnswer:
    """The endpoint's front passes on that its container answered so."""
    return EndpointAnswer(424, None, detail=detail, container_status=status)


def front(status: int) -> EndpointAnswer:
    """The front itself answers."""
    return EndpointAnswer(status, None)


class Container:
    """Answers by address, and keeps where it was asked."""

    def __init__(self, chat: EndpointAnswer, score: EndpointAnswer) -> None:
        self.answers, self.asked = {CHAT: chat, URI: score}, list[tuple[str, str, str]]()

    async def probe(self, uri: str, key: str, deployment: str, timeout: float) -> EndpointAnswer:
        self.asked.append((uri, key, deployment))
        return self.answers[uri]


@pytest.mark.parametrize(
    ("chat", "score", "api"),
    [
        pytest.param(behind(422), FAILED, "openai", id="Phi-4's image: messages are missing"),
        pytest.param(behind(400), FAILED, "openai", id="the engine itself: messages are missing"),
        pytest.param(NOT_FOUND, FAILED, "score", id="the image without the route"),
        pytest.param(EndpointAnswer(424, None, detail="Not Found"), FAILED, "score", id="no status in a header"),
        pytest.param(behind(405), FAILED, "score", id="only other methods"),
        pytest.param(EndpointAnswer(200, "hello"), EndpointAnswer(200, "hello"), "score", id="answers anything"),
        pytest.param(front(404), FAILED, "score", id="a front that passes no other path on"),
        pytest.param(NOT_FOUND, behind(500), "mlflow", id="the generic image: an exception"),
        pytest.param(NOT_FOUND, behind(400), "mlflow", id="the generic image: no input_data"),
        pytest.param(front(404), front(404), "", id="no such deployment yet"),
        pytest.param(front(401), FAILED, "", id="a key that was changed"),
        pytest.param(front(429), FAILED, "", id="busy"),
        pytest.param(behind(503), FAILED, "", id="not ready"),
        pytest.param(EndpointAnswer(0, None, detail="late", lost="late"), FAILED, "", id="no answer in time"),
        pytest.param(EndpointAnswer(424, None), FAILED, "", id="fails without a word"),
        pytest.param(NOT_FOUND, front(503), "", id="not ready at /score"),
        pytest.param(NOT_FOUND, EndpointAnswer(0, None, detail="cut", lost="cut"), "", id="cut at /score"),
    ],
)
def test_what_a_container_speaks_is_told_by_how_it_refuses(
    chat: EndpointAnswer, score: EndpointAnswer, api: str
) -> None:
    container: Any = Container(chat, score)
    found = asyncio.run(find_api(container, URI, "key", "r1"))
    assert found.api == api
    assert bool(found.why or api)
    assert container.asked[0] == (CHAT, "key", "r1")
    assert len(container.asked) <= 2
