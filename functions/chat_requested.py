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
from shared.serving.routes import ASK_ERRORS, STATUS_ERRORS

if TYPE_CHECKING:
    from shared.serving.auth import ScoringKeys
    from shared.serving.calls import AnswerPiece, ChatCall
    from shared.serving.requests import ChatRequest, NativeRequest
    from shared.serving.service import ChatService

    type Act = Callable[[Request, bytes, str], Awaitable[Response]]

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@web.route(
    blueprint,
    "POST",
    "v1/chat/completions",
    caller="ask",
    errors=ASK_ERRORS,
    body="ChatRequest",
    answer="ChatCompletion",
    streams="ChatChunk",
)
async def chat_completions(req: Request) -> Response:
    """Chat completions; `model` is the dataset's name."""
    return await _respond(req, _complete_chat)


@web.route(blueprint, "GET", "v1/models", caller="ask", errors=(401, 503), answer="ModelList")
async def list_models(req: Request) -> Response:
    """The datasets whose models can be asked."""
    return await _respond(req, _list_models)


@web.route(blueprint, "GET", "v1/models/{model}", caller="ask", errors=STATUS_ERRORS, answer="ModelCard")
async def get_model(req: Request) -> Response:
    """One dataset whose model can be asked."""
    return await _respond(req, _get_model)


@web.route(
    blueprint, "POST", "score/{dataset}", caller="ask", errors=ASK_ERRORS, body="NativeRequest", answer="NativeAnswer"
)
async def score(req: Request) -> Response:
    """The notebook's payload in, the text and who answered out."""
    return await _respond(req, _score)


async def _complete_chat(req: Request, body: bytes, request_id: str) -> Response:
    from shared.serving.bodies import parse_body
    from shared.serving.protocol import AnswerMessage, ChatChoice, ChatCompletion
    from shared.serving.requests import ChatRequest

    asked = ChatRequest.model_validate(parse_body(body))
    call = _call(req, request_id, asked.model, asked)
    if asked.stream:
        return _with_notes(await _stream(call, asked), call)
    found = await (await chat_service()).answer(call)
    assert found.usage is not None
    message = AnswerMessage(content=found.text)
    choice = ChatChoice(message=message, finish_reason=found.ended, finish_reason_estimated=found.end_estimated)
    return _with_notes(web.model(ChatCompletion(**_heading(found), choices=[choice], usage=found.usage)), call)


async def _list_models(req: Request, body: bytes, request_id: str) -> Response:
    from shared.serving.protocol import ModelList

    return web.model(ModelList(data=await (await chat_service()).catalog.models()))


async def _get_model(req: Request, body: bytes, request_id: str) -> Response:
    return web.model(await (await chat_service()).catalog.model(req.path_params["model"]))


async def _score(req: Request, body: bytes, request_id: str) -> Response:
    from shared.serving.bodies import parse_body
    from shared.serving.protocol import NativeAnswer
    from shared.serving.requests import NativeRequest

    asked = NativeRequest.model_validate(parse_body(body))
    call = _call(req, request_id, req.path_params["dataset"], asked)
    found = await (await chat_service()).answer(call)
    assert found.usage is not None
    answer = NativeAnswer(
        output=found.text,
        dataset=found.dataset,
        release=found.release,
        deployment=found.deployment,
        finish_reason=found.ended,
        finish_reason_estimated=found.end_estimated,
        usage=found.usage,
    )
    return _with_notes(web.model(answer), call)


async def _stream(call: ChatCall, asked: ChatRequest) -> Response:
    """The answer as events, once its first piece is there: until then an error is an ordinary one.

    A model that thinks for longer than proxies may wait is not waited for: its stream begins with pings.
    """
    from functions.event_stream import PING_SECONDS, EventStream

    pieces = (await chat_service()).stream(call)
    first = asyncio.ensure_future(anext(pieces))
    try:
        await asyncio.wait((first,), timeout=PING_SECONDS)
        if first.done():
            first.result()
    except BaseException:  # an error of the call, or the caller has left
        first.cancel()
        await asyncio.wait((first,))
        await pieces.aclose()
        raise
    with_usage = asked.stream_options is not None and asked.stream_options.include_usage
    return EventStream(_events(first, pieces, with_usage, call.request_id))


async def _events(
    first: asyncio.Future[AnswerPiece], pieces: AsyncGenerator[AnswerPiece], with_usage: bool, request_id: str
) -> AsyncGenerator[str]:
    """The data of the events: a chunk for each piece, one that says why it ended, the usage if wanted, `[DONE]`."""
    from shared.serving.protocol import ApiError, ChatChunk, ChatDelta, ChunkChoice

    try:
        last = await first
        heading = _heading(last)

        def chunk(delta: ChatDelta, **end: Any) -> str:
            return ChatChunk(**heading, choices=[ChunkChoice(delta=delta, **end)]).model_dump_json()

        yield chunk(ChatDelta(role="assistant", content=last.text))
        async for last in pieces:
            if last.text:
                yield chunk(ChatDelta(content=last.text))
        # Some clients take a stream without any reason for one that was cut.
        yield chunk(ChatDelta(), finish_reason=last.ended or "stop", finish_reason_estimated=last.end_estimated)
        if with_usage:
            yield ChatChunk(**heading, choices=[], usage=last.usage).model_dump_json()
        yield "[DONE]"
    except ApiError as error:
        log.warning("request %s: the answer broke off: %s", request_id, error.code)
        yield error.body().model_dump_json()
    finally:
        first.cancel()
        await asyncio.wait((first,))
        await pieces.aclose()


async def _respond(req: Request, act: Act) -> Response:
    """What every route here has in common: key, bounded body, request id, one shape of errors, one line in the log."""
    from shared.serving.protocol import ApiError

    request_id, started = web.request_id(req), time.perf_counter()
    try:
        _keys().check(req.headers, req.query_params)
        body = await web.body(req, runtime.settings().call_max_bytes)
        response = await web.unless_left(req, _act_with_api_errors(act, req, body, request_id))
    except ApiError as error:
        response = web.api_error(error)
    except web.BodyTooLarge as error:
        response = web.refusal(413, "too_large", str(error))
    except web.CallerLeft:
        response = Response(status_code=499)
    response.headers["x-request-id"] = request_id
    seconds = time.perf_counter() - started
    log.info("%s: HTTP %d after %.3f s, request %s", act.__name__.strip("_"), response.status_code, seconds, request_id)
    return response


async def _act_with_api_errors(act: Act, req: Request, body: bytes, request_id: str) -> Response:
    """Raises ApiError and nothing else; what is not expected is logged and 500."""
    from pydantic import ValidationError

    from shared.serving.protocol import ApiError

    try:
        return await act(req, body, request_id)
    except ValidationError as error:
        raise web.malformed(error) from None  # its text holds what was sent
    except ApiError:
        raise
    except Exception as error:
        log.exception("request %s failed", request_id)
        raise ApiError(500, "internal_error", f"this is our fault; the log has request {request_id}") from error


def _call(req: Request, request_id: str, model: str, asked: ChatRequest | NativeRequest) -> ChatCall:
    from shared.serving.calls import ChatCall

    wait, extras = web.patience(req), asked.extras()
    return ChatCall(model, asked.turns(), asked.parameters(), asked.stops(), request_id, wait, extras)


def _with_notes(response: Response, call: ChatCall) -> Response:
    """Names in headers which hints had no effect, and what the deployment cannot give."""
    for header in ("ignored", "unavailable"):
        if names := getattr(call.notes, header):
            response.headers[f"x-droptune-{header}"] = ", ".join(names)
    return response


def _heading(found: AnswerPiece) -> dict[str, Any]:
    """What all events of an answer have in common."""
    name = f"{found.dataset}@{found.release}"
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": name}


async def chat_service() -> ChatService:
    """This process's chat service. The first caller has it made beside the loop, since that connects to storage."""
    return _made_service() if _made_service.cache_info().currsize else await asyncio.to_thread(_made_service)


@cache
def _made_service() -> ChatService:
    from shared.serving.service import ChatService

    return ChatService(runtime.services())


@cache
def _keys() -> ScoringKeys:
    from shared.config.groups.values import keys_in
    from shared.serving.auth import ScoringKeys

    return ScoringKeys(keys_in(runtime.settings().scoring_keys))
