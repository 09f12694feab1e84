"""Somebody asks a model (HTTP): the recipe's native payload, and chat completions without streaming."""

from __future__ import annotations

import re
import time
import uuid
from functools import cache
from typing import TYPE_CHECKING

import azure.functions as func

from functions import web
from shared import clients

if TYPE_CHECKING:
    from shared.chat import Desk

blueprint = func.Blueprint()


@blueprint.route(route="score/{dataset}", methods=["POST"])
async def score(req: func.HttpRequest) -> func.HttpResponse:
    """The notebook's payload in, the text and who answered out."""
    from pydantic import ValidationError

    from shared.chat import NativeRequest, Unanswered

    if len(req.get_body()) > web.MOST_BYTES:
        return web.refusal(413, "too_large", f"at most {web.MOST_BYTES} bytes are allowed")
    try:
        asked = NativeRequest.model_validate_json(req.get_body())
        found = await _desk().answer(
            req.route_params["dataset"],
            asked.input_data.input_string,
            asked.input_data.parameters.model_dump(exclude_none=True),
            _request_id(req),
        )
    except ValidationError as error:
        return web.malformed(error)
    except Unanswered as error:
        return web.unanswered(error)
    return web.answer(
        {
            "output": found.text,
            "dataset": found.dataset,
            "release": found.release,
            "deployment": found.deployment,
        }
    )


@blueprint.route(route="v1/chat/completions", methods=["POST"])
async def chat_completions(req: func.HttpRequest) -> func.HttpResponse:
    """Chat completions; `model` is the dataset's name."""
    from pydantic import ValidationError

    from shared.chat import ChatRequest, Unanswered

    if len(req.get_body()) > web.MOST_BYTES:
        return web.refusal(413, "too_large", f"at most {web.MOST_BYTES} bytes are allowed")
    try:
        asked = ChatRequest.model_validate_json(req.get_body())
        found = await _desk().answer(asked.model, asked.messages, asked.parameters(), _request_id(req))
    except ValidationError as error:
        return web.malformed(error)
    except Unanswered as error:
        return web.unanswered(error)
    message = {"role": "assistant", "content": found.text}
    return web.answer(
        {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": f"{found.dataset}@{found.release}",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        }
    )


@cache
def _desk() -> Desk:
    from shared.chat import Desk

    return Desk(clients.parts())


def _request_id(req: func.HttpRequest) -> str:
    """The caller's request id, if it is one that Azure takes, else a new one."""
    told = req.headers.get("x-request-id", "")
    return told if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", told) else uuid.uuid4().hex
