"""Somebody wants to know what is wrong (HTTP): every check of the doctor, made as the app itself."""

from __future__ import annotations

import azure.functions as func

from functions import answers, web
from functions.web import Request, Response
from shared import runtime

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
    from shared.operations import doctor

    return answers.found(lambda: doctor.examine(runtime.services(), with_event=web.is_true(req, "event")))
