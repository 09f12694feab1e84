"""Somebody wants a dataset of the Hub (HTTP): it is asked for here, and imported by the queue function."""

from __future__ import annotations

import asyncio
from typing import Any

import azure.functions as func

from functions import answers, web
from functions.web import Request, Response
from shared import runtime
from shared.errors import PipelineError
from shared.serving.routes import BY, LIST_ERRORS, PAGE, STATUS_ERRORS

blueprint = func.Blueprint()
# No request is larger: a name, some columns, some hyperparameters.
_MOST_BYTES = 64 * 1024
_UNKNOWN = "there is no import of that id; GET /api/imports lists them"


@web.route(
    blueprint,
    "POST",
    "imports",
    status=202,
    errors=(400, 401, 403, 413, 415, 503),
    query=(BY,),
    body="ImportBody",
)
async def start_import(req: Request) -> Response:
    """Has a dataset of the Hugging Face Hub imported, as far as IMPORT_SOURCES allows; asked twice it is one import."""
    from pydantic import ValidationError

    from shared.serving.bodies import parse_body
    from shared.serving.protocol import ApiError
    from shared.serving.requests import ImportBody

    try:
        asked = ImportBody.model_validate(parse_body(await web.body(req, _MOST_BYTES)))
    except ValidationError as error:
        return web.api_error(web.malformed(error))
    except ApiError as error:
        return web.api_error(error)
    except web.BodyTooLarge as error:
        return web.refusal(413, "too_large", str(error))
    try:
        found = await asyncio.to_thread(_started, asked, web.caller_name(req))
    except PipelineError as error:
        return answers.refused(error)
    return web.answer({"id": found.id, "state": found.state, "message": found.text}, 202)


def _started(asked: Any, by: str) -> Any:
    from shared.ledger.imports import ImportRequest
    from shared.operations import imports

    return imports.start(runtime.services(), ImportRequest(**asked.model_dump()), by)


@web.route(blueprint, "GET", "imports", errors=LIST_ERRORS, query=(("state", "Only imports in this state."), *PAGE))
def list_imports(req: Request) -> Response:
    """A page of imports, newest first."""
    from shared.operations import imports

    return answers.listed(req, imports.FILTERS, imports.page)


@web.route(blueprint, "GET", "imports/{id}", errors=STATUS_ERRORS)
def get_import(req: Request) -> Response:
    """Everything about one import: how far it is, what became of its rows, and the snapshot that it became."""
    from shared.operations import imports

    return answers.found(lambda: imports.show(runtime.services(), req.path_params["id"]), _UNKNOWN)
