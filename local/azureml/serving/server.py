"""The inference server inside a deployment: POST /score, GET / for the liveness probe."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from local.azureml.serving.payload import BadPayload, parse


def build_app(model: Any, concurrency: int, log: logging.Logger) -> Starlette:
    """An app that asks the model from as many threads as the deployment allows requests at once."""
    threads = ThreadPoolExecutor(concurrency)

    async def score(request: Request) -> Response:
        try:
            payload = parse(orjson.loads(await request.body()))
        except (orjson.JSONDecodeError, BadPayload) as error:
            log.warning("refused: %s", error)
            return JSONResponse({"error": str(error)}, 400)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(threads, model.predict, payload)
        return Response(orjson.dumps(answer), media_type="application/json")

    async def alive(request: Request) -> Response:
        return PlainTextResponse("Healthy")

    async def broken(request: Request, error: Exception) -> Response:
        log.exception("scoring failed", exc_info=error)
        return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 500)

    return Starlette(
        routes=[Route("/score", score, methods=["POST"]), Route("/", alive)],
        exception_handlers={Exception: broken},
    )
