"""Somebody asks a model (HTTP): chat completions, whole or streamed, and the recipe's native payload.

The platform lets everybody in here: clients of the protocol send their key in a way that it does not read. So the app
checks the key, before anything else is looked at.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import azure.functions as func

from functions import web
from functions.web import Request, Response
from shared import runtime

if TYPE_CHECKING:
    from shared.serving.auth import ScoringKeys
    from shared.serving.protocol import ChatRequest
    from shared.serving.service import AnswerPiece, ChatCall, ChatService

blueprint = func.Blueprint()
log = logging.getLogger(__name__)

OPEN = func.AuthLevel.ANONYMOUS


@blueprint.route(route="v1/chat/completions", methods=["POST"], auth_level=OPEN)
async def chat_completions(req: Request) -> Response:
    """Chat completions; `model` is the dataset's name."""
    return await _answered(req, _chat)


@blueprint.route(route="v1/models", methods=["GET"], auth_level=OPEN)
async def list_models(req: Request) -> Response:
    """The datasets whose models can be asked."""
    return await _answered(req, _models)


@blueprint.route(route="v1/models/{model}", methods=["GET"], auth_level=OPEN)
async def get_model(req: Request) -> Response:
    """One dataset whose model can be asked."""
    return await _answered(req, _model)


@blueprint.route(route="score/{dataset}", methods=["POST"], auth_level=OPEN)
async def score(req: Request) -> Response:
    """The notebook's payload in, the text and who answered out."""
    return await _answered(req, _score)


async def _chat(req: Request, given: bytes, request_id: str) -> Response:
    from shared.serving.protocol import AnswerMessage, ChatChoice, ChatCompletion, ChatRequest

    asked = ChatRequest.model_validate_json(given)
    question = _question(req, request_id, asked.model, asked.messages, asked.parameters(), asked.stops())
    if asked.stream:
        return await _streamed(question, asked)
    found = await (await _desk()).answer(question)
    assert found.ended is not None
    assert found.usage is not None
    choice = ChatChoice(message=AnswerMessage(content=found.text), finish_reason=found.ended)
    return web.model(ChatCompletion(**_heading(found), choices=[choice], usage=found.usage))


async def _models(req: Request, given: bytes, request_id: str) -> Response:
    from shared.serving.protocol import ModelList

    return web.model(ModelList(data=await (await _desk()).catalog.models()))


async def _model(req: Request, given: bytes, request_id: str) -> Response:
    return web.model(await (await _desk()).catalog.model(req.path_params["model"]))


async def _score(req: Request, given: bytes, request_id: str) -> Response:
    from shared.serving.protocol import NativeAnswer, NativeRequest

    asked = NativeRequest.model_validate_json(given)
    dataset = req.path_params["dataset"]
    question = _question(req, request_id, dataset, asked.input_data.input_string, asked.parameters())
    found = await (await _desk()).answer(question)
    assert found.ended is not None
    assert found.usage is not None
    return web.model(
        NativeAnswer(
            output=found.text,
            dataset=found.dataset,
            release=found.release,
            deployment=found.deployment,
            finish_reason=found.ended,
            usage=found.usage,
        )
    )


async def _streamed(question: ChatCall, asked: ChatRequest) -> Response:
    """The answer as events, once its first piece is there: until then an error is an ordinary one."""
    pieces = (await _desk()).stream(question)
    first = await anext(pieces)
    with_usage = asked.stream_options is not None and asked.stream_options.include_usage
    return web.EventStream(_events(first, pieces, with_usage, question.request_id))


async def _events(
    first: AnswerPiece, pieces: AsyncGenerator[AnswerPiece], with_usage: bool, request_id: str
) -> AsyncGenerator[str]:
    from shared.serving.protocol import ApiError, ChatChunk, ChatDelta, ChunkChoice

    heading = _heading(first)

    def event(delta: ChatDelta, ended: Any = None) -> str:
        return web.event(ChatChunk(**heading, choices=[ChunkChoice(delta=delta, finish_reason=ended)]))

    try:
        yield event(ChatDelta(role="assistant", content=first.text))
        last = first
        async for last in pieces:
            if last.text:
                yield event(ChatDelta(content=last.text))
        yield event(ChatDelta(), last.ended)
        if with_usage:
            yield web.event(ChatChunk(**heading, choices=[], usage=last.usage))
        yield "data: [DONE]\n\n"
    except ApiError as error:
        log.warning("request %s: the answer broke off: %s", request_id, error.code)
        yield web.event(error.body())
    finally:
        await pieces.aclose()


async def _answered(req: Request, act: Callable[[Request, bytes, str], Awaitable[Response]]) -> Response:
    """What every route here has in common: key, bounded body, request id, one shape of errors, one line in the log."""
    from shared.serving.protocol import ApiError

    request_id, started = web.request_id(req), time.perf_counter()
    try:
        _access().check(req.headers, req.query_params)
        given = await web.body(req, runtime.settings().call_max_bytes)
        response = await web.unless_left(req, _acted(act, req, given, request_id))
    except ApiError as error:
        response = web.unanswered(error)
    except web.BodyTooLarge as error:
        response = web.refusal(413, "too_large", str(error))
    except web.CallerLeft:
        response = Response(status_code=499)
    response.headers["x-request-id"] = request_id
    seconds = time.perf_counter() - started
    log.info("%s: HTTP %d after %.3f s, request %s", act.__name__.strip("_"), response.status_code, seconds, request_id)
    return response


async def _acted(
    act: Callable[[Request, bytes, str], Awaitable[Response]], req: Request, given: bytes, request_id: str
) -> Response:
    from pydantic import ValidationError

    from shared.serving.protocol import ApiError

    try:
        return await act(req, given, request_id)
    except ValidationError as error:
        raise web.malformed(error) from None  # its text holds what was sent
    except ApiError:
        raise
    except Exception as error:
        log.exception("request %s failed", request_id)
        raise ApiError(500, "internal_error", f"this is our fault; the log has request {request_id}") from error


def _question(
    req: Request, request_id: str, model: str, turns: Any, parameters: dict[str, Any], stops: tuple[str, ...] = ()
) -> ChatCall:
    from shared.serving.service import ChatCall

    return ChatCall(model, turns, parameters, stops, request_id, web.patience(req))


def _heading(found: AnswerPiece) -> dict[str, Any]:
    """What all events of an answer have in common."""
    name = f"{found.dataset}@{found.release}"
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": name}


async def _desk() -> ChatService:
    """This process's desk. The first caller has it made beside the loop, since that connects to storage."""
    return _made_desk() if _made_desk.cache_info().currsize else await asyncio.to_thread(_made_desk)


@cache
def _made_desk() -> ChatService:
    from shared.serving.service import ChatService

    return ChatService(runtime.services())


@cache
def _access() -> ScoringKeys:
    from shared.config.groups.values import keys_in
    from shared.serving.auth import ScoringKeys

    return ScoringKeys(keys_in(runtime.settings().scoring_keys))
