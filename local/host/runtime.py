"""Microsoft's runtime for Python functions, in this process; no other module imports it.

`__main__` starts it once (one app per process: the app stays imported), `invocations` calls it. It runs on
the main thread with a loop of its own, as in Azure's worker, so that an app which blocks that loop stops
neither the renewal of queue messages nor the health check, which live on the host's loop.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as worker  # type: ignore[import-untyped]

from local.host.errors import CannotStart, InvocationFailed
from local.host.messages import (
    PROTOS,
    InvocationRequest,
    ParameterBinding,
    RetryContext,
    StatusResult,
    TraceContext,
    TypedData,
)


@dataclass(frozen=True)
class Indexed:
    """What the runtime found: metadata by function, and where a streaming app listens (others: None)."""

    functions: list[Any]
    http_address: str | None


@dataclass(frozen=True)
class Invocation:
    """One invocation as the runtime needs it: who, and the trigger's value with its metadata."""

    invocation_id: str
    function_id: str
    parameter: str
    data: TypedData
    metadata: dict[str, TypedData]


@dataclass(frozen=True)
class InvocationResult:
    """What a successful function gave back; `outputs` maps binding names, `$return` among them, to values."""

    returned: TypedData | None
    outputs: dict[str, TypedData]


def current_invocation() -> str | None:
    """The invocation that the calling code belongs to, for log records."""
    invocation_id: str | None = worker.invocation_id_cv.get()
    return invocation_id


async def index(app: Path, protos: Any = PROTOS) -> Indexed:
    """Import and index the app in `app`; to be called once. The current loop becomes the app's.

    Raises CannotStart with the runtime's own message.
    """
    sys.path.insert(0, str(app))  # the runtime imports function_app by name and leaves the path to its host
    os.chdir(app)
    worker.start_threadpool_executor()
    properties = {"host": "127.0.0.1", "protos": protos}
    init = SimpleNamespace(capabilities={}, function_app_directory=str(app))
    request = SimpleNamespace(request=SimpleNamespace(worker_init_request=init), properties=properties)
    try:
        started = await worker.worker_init_request(request)
    except SystemExit as stop:
        raise CannotStart(f"the app ended its process while it was imported (exit code {stop.code})") from stop
    if started.result.status != StatusResult.Success:
        failure = started.result.exception
        raise CannotStart(failure.message, failure.stack_trace)
    listed = await worker.functions_metadata_request(SimpleNamespace(request=None, properties=properties))
    return Indexed(listed.function_metadata_results or [], started.capabilities.get("HttpUri"))


async def invoke(call: Invocation) -> InvocationResult:
    """Run one function on the current loop (sync ones in the runtime's thread pool).

    Raises InvocationFailed; SystemExit, which would end a worker in Azure, counts as a failure too.
    """
    worker.invocation_id_cv.set(call.invocation_id)  # the runtime itself sets it for sync functions only
    request = InvocationRequest(
        invocation_id=call.invocation_id,
        function_id=call.function_id,
        input_data=[ParameterBinding(name=call.parameter, data=call.data)],
        trigger_metadata=call.metadata,
        trace_context=TraceContext(),
        retry_context=RetryContext(),
    )
    try:
        wrapped = SimpleNamespace(request=SimpleNamespace(invocation_request=request), properties={})
        response = await worker.invocation_request(wrapped)
    except SystemExit as stop:
        raise InvocationFailed(f"SystemExit: {stop.code}") from stop
    if response.result.status != StatusResult.Success:
        failure = response.result.exception
        raise InvocationFailed(failure.message, failure.stack_trace)
    outputs = {item.name: item.data for item in response.output_data or [] if item.data is not None}
    if response.return_value is not None:
        outputs["$return"] = response.return_value
    return InvocationResult(response.return_value, outputs)


def forget_stream(invocation_id: str) -> None:
    """Drop what the runtime keeps of a streamed invocation for ever; only once its response has been sent."""
    from azure_functions_runtime.http_v2 import http_coordinator  # type: ignore[import-untyped]

    http_coordinator._context_references.pop(invocation_id, None)
