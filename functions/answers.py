"""The answers of the routes for programs: what was found, or what was taken to be done, or why neither, as JSON.

Called by the HTTP functions but those that ask a model, whose errors are those of the chat protocol. One table says
which error has which status, so that it is the same on every route. A repeat asks again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from functions import web
from functions.web import Request, Response
from shared import runtime
from shared.errors import BadRequest, BadSnapshot, NotAllowed, NotFound, PipelineError, TemporaryError

if TYPE_CHECKING:
    from shared.operations.paging import PageQuery
    from shared.runtime import Services

    type Page = Callable[[Services, PageQuery], object]

log = logging.getLogger(__name__)

# When to come back (s) where storage, or the row, is out of reach.
AGAIN_SECONDS = 10


def found(ask: Callable[[], object], unknown: str | Callable[[], str] = "") -> Response:
    """What was asked for, as JSON; else the refusal of the error, a 404 with the text `unknown`."""
    import msgspec

    try:
        return web.answer(msgspec.to_builtins(ask()))
    except PipelineError as error:
        return refused(error, unknown)


def listed(req: Request, filters: Collection[str], page: Page, check: Callable[[PageQuery], object] = bool) -> Response:
    """A page of a list that has these filters. `check` raises BadRequest before anything is connected."""
    from shared.operations import paging

    def ask() -> object:
        query = paging.page_query(req.query_params, filters)
        check(query)
        return page(runtime.services(), query)

    return found(ask)


def of_snapshot(req: Request, show: Callable[[Services, str], object], missing: str = "") -> Response:
    """What is shown of the snapshot that the route names, by its id, the beginning of one, or a dataset for its newest.

    `missing`: what to say of one that is there, but not what was asked for.
    """
    from shared.operations import names

    def ask() -> object:
        services = runtime.services()
        return show(services, names.snapshot_id(services, req.path_params["id"]))

    def unknown() -> str:
        services = runtime.services()
        try:
            services.ledger.read(f"snapshot/{names.snapshot_id(services, req.path_params['id'])}")
        except NotFound:
            return _unknown(req)
        return missing or _unknown(req)

    return found(ask, unknown)


def of_dataset(req: Request, show: Callable[[Services, str], object]) -> Response:
    """What is shown of the dataset that the route names."""
    return found(lambda: show(runtime.services(), req.path_params["name"]), lambda: _unknown(req))


def acted(req: Request, act: Callable[..., object]) -> Response:
    """202 with what becomes of what the caller asks for; 409 where it cannot be done now.

    `act` is given the services, the name in the route if it has one, and as `by` who asks.
    """
    from shared.operations.actions import ActionAnswer

    named = [req.path_params[name] for name in ("id", "name") if name in req.path_params]
    try:
        answer = act(runtime.services(), *named, by=web.caller_name(req))
    except PipelineError as error:
        return refused(error, lambda: _unknown(req), otherwise=409)
    assert isinstance(answer, ActionAnswer)
    return web.answer({"message": answer.text}, 202) if answer.done else web.refusal(409, "not_now", answer.text)


def refused(error: PipelineError, unknown: str | Callable[[], str] = "", otherwise: int = 503) -> Response:
    """The refusal of an error: 400 for what cannot be asked for, 403 for what the settings do not allow, 404 with the
    text `unknown`, 503 while storage or the row is out of reach; `otherwise`: 503, or 409 where the state of things is
    in the way."""
    from shared.operations.names import UnclearName

    match error:
        case BadRequest() | BadSnapshot():
            return web.refusal(400, "invalid_request", str(error))
        case NotAllowed():
            return web.refusal(403, "not_allowed", str(error))
        case UnclearName():
            return web.refusal(404, "not_found", str(error))
        case NotFound():
            log.info("asked for something unknown: %s", error)
            return web.refusal(404, "not_found", unknown if isinstance(unknown, str) else unknown())
        case TemporaryError():
            return web.refusal(503, "unavailable", str(error), AGAIN_SECONDS)
    if otherwise == 409:
        return web.refusal(409, "conflict", str(error))
    return web.refusal(503, "unavailable", str(error), AGAIN_SECONDS)


def _unknown(req: Request) -> str:
    """What to say of the name that the route has, which nothing has."""
    from shared.operations import names

    if snapshot := req.path_params.get("id"):
        return names.unknown_snapshot(runtime.services(), snapshot)
    return names.unknown_dataset(runtime.services(), req.path_params["name"])
