"""Somebody wants to know (HTTP): snapshots and datasets as JSON, whether the app is up, and what can be asked of it."""

from __future__ import annotations

import azure.functions as func

from functions import web
from functions.web import Request, Response
from shared import runtime
from shared.errors import NotFound
from shared.serving.routes import STATUS_ERRORS

blueprint = func.Blueprint()


@web.route(blueprint, "GET", "snapshots", errors=(400, 401), query=(("dataset", "Its name."),))
def list_snapshots(req: Request) -> Response:
    """The newest snapshots and refused uploads; `?dataset=` for the snapshots of one dataset."""
    from shared import naming
    from shared.operations import status

    dataset = req.query_params.get("dataset", "")
    if dataset and not naming.DATASET.fullmatch(dataset):
        return web.refusal(400, "invalid_request", "dataset: 2 to 41 of a-z, 0-9 and '-'")
    found = {"snapshots": status.snapshots(runtime.services(), dataset)}
    if not dataset:
        found["refused"] = status.refused(runtime.services())
    return web.answer(found)


@web.route(blueprint, "GET", "snapshots/{id}", errors=STATUS_ERRORS)
def get_snapshot(req: Request) -> Response:
    """Everything about one snapshot."""
    from shared.operations import status

    try:
        return web.answer(status.snapshot(runtime.services(), req.path_params["id"]))
    except NotFound:
        return web.refusal(404, "not_found", "there is no snapshot of that id; GET /api/snapshots lists them")


@web.route(blueprint, "GET", "datasets/{name}", errors=STATUS_ERRORS)
def get_dataset(req: Request) -> Response:
    """Everything about one dataset and what it serves."""
    from shared.operations import status

    try:
        return web.answer(status.dataset(runtime.services(), req.path_params["name"]))
    except NotFound:
        return web.refusal(404, "not_found", "there is no dataset of that name; GET /api/snapshots lists snapshots")


@web.route(blueprint, "GET", "health", caller="anybody")
def health(req: Request) -> Response:
    """That the app is indexed and its settings are right; it asks no other service."""
    return web.answer({"status": "ok"})


@web.route(blueprint, "GET", "openapi.json", caller="anybody")
def describe_routes(req: Request) -> Response:
    """All routes as an OpenAPI document, for tools that make clients or pages of it."""
    from shared.serving import openapi

    return web.answer(openapi.document(web.ROUTES))
