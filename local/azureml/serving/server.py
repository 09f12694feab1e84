"""The inference server inside a deployment: POST /score, GET / for the liveness probe, GET /counts for tests.

How it answers (shape, stream, pace) comes with each question in a header from the endpoint's front, so that a change
of the settings needs no restart and no state here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from local.azureml.serving import containers
from local.azureml.serving.answers import events, shaped
from local.azureml.serving.payload import BadPayload, ScoringPayload, parse
from local.azureml.settings import ServingSettings

HEADER = "x-serving"
EVENTS = "text/event-stream"
_AS_IT_IS = ServingSettings()
_decode = msgspec.json.Decoder(ServingSettings).decode


class StreamBrokeOff(Exception):
    """A stream that was to break off did."""


class InferenceServer:
    """Asks the model from as many threads as the deployment allows requests at once, and counts how questions end."""

    def __init__(self, model: Any, concurrency: int, log: logging.Logger, workers: int = 1) -> None:
        self._model = model
        self._threads = ThreadPoolExecutor(concurrency)
        self._log = log
        # The real images give so many whole answers at once, whatever the deployment allows.
        self._workers = asyncio.Semaphore(workers)
        # `left`: by a caller who did not wait for the end. `words`: events of all streams.
        self._counts: Counter[str] = Counter(asked=0, answered=0, left=0, words=0)

    async def score(self, request: Request) -> Response:
        """POST /score"""
        self._counts["asked"] += 1
        serving = self._serving(request)
        if serving.container is not None:
            return await self._score_as(serving.container, request, serving)
        try:
            question = parse(orjson.loads(await request.body()))
        except (orjson.JSONDecodeError, BadPayload) as error:
            self._log.warning("refused: %s", error)
            return JSONResponse({"error": str(error)}, 400)
        answer = await self._ask(question, serving)
        if serving.streams and (question.stream or EVENTS in request.headers.get("accept", "")):
            return StreamingResponse(self._said(answer["output"], question, serving), media_type=EVENTS)
        self._counts["answered"] += 1
        return Response(orjson.dumps(shaped(serving.shape, answer["output"], question)), media_type="application/json")

    def _serving(self, request: Request) -> ServingSettings:
        told = request.headers.get(HEADER)
        return _decode(told) if told else _AS_IT_IS

    async def _ask(self, question: ScoringPayload, serving: ServingSettings) -> dict[str, str]:
        if serving.answer_seconds:
            await asyncio.sleep(serving.answer_seconds)
        loop = asyncio.get_running_loop()
        answer: dict[str, str] = await loop.run_in_executor(self._threads, self._model.predict, question.model_input())
        return answer

    async def _score_as(self, container: str, request: Request, serving: ServingSettings) -> Response:
        """POST /score of a real image: one question after the other, in as many workers as it was given."""
        try:
            body = orjson.loads(await request.body())
        except orjson.JSONDecodeError:
            body = None
        async with self._workers:
            question = containers.at_score(container, body, serving.context_words)
            if isinstance(question, dict):
                self._log.error("the engine could not answer; the answer is %s, with status 200", question)
                return JSONResponse(question)
            answer = await self._ask(question, serving)
        self._counts["answered"] += 1
        return JSONResponse([answer["output"]] if container == "mlflow" else answer)

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions and /chat/completions: the OpenAI routes of the images that have them."""
        serving = self._serving(request)
        if serving.container not in containers.WITH_OPENAI:
            return JSONResponse({"detail": "Not Found"}, 404)
        self._counts["asked"] += 1
        strict = not request.url.path.startswith("/v1/")
        passes = request.headers.get("extra-parameters") == "pass-through"
        try:
            body = orjson.loads(await request.body() or b"null")
            question = containers.at_openai(
                serving.container, body, serving.context_words, strict=strict, passes=passes
            )
        except orjson.JSONDecodeError as error:
            return JSONResponse(containers.Refused(f"Invalid JSON: {error}").body, 400)
        except containers.Refused as error:
            return JSONResponse(error.body, error.status)
        if question.stream:
            answer = await self._ask(question, serving)
            return StreamingResponse(self._said(answer["output"], question, serving), media_type=EVENTS)
        async with self._workers:  # its handler waits for the engine, and no other call of its process is answered
            answer = await self._ask(question, serving)
        self._counts["answered"] += 1
        return JSONResponse(shaped("completion", answer["output"], question))

    async def _said(self, text: str, question: ScoringPayload, serving: ServingSettings) -> AsyncIterator[bytes]:
        """Word by word. A caller who leaves ends it where it stands."""
        end = "left"
        try:
            for position, event in enumerate(events(text, question)):
                if position == serving.breaks_after:
                    end = "broken"
                    raise StreamBrokeOff(f"after {position} words, on request of the control API")
                self._counts["words"] += 1
                yield event
                await asyncio.sleep(serving.word_seconds)
            end = "answered"
        finally:
            self._counts[end] += 1

    async def alive(self, request: Request) -> Response:
        """GET /"""
        return PlainTextResponse("Healthy")

    async def counts(self, request: Request) -> Response:
        """GET /counts"""
        return JSONResponse(self._counts)

    async def unknown(self, request: Request) -> Response:
        """A path that the container does not have."""
        return JSONResponse({"detail": "Not Found"}, 404)

    async def broken(self, request: Request, error: Exception) -> Response:
        """What a question that failed inside the model is answered."""
        self._log.exception("scoring failed", exc_info=error)
        return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 500)


def build_app(model: Any, concurrency: int, log: logging.Logger, workers: int = 1) -> Starlette:
    """The server's routes around one model."""
    server = InferenceServer(model, concurrency, log, workers)
    return Starlette(
        routes=[
            Route("/score", server.score, methods=["POST"]),
            Route("/v1/chat/completions", server.chat, methods=["POST"]),
            Route("/chat/completions", server.chat, methods=["POST"]),
            Route("/counts", server.counts),
            Route("/", server.alive),
            Route("/{path:path}", server.unknown, methods=["GET", "POST"]),
        ],
        exception_handlers={Exception: server.broken},
    )
