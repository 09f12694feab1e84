"""Somebody wants to know (HTTP): snapshots and datasets as JSON, whether the app is up, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable

import azure.functions as func

from functions import web
from functions.web import Request, Response
from shared import runtime
from shared.errors import NotFound, TemporaryError
from shared.serving.routes import STATUS_ERRORS

blueprint = func.Blueprint()


@web.route(blueprint, "GET", "snapshots", errors=(400, 401, 503), query=(("dataset", "Its name."),))
def list_snapshots(req: Request) -> Response:
    """The newest snapshots and refused uploads; `?dataset=` for those of one dataset."""
    from shared import naming
    from shared.operations import status

    dataset = req.query_params.get("dataset", "")
    if dataset and not naming.DATASET.fullmatch(dataset):
        return web.refusal(400, "invalid_request", "dataset: 2 to 41 of a-z, 0-9 and '-'")

    def found() -> dict[str, object]:
        services = runtime.services()
        shown: dict[str, object] = {
            "snapshots": status.snapshots(services, dataset),
            "refused": status.refused(services, dataset),
        }
        if not dataset:
            shown |= {"damaged": status.damaged(services), "not_allowed": status.not_allowed(services)}
        return shown

    return _answered(found, "")


@web.route(blueprint, "GET", "snapshots/{id}", errors=STATUS_ERRORS)
def get_snapshot(req: Request) -> Response:
    """Everything about one snapshot."""
    from shared.operations import status

    unknown = "there is no snapshot of that id; GET /api/snapshots lists them"
    return _answered(lambda: status.snapshot(runtime.services(), req.path_params["id"]), unknown)


@web.route(blueprint, "GET", "snapshots/{id}/report", errors=STATUS_ERRORS)
def get_report(req: Request) -> Response:
    """A snapshot's validation report: every finding with its rows."""
    from shared.operations import documents

    unknown = "that snapshot has no report yet; GET /api/snapshots/{id} says where it is"
    return _answered(lambda: documents.report(runtime.services(), req.path_params["id"]), unknown)


@web.route(blueprint, "GET", "snapshots/{id}/evaluation", errors=STATUS_ERRORS)
def get_evaluation(req: Request) -> Response:
    """Every prompt that the gate asked a snapshot's model, with the answers and how they were judged."""
    from shared.operations import documents

    unknown = "the gate has not judged that snapshot; GET /api/snapshots/{id} says where it is"
    return _answered(lambda: documents.evaluation(runtime.services(), req.path_params["id"]), unknown)


@web.route(blueprint, "GET", "snapshots/{id}/logs", errors=STATUS_ERRORS)
def get_logs(req: Request) -> Response:
    """The ends of the logs of a snapshot's training steps and deployments that failed."""
    from shared.operations import documents

    unknown = "there is no snapshot of that id; GET /api/snapshots lists them"
    return _answered(lambda: documents.logs(runtime.services(), req.path_params["id"]), unknown)


@web.route(blueprint, "GET", "datasets/{name}", errors=STATUS_ERRORS)
def get_dataset(req: Request) -> Response:
    """Everything about one dataset and what it serves."""
    from shared.operations import status

    unknown = "there is no dataset of that name; GET /api/snapshots lists snapshots"
    return _answered(lambda: status.dataset(runtime.services(), req.path_params["name"]), unknown)


@web.route(blueprint, "GET", "health", caller="anybody")
def health(req: Request) -> Response:
    """That the app is indexed and its settings are right; it needs no other service.

    A process that knows its storage also says which roles the app's identity lacks, and how many blobs of the ledger
    are damaged: GET /api/snapshots has more.
    """
    shown: dict[str, object] = {"status": "ok"}
    if denied := runtime.storage_denied():
        shown["missing_roles"] = [denied]
    if (known := runtime.services_if_made()) is not None:
        from shared.operations import status

        shown |= status.problems(known)
    return web.answer(shown)


@web.route(blueprint, "GET", "openapi.json", caller="anybody")
def describe_routes(req: Request) -> Response:
    """All routes as an OpenAPI document, for tools that make clients or pages of it."""
    from shared.serving import openapi

    return web.answer(openapi.document(web.ROUTES))


def _answered(ask: Callable[[], object], unknown: str) -> Response:
    """What was asked for; 404 where there is no such thing, 503 while storage or the row is out of reach."""
    try:
        return web.answer(ask())
    except NotFound:
        return web.refusal(404, "not_found", unknown)
    except TemporaryError as error:
        return web.refusal(503, "unavailable", str(error), 10)
