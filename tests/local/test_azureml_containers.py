"""Deployments that behave as the images of real fine-tuned chat models do, mistakes included."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

import openai
import pytest
import requests
from azure.core.exceptions import ResourceNotFoundError
from starlette.requests import Request

from local.azureml.endpoints.deployments import OnlineDeployment
from local.azureml.serving.containers import at_score
from local.azureml.serving.payload import ScoringPayload
from local.azureml.serving.server import HEADER, InferenceServer
from local.azureml.settings import ServingSettings
from local.azureml.wire.documents import Times
from tests.local.azureml_sdk import FAQ, create_deployment, create_endpoint
from tests.local.azureml_server import AzureMl

QUESTION, ANSWER = FAQ[0]
ASK = ({"role": "user", "content": QUESTION},)


@pytest.fixture
def endpoint(azureml: AzureMl, ml: Any, faq_model: str) -> str:
    """An endpoint with one deployment."""
    try:
        ml.online_endpoints.get("containers")
    except ResourceNotFoundError:
        create_endpoint(ml, "containers")
        create_deployment(ml, "containers", "one", faq_model, max_concurrent=4)
        create_deployment(
            ml, "containers", "four", faq_model, max_concurrent=4, environment_variables={"WORKER_COUNT": "4"}
        )
        create_endpoint(ml, "containers", {"one": 100})
    return "containers"


def behave(azureml: AzureMl, container: str, **more: Any) -> None:
    azureml.control("PUT", "/serving", {"containers/*": {"container": container, **more}})


def score(
    azureml: AzureMl,
    ml: Any,
    turns: Sequence[Any] = ASK,
    deployment: str = "one",
    path: str = "score",
    **parameters: Any,
) -> requests.Response:
    key = ml.online_endpoints.get_keys("containers").primary_key
    headers = {"Authorization": f"Bearer {key}"}
    body = {"input_data": {"input_string": list(turns), "parameters": parameters}, "stream": True}
    return azureml.send("POST", f"/endpoints/containers/{path}", json=body, headers=headers)


@pytest.fixture
def client(azureml: AzureMl, ml: Any, endpoint: str) -> Iterator[openai.OpenAI]:
    """The official client, at the address that real endpoints have theirs."""
    key = ml.online_endpoints.get_keys("containers").primary_key
    http = openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=azureml.ca), trust_env=False)
    base_url = f"{azureml.base}/endpoints/containers/v1"
    with openai.OpenAI(base_url=base_url, api_key=key, http_client=http, max_retries=0) as found:
        yield found


@pytest.mark.parametrize("container", ["fmi", "serve", "score"])
def test_at_score_there_is_a_text_and_nothing_else_and_never_a_stream(
    azureml: AzureMl, ml: Any, endpoint: str, container: str
) -> None:
    behave(azureml, container)
    answer = score(azureml, ml, max_new_tokens=3, unknown_parameter=1)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"output": " ".join(ANSWER.split(" ")[:3])}


@pytest.mark.parametrize("container", ["fmi", "serve", "score"])
def test_at_score_failures_have_status_200(azureml: AzureMl, ml: Any, endpoint: str, container: str) -> None:
    behave(azureml, container, context_words=20)
    exception = score(azureml, ml, [{"content": "nobody says this"}])
    assert (exception.status_code, exception.json()) == (200, {})
    too_long = score(azureml, ml, [{"role": "user", "content": "word " * 30}])
    assert (too_long.status_code, too_long.json()) == (200, {"output": "None"})


@pytest.mark.parametrize("container", ["fmi", "serve"])
def test_the_openai_route_of_the_same_container_streams_and_tells_the_truth(
    azureml: AzureMl, client: openai.OpenAI, container: str
) -> None:
    behave(azureml, container, context_words=40)
    chat: Any = client.chat.completions
    whole = chat.create(model="m", messages=ASK, max_tokens=3)
    assert (whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("length", 3)
    stream = chat.create(model="m", messages=ASK, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == ANSWER
    tools = [{"type": "function", "function": {"name": "f"}}]
    for wrong, why in (
        ({"messages": [{"role": "user", "content": "word " * 50}]}, "maximum context length is 40 tokens"),
        ({"messages": ASK, "tools": tools}, "ool"),  # each in its own words
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            chat.create(model="m", **wrong)
        assert why in refused.value.response.text
        # The endpoint's front says 424 for whatever is not 200 behind it, and has the container's status in a header.
        assert refused.value.status_code == 424
        assert refused.value.response.headers["ms-azureml-model-error-statuscode"] == "400"


def test_the_route_without_a_version_refuses_what_it_does_not_know_unless_told_to_pass_it(
    azureml: AzureMl, ml: Any, endpoint: str
) -> None:
    behave(azureml, "fmi")
    key = ml.online_endpoints.get_keys("containers").primary_key
    body = {"messages": list(ASK), "top_k": 5}
    headers = {"Authorization": f"Bearer {key}"}
    path = "/endpoints/containers/chat/completions"
    assert azureml.send("POST", path, json=body, headers=headers).status_code == 424
    passed = azureml.send("POST", path, json=body, headers={**headers, "extra-parameters": "pass-through"})
    assert passed.json()["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize(
    ("container", "path"),
    [
        ("score", "v1/chat/completions"),
        ("mlflow", "v1/chat/completions"),
        ("fmi", "score/chat/completions"),
        ("fmi", "nowhere"),
    ],
)
def test_a_path_that_the_container_does_not_have_is_424(
    azureml: AzureMl, ml: Any, endpoint: str, container: str, path: str
) -> None:
    behave(azureml, container)
    answer = score(azureml, ml, path=path)
    assert (answer.status_code, answer.json()) == (424, {"detail": "Not Found"})


def test_the_generic_image_answers_with_a_list(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    behave(azureml, "mlflow")
    assert score(azureml, ml).json() == [ANSWER]


@pytest.mark.parametrize(
    "roles",
    [
        ("user", "user"),
        ("user", "assistant"),
        ("assistant", "user"),
        ("user", "system", "user"),
        ("system", "system", "user"),
    ],
)
def test_the_generic_image_wants_turns_that_alternate_and_end_with_the_users(
    azureml: AzureMl, ml: Any, endpoint: str, roles: tuple[str, ...]
) -> None:
    behave(azureml, "mlflow")
    turns = [{"role": role, "content": QUESTION} for role in roles]
    answer = score(azureml, ml, turns)
    assert answer.status_code == 424
    assert "must alternate" in answer.text


def test_the_generic_image_wraps_a_system_turn_in_marks() -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    asked = at_score("mlflow", {"input_data": {"input_string": turns}}, 100)
    assert isinstance(asked, ScoringPayload)
    assert asked.turns == [{"role": "user", "content": "<<SYS>>\nBe brief.\n<</SYS>>\n\nHi"}]


class _Watched(InferenceServer):
    """Notes how many questions it answers at once."""

    running = most = 0

    async def _ask(self, question: ScoringPayload, serving: ServingSettings) -> dict[str, str]:
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(20):
            await asyncio.sleep(0)
        self.running -= 1
        return {"output": ANSWER}


@pytest.mark.parametrize("workers", [1, 4])
def test_score_answers_as_many_questions_at_once_as_the_container_has_workers(workers: int) -> None:
    """Whatever the deployment allows at once."""
    body = json.dumps({"input_data": {"input_string": list(ASK)}}).encode()

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def ask_six() -> int:
        server = _Watched(None, 6, logging.getLogger(), workers)
        serving = b'{"container":"fmi"}'
        scope = {"type": "http", "method": "POST", "path": "/score", "headers": [(HEADER.encode(), serving)]}
        await asyncio.gather(*(server.score(Request(scope, receive)) for _ in range(6)))
        return server.most

    assert asyncio.run(ask_six()) == workers


def test_the_number_of_workers_is_the_deployments_environment_variable() -> None:
    times = Times("", "")

    def workers(**properties: Any) -> int:
        return OnlineDeployment("e", "n", "", times, properties, 1, "").workers

    assert workers() == 1
    assert workers(environmentVariables={"WORKER_COUNT": "4"}) == 4
    assert workers(environmentVariables={"WORKER_COUNT": "many"}) == 1


def chat(azureml: AzureMl, ml: Any, passes: bool = True, **fields: Any) -> requests.Response:
    """A question at the OpenAI route."""
    key = ml.online_endpoints.get_keys("containers").primary_key
    headers = {"Authorization": f"Bearer {key}", **({"extra-parameters": "pass-through"} if passes else {})}
    return azureml.send("POST", "/endpoints/containers/v1/chat/completions", json=fields, headers=headers)


def test_the_server_before_phi_4s_engine_checks_first(azureml: AzureMl, ml: Any, endpoint: str) -> None:
    behave(azureml, "fmi")
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({}, "Field required"),
        ({"messages": []}, "empty list"),
        ({"messages": list(ASK), "temperature": 1.5}, "less than or equal to 1"),
        ({"messages": list(ASK), "response_format": {"type": "json_schema"}}, "Response format"),
    ]
    for wrong, why in wrongs:
        refused = chat(azureml, ml, **wrong)
        assert refused.headers["ms-azureml-model-error-statuscode"] == "422"
        assert why in refused.json()["error"]["details"][0]["msg"]
    tools = chat(azureml, ml, messages=list(ASK), tool_choice="none")
    assert tools.json() == {"detail": "Tools and tool_choice are not supported."}
    behave(azureml, "serve")
    assert chat(azureml, ml, messages=list(ASK), temperature=1.5, tool_choice="none").status_code == 200


def test_phi_4s_image_drops_fields_that_it_does_not_know_unless_a_header_lets_them_pass(
    azureml: AzureMl, ml: Any, endpoint: str
) -> None:
    behave(azureml, "fmi")
    counting: dict[str, Any] = {"messages": list(ASK), "stream": True, "stream_options": {"include_usage": True}}
    assert '"usage"' not in chat(azureml, ml, passes=False, **counting).text
    assert '"usage"' in chat(azureml, ml, **counting).text
