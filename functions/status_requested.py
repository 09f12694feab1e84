"""Somebody wants to know (HTTP): snapshots and datasets as JSON, whether the app is up, and what can be asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import azure.functions as func

from functions import answers, web
from functions.web import Request, Response
from shared import runtime
from shared.serving.routes import LIST_ERRORS, PAGE, STATUS_ERRORS

if TYPE_CHECKING:
    from shared.operations.paging import PageQuery
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
    from shared.operations import damage, imports, pages, status

    def page(services: Services, query: PageQuery) -> object:
        dataset, state = pages.check(query)
        if state or query.before:
            return pages.snapshots(services, dataset, state, query.before, query.limit)
        refused = status.refused(services, dataset)
        if dataset:
            return {**pages.snapshots(services, dataset, limit=query.limit), "refused": refused}
        wrong = damage.on_record(services)
        newest = pages.snapshots(services, limit=query.limit, damaged=damage.damaged_snapshots(wrong))
        more: dict[str, object] = {"damaged": status.damaged(wrong), "not_allowed": status.not_allowed(services)}
        if untold := status.notifications(services):
            more["notifications"] = untold
        if services.settings.import_sources and (going_on := imports.newest(services, only_open=True)):
            more["imports"] = going_on
        return {**newest, "refused": refused, **more}

    return answers.listed(req, pages.FILTERS, page, pages.check)


@web.route(
    blueprint,
    "GET",
    "refusals",
    errors=LIST_ERRORS,
    query=(("dataset", "Only those that may have been meant for this dataset."), *PAGE),
)
def list_refusals(req: Request) -> Response:
    """A page of the uploads that make no snapshot, newest first, each with the reason and the right form."""
    from shared.operations import refused

    return answers.listed(req, refused.FILTERS, refused.page)


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
    from shared.operations import datasets

    return answers.listed(req, datasets.FILTERS, datasets.page, datasets.check)


@web.route(blueprint, "GET", "snapshots/{id}", errors=STATUS_ERRORS)
def get_snapshot(req: Request) -> Response:
    """Everything about one snapshot."""
    from shared.operations import status

    return answers.of_snapshot(req, status.snapshot)


@web.route(blueprint, "GET", "snapshots/{id}/report", errors=STATUS_ERRORS)
def get_report(req: Request) -> Response:
    """A snapshot's validation report: every finding with its rows."""
    from shared.operations import documents

    missing = "that snapshot has no report yet; GET /api/snapshots/{id} says where it is"
    return answers.of_snapshot(req, documents.report, missing)


@web.route(blueprint, "GET", "snapshots/{id}/evaluation", errors=STATUS_ERRORS)
def get_evaluation(req: Request) -> Response:
    """Every prompt that the gate asked a snapshot's model, with the answers and how they were judged."""
    from shared.operations import documents

    missing = "the gate has not judged that snapshot; GET /api/snapshots/{id} says where it is"
    return answers.of_snapshot(req, documents.evaluation, missing)


@web.route(blueprint, "GET", "snapshots/{id}/logs", errors=STATUS_ERRORS)
def get_logs(req: Request) -> Response:
    """The ends of the logs of a snapshot's training steps and deployments that failed."""
    from shared.operations import documents

    return answers.of_snapshot(req, documents.logs)


@web.route(blueprint, "GET", "snapshots/{id}/training", errors=STATUS_ERRORS)
def get_training(req: Request) -> Response:
    """How far a snapshot's training is: step, loss and the other metrics that its job logs, and the time left."""
    from shared.operations import training

    missing = "that snapshot has no training job yet; GET /api/snapshots/{id} says where it is"
    return answers.of_snapshot(req, training.training, missing)


@web.route(blueprint, "GET", "datasets/{name}", errors=STATUS_ERRORS)
def get_dataset(req: Request) -> Response:
    """Everything about one dataset and what it serves."""
    from shared.operations import status

    return answers.of_dataset(req, status.dataset)


@web.route(
    blueprint,
    "GET",
    "datasets/{name}/deletion",
    errors=STATUS_ERRORS,
    query=(("files", "`true`: as if what was dropped were to go as well."),),
)
def plan_deletion(req: Request) -> Response:
    """What the deletion of a dataset would take away, what it would leave, and what the dataset costs now."""
    from shared.operations import deletion_plan

    with_files = web.is_true(req, "files")
    return answers.of_dataset(req, lambda services, name: deletion_plan.plan(services, name, with_files))


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
