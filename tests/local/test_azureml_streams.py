"""How deployments answer: in every shape that serving code knows, streamed word by word, and cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests
from azure.core.exceptions import ResourceNotFoundError

from tests.local.azureml_sdk import FAQ, ask, create_deployment, create_endpoint
from tests.local.azureml_server import AzureMl

QUESTION, ANSWER = FAQ[0]
WORDS = len(ANSWER.split())


# Gives up a question after 0.3 s; the other deployment, `blue`, after 20.
HASTY = {"azureml-model-deployment": "hasty"}


@pytest.fixture
def endpoint(azureml: AzureMl, ml: Any, faq_model: str) -> str:
    """An endpoint with two deployments of which one has all traffic; made by the first test, the same for all."""
    try:
        ml.online_endpoints.get("streams")
    except ResourceNotFoundError:
        create_endpoint(ml, "streams")
        create_deployment(ml, "streams", "blue", faq_model)
        create_deployment(ml, "streams", "hasty", faq_model, request_timeout_ms=300)
        create_endpoint(ml, "streams", {"blue": 100})
    return "streams"


def serve(azureml: AzureMl, endpoint: str, **serving: Any) -> None:
    """Have the endpoint's deployment answer in this way."""
    azureml.control("PUT", "/serving", {f"{endpoint}/*": serving})


def stream(
    azureml: AzureMl, ml: Any, endpoint: str, deployment: Mapping[str, str] = {}, **more: Any
) -> requests.Response:
    """The answer to a question with `stream`, not read yet."""
    key = ml.online_endpoints.get_keys(endpoint).primary_key
    body = {"input_data": {"input_string": [{"role": "user", "content": QUESTION}]}, "stream": True, **more}
    headers = {"Authorization": f"Bearer {key}", **deployment}
    return azureml.send("POST", f"/endpoints/{endpoint}/score", json=body, headers=headers, stream=True)


def chunks(answer: requests.Response) -> Iterator[Any]:
    """The events of a stream: chunks, and at last `[DONE]`."""
    for line in answer.iter_lines(chunk_size=None):
        if line:
            data = line.removeprefix(b"data: ")
            yield "[DONE]" if data == b"[DONE]" else json.loads(data)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("output", {"output": ANSWER}), ("texts", [ANSWER]), ("records", [{"0": ANSWER}])],
)
def test_each_flavour_has_its_shape(azureml: AzureMl, ml: Any, endpoint: str, shape: str, expected: Any) -> None:
    serve(azureml, endpoint, shape=shape)
    assert ask(azureml, ml, endpoint, QUESTION).json() == expected


def test_serving_code_may_answer_with_chat_completions(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    serve(azureml, endpoint, shape="completion")
    answer = ask(azureml, ml, endpoint, QUESTION).json()
    assert answer["object"] == "chat.completion"
    message = {"role": "assistant", "content": ANSWER}
    assert answer["choices"] == [{"index": 0, "message": message, "finish_reason": "stop"}]
    asked = len(QUESTION.split())
    counted = {"prompt_tokens": asked, "completion_tokens": WORDS, "total_tokens": asked + WORDS}
    assert answer["usage"] == counted


def test_stream_has_a_chunk_for_each_word(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    serve(azureml, endpoint, streams=True)
    answer = stream(azureml, ml, endpoint, stream_options={"include_usage": True})
    *words, end, usage, done = chunks(answer)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["azureml-model-deployment"] == "blue"
    assert len(words) == WORDS
    assert {chunk["object"] for chunk in words} == {"chat.completion.chunk"}
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in words) == ANSWER
    assert end["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"]["completion_tokens"] == WORDS
    assert done == "[DONE]"


def test_words_come_as_they_are_said(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    """The first is here while the deployment still works on the others; whoever leaves stops it."""
    serve(azureml, endpoint, streams=True, word_seconds=20)
    before = azureml.control("GET", "/serving")[f"{endpoint}/blue"]
    with stream(azureml, ml, endpoint) as answer:
        coming = chunks(answer)
        first = next(coming)
        assert first["choices"][0]["delta"]["content"] == ANSWER.split()[0]
        during = azureml.control("GET", "/serving")[f"{endpoint}/blue"]
        assert during["in_flight"] == 1
        assert during["words"] - before["words"] == 1
    while (after := azureml.control("GET", "/serving")[f"{endpoint}/blue"])["in_flight"]:
        pass
    assert after["left"] == 1
    assert after["words"] - before["words"] == 1


def test_whoever_accepts_events_gets_a_stream(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    serve(azureml, endpoint, streams=True)
    accepting = {"Accept": "text/event-stream, application/json"}
    answer = stream(azureml, ml, endpoint, accepting, stream=False)
    assert len(list(chunks(answer))) == WORDS + 2


def test_question_without_stream_is_answered_whole_by_a_deployment_that_streams(
    azureml: AzureMl, ml: Any, endpoint: str
) -> None:
    serve(azureml, endpoint, streams=True)
    assert ask(azureml, ml, endpoint, QUESTION).json() == {"output": ANSWER}


def test_deployment_that_does_not_stream_answers_whole(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    assert stream(azureml, ml, endpoint).json() == {"output": ANSWER}


@pytest.mark.parametrize("how", [{"breaks_after": 2}, {"word_seconds": 30}])
def test_stream_that_breaks_or_lasts_too_long_is_cut(azureml: AzureMl, ml: Any, endpoint: str, how: Any) -> None:
    serve(azureml, endpoint, streams=True, **how)
    answer = stream(azureml, ml, endpoint, HASTY)
    assert answer.status_code == 200
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        list(chunks(answer))


def test_a_model_can_be_slow(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    serve(azureml, endpoint, answer_seconds=20)
    assert ask(azureml, ml, endpoint, QUESTION, **HASTY).status_code == 408


def test_a_wrong_word_in_the_settings_is_refused(azureml: AzureMl) -> None:
    answer = azureml.send("PUT", "/_control/serving", json={"*": {"shape": "poem"}})
    assert answer.status_code == 400
    assert "poem" in answer.text
