"""Somebody wants to know (HTTP): snapshots and datasets as JSON, whether the app is up, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import azure.functions as func

from functions import status_answers, web
from functions.web import Request, Response
from shared import runtime
from shared.serving.routes import LIST_ERRORS, PAGE, STATUS_ERRORS

if TYPE_CHECKING:
    from shared.runtime import Services

blueprint = func.Blueprint()


@web.route(
    blueprint,
    "GET",
    "snapshots",
    errors=LIST_ERRORS,
    query=(
        ("dataset", "Its name: only snapshots of this dataset."),
        ("state", "Only snapshots in this state."),
        *PAGE,
    ),
)
def list_snapshots(req: Request) -> Response:
    """A page of the newest snapshots, of one dataset or in one state; the first one has the newest refused uploads."""
    from shared.operations import damage, imports, pages, paging, status

    def found() -> dict[str, object]:
        query = paging.page_query(req.query_params, pages.FILTERS)
        dataset, state = pages.check(query)
        services = runtime.services()
        if state or query.before:
            return pages.snapshots(services, dataset, state, query.before, query.limit)
        refused = status.refused(services, dataset)
        if dataset:
            return {**pages.snapshots(services, dataset, limit=query.limit), "refused": refused}
        wrong = damage.on_record(services)
        page = pages.snapshots(services, limit=query.limit, damaged=damage.damaged_snapshots(wrong))
        more: dict[str, object] = {"damaged": status.damaged(wrong), "not_allowed": status.not_allowed(services)}
        if untold := status.notifications(services):
            more["notifications"] = untold
        if services.settings.import_sources and (going_on := imports.newest(services, only_open=True)):
            more["imports"] = going_on
        return {**page, "refused": refused, **more}

    return status_answers.found(found)


@web.route(
    blueprint,
    "GET",
    "refusals",
    errors=LIST_ERRORS,
    query=(("dataset", "Only those that may have been meant for this dataset."), *PAGE),
)
def list_refusals(req: Request) -> Response:
    """A page of the uploads that make no snapshot, newest first, each with the reason and the right form."""
    from shared.operations import paging, refused

    return status_answers.found(
        lambda: refused.page(runtime.services(), paging.page_query(req.query_params, refused.FILTERS))
    )


@web.route(
    blueprint,
    "GET",
    "datasets",
    errors=LIST_ERRORS,
    query=(
        ("state", "Only datasets in this state; also ROLLING_OUT, NEEDS_ATTENTION, PAUSED."),
        ("prefix", "Only datasets whose names begin so."),
        ("sort", "In the order of `name`, or by `price`, `spent`, `calls`, `asked` or `since`, the greatest first."),
        *PAGE,
    ),
)
def list_datasets(req: Request) -> Response:
    """A page of datasets: what each serves, on how many machines, what it costs now and this month, and until when."""
    from shared.operations import datasets, paging

    def found() -> object:
        query = paging.page_query(req.query_params, datasets.FILTERS)
        datasets.check(query)
        return datasets.page(runtime.services(), query)

    return status_answers.found(found)


@web.route(blueprint, "GET", "snapshots/{id}", errors=STATUS_ERRORS)
def get_snapshot(req: Request) -> Response:
    """Everything about one snapshot."""
    from shared.operations import status

    return _of_snapshot(req, status.snapshot)


@web.route(blueprint, "GET", "snapshots/{id}/report", errors=STATUS_ERRORS)
def get_report(req: Request) -> Response:
    """A snapshot's validation report: every finding with its rows."""
    from shared.operations import documents

    missing = "that snapshot has no report yet; GET /api/snapshots/{id} says where it is"
    return _of_snapshot(req, documents.report, missing)


@web.route(blueprint, "GET", "snapshots/{id}/evaluation", errors=STATUS_ERRORS)
def get_evaluation(req: Request) -> Response:
    """Every prompt that the gate asked a snapshot's model, with the answers and how they were judged."""
    from shared.operations import documents

    missing = "the gate has not judged that snapshot; GET /api/snapshots/{id} says where it is"
    return _of_snapshot(req, documents.evaluation, missing)


@web.route(blueprint, "GET", "snapshots/{id}/logs", errors=STATUS_ERRORS)
def get_logs(req: Request) -> Response:
    """The ends of the logs of a snapshot's training steps and deployments that failed."""
    from shared.operations import documents

    return _of_snapshot(req, documents.logs)


@web.route(blueprint, "GET", "snapshots/{id}/training", errors=STATUS_ERRORS)
def get_training(req: Request) -> Response:
    """How far a snapshot's training is: step, loss and the other metrics that its job logs, and the time left."""
    from msgspec import to_builtins

    from shared.operations import training

    missing = "that snapshot has no training job yet; GET /api/snapshots/{id} says where it is"
    return _of_snapshot(req, lambda *asked: to_builtins(training.training(*asked)), missing)


@web.route(blueprint, "GET", "datasets/{name}", errors=STATUS_ERRORS)
def get_dataset(req: Request) -> Response:
    """Everything about one dataset and what it serves."""
    from shared.operations import status

    return _of_dataset(req, status.dataset)


@web.route(
    blueprint,
    "GET",
    "datasets/{name}/deletion",
    errors=STATUS_ERRORS,
    query=(("files", "`true`: as if what was dropped were to go as well."),),
)
def plan_deletion(req: Request) -> Response:
    """What the deletion of a dataset would take away, what it would leave, and what the dataset costs now."""
    import msgspec

    from shared.operations import deletion_plan

    with_files = req.query_params.get("files", "").lower() in ("1", "true", "yes")

    def show(services: Services, name: str) -> object:
        return msgspec.to_builtins(deletion_plan.plan(services, name, with_files))

    return _of_dataset(req, show)


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


def _of_snapshot(req: Request, show: Callable[[Services, str], object], missing: str = "") -> Response:
    """What is shown of the snapshot that the route names, by its id, the beginning of one, or a dataset for its newest.

    `missing`: what to say of one that is there, but not what was asked for.
    """
    from shared.errors import NotFound
    from shared.operations import names

    name = req.path_params["id"]

    def unknown() -> str:
        services = runtime.services()
        try:
            services.ledger.read(f"snapshot/{names.snapshot_id(services, name)}")
        except NotFound:
            return names.unknown_snapshot(services, name)
        return missing

    return status_answers.found(lambda: show(runtime.services(), names.snapshot_id(runtime.services(), name)), unknown)


def _of_dataset(req: Request, show: Callable[[Services, str], object]) -> Response:
    """What is shown of the dataset that the route names."""
    from shared.operations import names

    name = req.path_params["name"]
    return status_answers.found(
        lambda: show(runtime.services(), name), lambda: names.unknown_dataset(runtime.services(), name)
    )
