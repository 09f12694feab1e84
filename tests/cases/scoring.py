"""Scoring cases: each JSON file is a request, or several, with what must come back from a running local cloud.

A case: `why`, `source`, and either one `request` with its `expect`, or `steps` of them. A request: `method`, `path`,
`headers`, `body` (JSON), or `raw` (text) after `raw_hex` (bytes), `chunked`. `$MODEL`, `$RELEASE`, `$QUESTION`, `$LONG`
and in headers `$KEY` are filled in; `{"$from": "0.choices.0.message"}` is a value of an earlier step's answer.
`serving` and `faults` go to the local Azure ML's control API first.

`expect`: `status` (one or several), `json` and `header` (dotted path or name, and the value or tests of it), `stream`
(`text`, `finish`, `not_finish`, `error`, `done`, `usage`, `never_null`, `cut`), `sent` (dotted path in the body that
reached the endpoint), `if_error_header`. One request at a time.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from local.parts import ROOT

QUESTION = "Where should I put the file with my training data?"
LONG = "word " * 30_000
_MISSING = object()
# Cases say how a deployment answers; where they do not, it makes none of the mistakes of the real images.
PLAIN: dict[str, Any] = {"*": {}}
_DROP = (
    "import sys; from azure.storage.blob import BlobClient; "
    "blob = BlobClient.from_connection_string(sys.argv[1], 'snapshots', 'support-bot.jsonl'); "
    "blob.upload_blob(open(sys.argv[2], 'rb').read(), overwrite=True)"
)

type Case = dict[str, Any]


def failures(folder: Path, cloud: Path | None) -> Iterator[tuple[str, str]]:
    """Each case's name and what differs, or nothing. Without a cloud: the one that `make up` started."""
    running = RunningCloud(cloud or ROOT / ".local" / "cloud.json")
    model, release = running.live_model()
    names = {"$MODEL": model, "$RELEASE": release, "$QUESTION": QUESTION, "$LONG": LONG, "$KEY": running.key}
    for file in sorted(folder.glob("*.json")):
        try:
            found = differences(running, json.loads(file.read_text()), names)
        except Exception as error:  # noqa: BLE001 - a case that breaks the runner has failed, the others go on
            found = [f"{type(error).__name__}: {error}"]
        yield file.stem, "; ".join(found)


class RunningCloud:
    """A local cloud that somebody started, over HTTP."""

    def __init__(self, description: Path) -> None:
        self._told = json.loads(description.read_text())
        trust = ssl.create_default_context(cafile=self._told["azureml_ca"])
        self._control = httpx.Client(base_url=f"{self._told['azureml_url']}/_control/", verify=trust, timeout=60)
        self._app = httpx.Client(base_url=self._told["app_url"], timeout=60)

    @property
    def key(self) -> str:
        """A key that opens every route of the app."""
        return str(self._told["app_key"])

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the control API of the local Azure ML."""
        answer = self._control.request(method, path, json=body).raise_for_status()
        return answer.json() if answer.content else None

    def ask(self, method: str, path: str, headers: dict[str, str], body: Any) -> Answer:
        """A request to the app, and its answer as far as it came."""
        got, cut = b"", False
        with self._app.stream(method, path, headers=headers, content=body) as answer:
            try:
                for part in answer.iter_bytes():
                    got += part
            except httpx.TransportError:
                cut = True
        return Answer(answer.status_code, {name.lower(): text for name, text in answer.headers.items()}, got, cut)

    def live_model(self) -> tuple[str, str]:
        """A live dataset and the name of its release; the example is dropped if there is none."""
        for attempt in range(120):
            answer = self.ask("GET", "/api/v1/models", {"Authorization": f"Bearer {self.key}"}, None)
            found = json.loads(answer.body)["data"] if answer.status == 200 else []
            if live := [model for model in found if model["state"] == "LIVE" and model["releases"]]:
                return live[0]["id"], live[0]["releases"][0]
            if attempt == 0:
                command = [sys.executable, "-c", _DROP, self._told["storage_connection_string"]]
                subprocess.run([*command, ROOT / "examples" / "support-bot.jsonl"], check=True)
            time.sleep(1)
        raise RuntimeError("no model came up within two minutes")


@dataclass(frozen=True)
class Answer:
    """What came back; `cut`: the connection was cut before its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False


@dataclass
class StreamSeen:
    """What the events of a stream said."""

    text: str = ""
    finish: str | None = None
    error: str | None = None
    done: bool = False
    usage: Any = None
    events: list[Any] = field(default_factory=list)

    @classmethod
    def read(cls, body: bytes) -> StreamSeen:
        """From the bytes of the stream."""
        seen = cls()
        for line in body.decode("utf-8", "replace").splitlines():
            if line.startswith("data: [DONE]"):
                seen.done = True
            elif line.startswith("data: "):
                seen._add(json.loads(line.removeprefix("data: ")))
        return seen

    def _add(self, event: Any) -> None:
        self.events.append(event)
        self.error = (event.get("error") or {}).get("code") or self.error
        self.usage = event.get("usage") or self.usage
        for choice in event.get("choices", []):
            self.text += choice["delta"].get("content") or ""
            self.finish = choice.get("finish_reason") or self.finish


def differences(cloud: RunningCloud, case: Case, names: dict[str, str]) -> list[str]:
    """What differs from a case's expectations, of its first step where anything does."""
    answers: list[Any] = []
    for path in ("faults", "requests"):
        cloud.control("DELETE", path)
    cloud.control("PUT", "serving", case.get("serving", PLAIN))
    for fault in case.get("faults", []):
        cloud.control("POST", "faults", {"path": "/score", "deployment": ".*", **fault})
    try:
        for step in case.get("steps", [case]):
            answer = _asked(cloud, step["request"], names, answers)
            seen = cloud.control("GET", "requests?path=/score")["value"] if "sent" in step["expect"] else []
            expected = _filled(step["expect"], names, answers)
            if found := list(_wrong(expected, answer, seen[-1]["body"] if seen else {})):
                return found
            answers.append(json.loads(answer.body) if "json" in answer.headers.get("content-type", "") else {})
        return []
    finally:
        cloud.control("DELETE", "faults")
        cloud.control("PUT", "serving", {})


def _asked(cloud: RunningCloud, request: Any, names: dict[str, str], answers: list[Any]) -> Answer:
    given = {"Authorization": f"Bearer {cloud.key}", "Content-Type": "application/json"}
    wanted: dict[str, str | None] = {**given, **_filled(request.get("headers", {}), names, answers)}
    headers = {name: text for name, text in wanted.items() if text is not None}
    body: Any = None
    if "raw" in request or "raw_hex" in request:
        body = bytes.fromhex(request.get("raw_hex", "")) + _filled(request.get("raw", ""), names, answers).encode()
    elif "body" in request:
        body = json.dumps(_filled(request["body"], names, answers)).encode()
    if request.get("chunked"):
        body = iter([body[:40], body[40:]])  # without a length it goes out in chunks
    path = _filled(request.get("path", "/api/v1/chat/completions"), names, answers)
    return cloud.ask(request.get("method", "POST"), path, headers, body)


def _filled(value: Any, names: dict[str, str], answers: list[Any]) -> Any:
    """With names and values of earlier answers in their places."""
    match value:
        case str():
            for name, text in names.items():
                value = value.replace(name, text)
            return value
        case list():
            return [_filled(each, names, answers) for each in value]
        case {"$from": str(place)} if len(value) == 1:
            step, _, path = place.partition(".")
            return _at(answers[int(step)], path)
        case dict():
            return {name: _filled(each, names, answers) for name, each in value.items()}
    return value


def _at(value: Any, path: str) -> Any:
    """The value at a dotted path, or `_MISSING`."""
    for part in path.split(".") if path else []:
        if isinstance(value, dict):
            value = value.get(part, _MISSING)
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return value


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "contains": lambda found, wanted: isinstance(found, str) and wanted.lower() in found.lower(),
    "lacks": lambda found, wanted: isinstance(found, str) and wanted not in found,
    "absent": lambda found, wanted: (found is _MISSING) == wanted,
    "least": lambda found, wanted: found is not _MISSING and found >= wanted,
    "is": lambda found, wanted: found is not _MISSING and type(found).__name__ == wanted,
}


def _fits(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(_TESTS[name](found, value) for name, value in wanted.items())
    return bool(found == wanted) and type(found) is type(wanted)


def _wrong(expect: Any, answer: Answer, sent: Any) -> Iterator[str]:
    allowed = expect["status"] if isinstance(expect["status"], list) else [expect["status"]]
    if answer.status not in allowed:
        yield f"HTTP {answer.status}, wanted {expect['status']}: {answer.body[:160].decode('utf-8', 'replace')}"
        return
    yield from _wrong_body(expect.get("json", {}), answer)
    headers = dict(expect.get("header", {})) | (expect.get("if_error_header", {}) if answer.status >= 400 else {})
    for name, wanted in headers.items():
        if not _fits(answer.headers.get(name, _MISSING), wanted):
            yield f"header {name} is {answer.headers.get(name)!r}, wanted {wanted}"
    if "stream" in expect and answer.status == 200:
        yield from _wrong_stream(expect["stream"], answer)
    for path, wanted in expect.get("sent", {}).items():
        value = _at(sent, path)
        if not (value in wanted if isinstance(wanted, list) else _fits(value, wanted)):
            yield f"the endpoint was sent {path} = {_shown(value)}, wanted {wanted}"


def _wrong_body(expected: Any, answer: Answer) -> Iterator[str]:
    if not expected:
        return
    try:
        body = json.loads(answer.body)
    except ValueError:
        yield f"the body is not JSON: {answer.body[:80]!r}"
        return
    for path, wanted in expected.items():
        if not _fits(found := _at(body, path), wanted):
            yield f"{path} is {_shown(found)}, wanted {wanted}"


def _wrong_stream(expected: Any, answer: Answer) -> Iterator[str]:
    seen = StreamSeen.read(answer.body)
    if answer.cut and not expected.get("cut"):
        yield "the connection was cut in the middle of the stream"
    for name in ("text", "finish", "error", "done"):
        found, wanted = getattr(seen, name), expected.get(name, _MISSING)
        if wanted is not _MISSING and not (bool(found) if wanted == "any" else _fits(found, wanted)):
            yield f"stream: {name} is {_shown(found)}, wanted {wanted!r}"
    if "not_finish" in expected and seen.finish == expected["not_finish"]:
        yield f"stream: an answer that broke off ends with finish_reason {seen.finish!r}"
    if expected.get("usage") and not seen.usage:
        yield "stream: no usage came"
    for path in expected.get("never_null", []):
        if bad := sum(_at(event, path) is None for event in seen.events):
            yield f"stream: {path} is null in {bad} of {len(seen.events)} events"


def _shown(value: Any) -> str:
    return "missing" if value is _MISSING else repr(value)[:90]
