"""Faults that tests set: which requests are hit, how often, and what happens to them instead.

A fault with `deployment` hits scoring requests that this deployment would answer; all others are hit at the
door.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from typing import Any

import msgspec
from starlette.responses import Response


class ConnectionCut(Exception):
    """The connection is to be cut without an answer."""


METHODS = ("*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class FaultRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a test asks for. Raises ValueError for what could never show."""

    method: str = "*"
    # Searched for in the path with its query.
    path: str = ""
    # So many matching requests are let through first.
    skip: int = 0
    # None: until the fault is deleted.
    times: int | None = 1
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = {}
    # Act as usual first, then answer with the fault.
    after: bool = False
    hold: bool = False
    close: bool = False
    delay_seconds: float = 0.0
    # Scoring only: the deployment's name (regex), and what its container answers.
    deployment: str | None = None
    model_status: int | None = None

    def __post_init__(self) -> None:
        if self.method.upper() not in METHODS:
            raise ValueError(f"method {self.method!r} is none of {', '.join(METHODS)}")
        pattern("path", self.path)
        pattern("deployment", self.deployment or "")
        shows = self.status, self.body, self.model_status
        if all(value is None for value in shows) and not (self.hold or self.close or self.delay_seconds):
            raise ValueError(
                "the fault would not show: it needs status, body, model_status, hold, close or delay_seconds"
            )
        if self.model_status is not None and self.deployment is None:
            raise ValueError("model_status is what a deployment's container answers: name the deployment")


def pattern(name: str, text: str) -> re.Pattern[str]:
    """A regular expression; ValueError says which field it stood in, and what it may have been meant to be."""
    try:
        return re.compile(text)
    except re.error as error:
        meant = text.replace(".*", "*").replace("*", ".*")
        raise ValueError(f"{name} {text!r} is no regular expression ({error}); did you mean {meant!r}?") from error


class InjectedFault:
    """One fault, set and counting."""

    def __init__(self, wanted: FaultRequest) -> None:
        self.id = uuid.uuid4().hex
        self.wanted = wanted
        self.hits = self.passed = 0
        self.reached = asyncio.Event()
        self.released = asyncio.Event()
        self._path = re.compile(wanted.path)

    @property
    def after(self) -> bool:
        """Whether the request is acted on before the fault shows."""
        return self.wanted.after

    @property
    def close(self) -> bool:
        """Whether the connection is cut."""
        return self.wanted.close

    @property
    def model_status(self) -> int | None:
        """What the model's container is to have answered."""
        return self.wanted.model_status

    @property
    def answers(self) -> bool:
        """Whether there is an answer of the fault's own."""
        return any(value is not None for value in (self.wanted.status, self.wanted.body, self.wanted.model_status))

    def hits_request(self, method: str, target: str) -> bool:
        """Whether it applies, not counting."""
        exhausted = self.wanted.times is not None and self.hits >= self.wanted.times
        return not exhausted and self.wanted.method.upper() in ("*", method) and bool(self._path.search(target))

    async def pause(self) -> None:
        """Say that it was hit; wait as long as asked, or until released."""
        self.reached.set()
        await asyncio.sleep(self.wanted.delay_seconds)
        if self.wanted.hold:
            await self.released.wait()

    def body_bytes(self) -> bytes:
        """Its body: text as it is, anything else as JSON, nothing as Azure's error."""
        body = self.wanted.body
        if body is None:
            body = {"error": {"code": "InjectedFault", "message": "A test has asked for this fault."}}
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()

    def response(self) -> Response:
        """Its answer."""
        headers = {"content-type": "application/json", **self.wanted.headers}
        return Response(self.body_bytes(), self.wanted.status or 200, headers)


class InjectedFaults:
    """All faults that are set, in order; the first that fits is taken."""

    def __init__(self) -> None:
        self._faults: dict[str, InjectedFault] = {}

    def add(self, wanted: FaultRequest) -> InjectedFault:
        """Set one."""
        fault = InjectedFault(wanted)
        self._faults[fault.id] = fault
        return fault

    def get(self, identity: str) -> InjectedFault | None:
        """One by id."""
        return self._faults.get(identity)

    def take(self, method: str, target: str) -> InjectedFault | None:
        """The fault for a request at the door, counted as hit."""
        for fault in self._faults.values():
            if fault.wanted.deployment is None and fault.hits_request(method, target):
                if fault.passed < fault.wanted.skip:
                    fault.passed += 1
                    continue
                fault.hits += 1
                return fault
        return None

    def take_scoring(self, endpoint: str, deployment: str, path: str = "score") -> InjectedFault | None:
        """The fault for a request that a deployment would answer, counted as hit."""
        for fault in self._faults.values():
            name = fault.wanted.deployment
            if name is None or not re.fullmatch(name, deployment):
                continue
            if fault.hits_request("POST", f"/endpoints/{endpoint}/{path}"):
                fault.hits += 1
                return fault
        return None

    def all(self) -> list[InjectedFault]:
        """Those that are set, oldest first."""
        return list(self._faults.values())

    def clear(self) -> list[InjectedFault]:
        """Remove all; requests that are held go on. Returns those that nothing ever met."""
        unused = [fault for fault in self._faults.values() if not fault.hits]
        for fault in self._faults.values():
            fault.released.set()
        self._faults.clear()
        return unused
