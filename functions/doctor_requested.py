"""Somebody wants to know what is wrong (HTTP): every check of the doctor, made as the app itself."""

from __future__ import annotations

import azure.functions as func

from functions import web
from functions.web import Request, Response
from shared import runtime
from shared.errors import TemporaryError

blueprint = func.Blueprint()


@web.route(
    blueprint,
    "GET",
    "doctor",
    caller="admin",
    errors=(401, 503),
    query=(("event", "`true`: also uploads a file and waits until Event Grid tells of it."),),
)
def examine(req: Request) -> Response:
    """What is wrong with the installation, and what mends it."""
    from msgspec import to_builtins

    from shared.operations import doctor

    with_event = req.query_params.get("event", "").lower() == "true"
    try:
        report = doctor.examine(runtime.services(), with_event=with_event)
    except TemporaryError as error:
        return web.refusal(503, "unavailable", str(error), 10)
    return web.answer(to_builtins(report))
