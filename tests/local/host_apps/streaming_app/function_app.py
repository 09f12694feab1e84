"""Streaming HTTP functions, for tests of the local host."""

import asyncio
from collections.abc import AsyncIterator

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tests.local.host_apps import witness
from tests.local.host_apps.streaming_app import mini_web  # noqa: F401 (its import makes the app stream)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


async def _parts(name: str) -> AsyncIterator[str]:
    try:
        while True:
            await asyncio.to_thread(witness.tell, at=name)
            yield "part"
    finally:
        witness.tell(at="closed")  # at once: whatever is awaited here is cancelled as well


@app.route("parts/{name:alpha}")
async def parts(req: Request) -> StreamingResponse:
    return StreamingResponse(_parts(req.path_params["name"]), media_type="text/event-stream")


async def _two_parts() -> AsyncIterator[str]:
    yield "first "
    await asyncio.to_thread(witness.tell, at="between")
    yield "second"


@app.route("two")
async def two(req: Request) -> StreamingResponse:
    return StreamingResponse(_two_parts(), media_type="text/event-stream")


@app.route("left", methods=["POST"])
async def left(req: Request) -> Response:
    """Answers nobody: it waits for the client to leave."""
    await req.body()
    await asyncio.to_thread(witness.tell, at="waiting")
    while (await req.receive())["type"] != "http.disconnect":
        pass
    await asyncio.to_thread(witness.tell, at="left")
    return Response()


@app.route("size", methods=["POST"])
async def size(req: Request) -> Response:
    total = 0
    async for chunk in req.stream():
        total += len(chunk)
    return Response(f"{total} {req.query_params.get('q')}", 201, {"x-own": "yes"})


@app.route("fail")
async def fail(req: Request) -> Response:
    raise ValueError("the secret reason")


@app.route("unhappy")
async def unhappy(req: Request) -> Response:
    return Response("meant so", 500)


@app.route("guarded", auth_level=func.AuthLevel.FUNCTION)
async def guarded(req: Request) -> Response:
    return Response("let in")


@app.route("block")
async def block(req: Request) -> Response:
    """Blocks the app's loop, as a careless app would."""
    witness.tell(at="block")
    return Response("unblocked")
