"""Calling a function from the host's loop: on the app's loop, in limited time, with outputs and one log line.

Every trigger (`http`, `webhooks`, `queues`, `timers`, `admin`) calls `Invoker.run`. A call is made once:
whether it is made again after a failure is the trigger's affair.
"""

import asyncio
import contextlib
import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from local.host import runtime
from local.host.errors import InvocationFailed
from local.host.functions import Function, QueueAddress
from local.host.messages import TypedData

log = logging.getLogger("host.invocations")


class Outputs(Protocol):
    """Where queue outputs go; `queue_storage.Queues` is the real one."""

    async def put(self, address: QueueAddress, value: TypedData) -> None: ...


@dataclass(frozen=True)
class TriggerInput:
    """What a trigger has for its function: the value and the metadata that the runtime's converters read."""

    data: TypedData
    metadata: Mapping[str, Any] = field(default_factory=dict)


def new_id() -> str:
    """A fresh invocation id."""
    return str(uuid.uuid4())


class Invoker:
    """Runs functions on the app's loop and counts those under way; used from the host's loop only."""

    def __init__(self, app_loop: asyncio.AbstractEventLoop, timeout: float | None, outputs: Outputs | None) -> None:
        self._app_loop = app_loop
        self._timeout = timeout
        self._outputs = outputs
        self._running: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, function: Function, given: TriggerInput, invocation_id: str | None = None) -> TypedData | None:
        """Call `function`; its return value once its outputs are written. Raises InvocationFailed only."""
        invocation_id = invocation_id or new_id()
        started = time.perf_counter()
        self._running.add(invocation_id)
        self._idle.clear()
        try:
            answer = await self._call(function, given, invocation_id)
            await self._write(function, answer.outputs)
        except InvocationFailed as failure:
            _report(function, invocation_id, started, failure)
            raise
        finally:
            self._ended(invocation_id)
        _report(function, invocation_id, started, None)
        return answer.returned

    @contextlib.contextmanager
    def answering(self, invocation_id: str) -> Iterator[None]:
        """While its answer is on its way to the caller, a call that has returned is under way."""
        answer = f"{invocation_id}, its answer"
        self._running.add(answer)
        self._idle.clear()
        try:
            yield
        finally:
            self._ended(answer)

    def _ended(self, invocation_id: str) -> None:
        self._running.discard(invocation_id)
        if not self._running:
            self._idle.set()

    async def drained(self, grace: float) -> bool:
        """Wait up to `grace` seconds for the running invocations; whether all have ended."""
        try:
            await asyncio.wait_for(self._idle.wait(), grace)
        except TimeoutError:
            log.warning("stopping with %d invocations unfinished: %s", len(self._running), sorted(self._running))
            return False
        return True

    async def _call(self, function: Function, given: TriggerInput, invocation_id: str) -> runtime.InvocationResult:
        metadata = {key: TypedData(json=json.dumps(value)) for key, value in given.metadata.items()}
        call = runtime.Invocation(invocation_id, function.id, function.parameter, given.data, metadata)
        pending = asyncio.run_coroutine_threadsafe(runtime.invoke(call), self._app_loop)
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(pending)
        except TimeoutError as late:
            raise InvocationFailed(f"functionTimeout: no result after {self._timeout:g} s") from late

    async def _write(self, function: Function, outputs: Mapping[str, TypedData]) -> None:
        for name, value in outputs.items():
            if self._outputs and (address := function.queue_outputs.get(name)):
                try:
                    await self._outputs.put(address, value)
                except Exception as error:
                    raise InvocationFailed(f"the output {name} to queue {address.name} failed: {error}") from error


def _report(function: Function, invocation_id: str, started: float, failure: InvocationFailed | None) -> None:
    """The one line of an invocation; a failure's stack trace follows it."""
    duration = (time.perf_counter() - started) * 1000
    line = "function=%s invocation=%s trigger=%s result=%s duration_ms=%.1f"
    known = (function.name, invocation_id, function.kind.removesuffix("Trigger"))
    if failure is None:
        log.info(line, *known, "succeeded", duration)
    else:
        trace = f"\n{failure.trace.strip()}" if failure.trace else ""
        log.error(f"{line} error=%s%s", *known, "failed", duration, failure, trace)  # noqa: G004
