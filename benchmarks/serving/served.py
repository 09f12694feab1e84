"""A local cloud in which the example dataset is live, and other apps hosted beside it that ask the same endpoint."""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.serving.callers import TimedRequest
from local.cloud import Cloud
from local.droptune import Droptune
from local.host import keys
from local.parts import ROOT, app_environment, base_environment
from local.ports import free_port

DATASET = "support-bot"
QUESTION = "Where should I put the file with my training data?"
# What a deployment must take for 64 callers at once, and no timer or idle time in between.
SETTINGS = {"SERVING_CONCURRENCY": "64", "SLEEP_SCHEDULE": "0 0 0 1 1 *", "MIN_ROWS": "20"}
LIMIT = 300.0


@dataclass
class Served:
    """The cloud, somebody at it, and the addresses of the dataset's endpoint."""

    cloud: Cloud
    app: Droptune

    @cached_property
    def ml(self) -> Any:
        """The SDK's client, in this process; it finds the local cloud by what `environment_set` sets."""
        from azure.ai.ml import MLClient
        from azure.identity import DefaultAzureCredential

        given = self.cloud.wiring
        return MLClient(DefaultAzureCredential(), given.subscription_id, given.resource_group, given.workspace)

    @contextmanager
    def environment_set(self) -> Iterator[None]:
        """This process's environment as the SDK needs it, and afterwards as it was."""
        before = dict(os.environ)
        os.environ.update(app_environment(self.cloud.wiring, self.cloud.settings))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    @cached_property
    def endpoint(self) -> str:
        """The dataset's endpoint."""
        return str(self.app.get(f"datasets/{DATASET}")["endpoint"])

    @cached_property
    def answer(self) -> str:
        """What the live model answers."""
        return str(self.app.ask(DATASET, QUESTION).raise_for_status().json()["output"])

    @property
    def expected(self) -> str:
        """The beginning of the answer, as far as it is written alike in every JSON."""
        return str(re.split(r"[^ -~]|[\"\\\\]", self.answer, maxsplit=1)[0])

    @property
    def app_url(self) -> str:
        """The app; its routes are under /api."""
        return str(self.cloud.description["app_url"])

    @property
    def base_url(self) -> str:
        """What clients of the chat-completions protocol are given."""
        return f"{self.app_url}/api/v1"

    @property
    def key(self) -> str:
        """A key that the app takes."""
        return str(self.cloud.description["app_key"])

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the control API of the local Azure ML."""
        return self._control.request(method, path, json=body).raise_for_status().json()

    @cached_property
    def _control(self) -> httpx.Client:
        trust = ssl.create_default_context(cafile=self.cloud.wiring.azureml_ca)
        return httpx.Client(base_url=f"{self.cloud.wiring.azureml_url}/_control/", verify=trust, timeout=LIMIT)

    def serve(self, **serving: Any) -> None:
        """Have all deployments answer in this way (`local.azureml.settings.Serving`)."""
        self.control("PUT", "serving", {"*": serving})

    def counts(self) -> dict[str, int]:
        """What the endpoint's deployments counted, together."""
        found: Counter[str] = Counter()
        for counted in self.control("GET", "serving").values():
            found.update(counted)
        return dict(found)

    def replace_key(self, kind: str) -> None:
        """Has Azure ML make another `Primary` or `Secondary` key; the one before is refused from then on."""
        given = self.cloud.wiring
        query = {"resource": given.azureml_url, "api-version": "2019-08-01"}
        told = httpx.get(given.identity_endpoint, params=query, headers={"X-IDENTITY-HEADER": given.identity_header})
        token = told.raise_for_status().json()["access_token"]
        path = (
            f"/subscriptions/{given.subscription_id}/resourceGroups/{given.resource_group}/providers"
            f"/Microsoft.MachineLearningServices/workspaces/{given.workspace}"
            f"/onlineEndpoints/{self.endpoint}/regenerateKeys?api-version=2024-04-01"
        )
        answer = self._control.post(
            f"{given.azureml_url}{path}", json={"keyType": kind}, headers={"Authorization": f"Bearer {token}"}
        )
        answer.raise_for_status()

    def deployments(self) -> set[str]:
        """The endpoint's deployments that run now."""
        return set(self.control("GET", "serving"))

    def close(self) -> None:
        """Let go of connections."""
        self._control.close()

    @property
    def native(self) -> dict[str, Any]:
        """The recipe's body."""
        parameters = {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "max_new_tokens": 200}
        return {"input_data": {"input_string": [{"role": "user", "content": QUESTION}], "parameters": parameters}}

    def direct(self) -> TimedRequest:
        """A POST to the scoring URI itself."""
        uri = self.ml.online_endpoints.get(self.endpoint).scoring_uri
        key = self.ml.online_endpoints.get_keys(self.endpoint).primary_key
        return TimedRequest(uri, self.native, {"Authorization": f"Bearer {key}"}, self.expected)

    def completion(self) -> TimedRequest:
        """A chat completion of the app, as a client sends it."""
        body = {"model": DATASET, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 200}
        return self._of_the_app("v1/chat/completions", body)

    def streamed(self) -> TimedRequest:
        """The same as a stream, read to its end."""
        body = {"model": DATASET, "messages": [{"role": "user", "content": QUESTION}], "stream": True}
        headers = {"Authorization": f"Bearer {self.key}"}
        return TimedRequest(f"{self.base_url}/chat/completions", body, headers, "data: [DONE]")

    def score(self) -> TimedRequest:
        """The app's native route."""
        return self._of_the_app(f"score/{DATASET}", self.native)

    def _of_the_app(self, route: str, body: Mapping[str, Any]) -> TimedRequest:
        headers = {"Authorization": f"Bearer {self.key}"}
        return TimedRequest(f"{self.app_url}/api/{route}", body, headers, self.expected)

    @property
    def host(self) -> psutil.Process:
        """The process of the Functions host with the app in it."""
        process = self.cloud.record.parts["host"].process.process
        assert process is not None, "the host runs"
        return process

    @property
    def environment(self) -> dict[str, str]:
        """What an app in this cloud is given, and which endpoint to ask."""
        settings = app_environment(self.cloud.wiring, self.cloud.settings)
        return {**base_environment(), **settings, "ENDPOINT": self.endpoint}


@contextmanager
def served(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Starts a cloud and returns once the example is live."""
    with Cloud(folder, {**SETTINGS, **(settings or {})}) as cloud, Droptune(cloud.description) as app:
        app.drop(f"{DATASET}.jsonl", ROOT / "examples" / f"{DATASET}.jsonl")
        app.wait_for(DATASET, "LIVE", timeout=LIMIT)
        with closing(Served(cloud, app)) as found:
            yield found


@dataclass(frozen=True)
class HostProcess:
    """A Functions app in a host of its own."""

    url: str
    key: str
    process: subprocess.Popen[bytes]

    def question(self, route: str, body: Mapping[str, Any], expected: str) -> TimedRequest:
        """A POST to one of its functions."""
        headers = {"x-functions-key": self.key, "Authorization": f"Bearer {self.key}"}
        return TimedRequest(f"{self.url}/api/{route}", body, headers, expected)


@contextmanager
def hosted(app: Path, state: Path, environment: Mapping[str, str]) -> Iterator[HostProcess]:
    """Starts a host and does not wait for it: it listens at once and lets early questions wait until it is ready."""
    state.mkdir(parents=True, exist_ok=True)
    port, key = free_port(), keys.load(state).function
    command = [sys.executable, "-m", "local.host", "--app", str(app), "--port", str(port), "--folder", str(state)]
    own = {**environment, "SCORING_KEYS": key}
    with (state / "host.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=own, stdout=log, stderr=log)
        try:
            yield HostProcess(f"http://127.0.0.1:{port}", key, process)
        finally:
            process.terminate()
            process.wait()


def first_answer(host: HostProcess, question: TimedRequest) -> bytes:
    """The first answer of a host that is starting. Raises RuntimeError when it is none that was wanted."""
    deadline = time.monotonic() + LIMIT
    path = question.url.removeprefix(host.url)
    while time.monotonic() < deadline and host.process.poll() is None:
        connection = http.client.HTTPConnection(host.url.removeprefix("http://"), timeout=LIMIT)
        try:
            connection.request("POST", path, json.dumps(question.body), dict(question.headers))
            answer = connection.getresponse()
            body = answer.read()
        except ConnectionRefusedError:
            time.sleep(0.005)
            continue
        finally:
            connection.close()
        if answer.status != 200 or question.expected.encode() not in body:
            raise RuntimeError(f"{question.url}: HTTP {answer.status}: {body[:500]!r}")
        return body
    raise RuntimeError(f"{host.url} did not answer within {LIMIT:.0f} s")
