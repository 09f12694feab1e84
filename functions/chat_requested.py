"""Somebody asks a model (HTTP): the recipe's native payload, and chat completions without streaming."""

from __future__ import annotations

import re
import time
import uuid
from functools import cache
from typing import TYPE_CHECKING

import azure.functions as func

from functions import web
from functions.web import Request, Response
from shared import clients

if TYPE_CHECKING:
    from shared.chat import Desk

blueprint = func.Blueprint()


@blueprint.route(route="score/{dataset}", methods=["POST"])
async def score(req: Request) -> Response:
    """The notebook's payload in, the text and who answered out."""
    from pydantic import ValidationError

    from shared.chat import NativeRequest, Unanswered

    try:
        asked = NativeRequest.model_validate_json(await web.body(req))
        found = await _desk().answer(
            req.path_params["dataset"],
            asked.input_data.input_string,
            asked.input_data.parameters.model_dump(exclude_none=True),
            _request_id(req),
        )
    except web.TooLarge:
        return web.too_large()
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
async def chat_completions(req: Request) -> Response:
    """Chat completions; `model` is the dataset's name."""
    from pydantic import ValidationError

    from shared.chat import ChatRequest, Unanswered

    try:
        asked = ChatRequest.model_validate_json(await web.body(req))
        found = await _desk().answer(asked.model, asked.messages, asked.parameters(), _request_id(req))
    except web.TooLarge:
        return web.too_large()
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


def _request_id(req: Request) -> str:
    """The caller's request id, if it is one that Azure takes, else a new one."""
    told = req.headers.get("x-request-id", "")
    return told if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", told) else uuid.uuid4().hex
