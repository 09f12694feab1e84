"""Somebody acts on the page (HTTP): the forms that change something, and the pages that ask once more before.

Each form is taken only from a visitor who may act, sent by a page that was made for them. What becomes of it is shown
on the page that they are led to, so that a reload does nothing again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import azure.functions as func

from functions import page_site, web
from functions.web import Request, Response
from shared import runtime
from shared.errors import NotFound, PipelineError

if TYPE_CHECKING:
    from shared.operations.actions import ActionAnswer
    from shared.ui.sign_in import Visitor
    from shared.ui.view import PageNotice, View

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@web.page_route(blueprint, "GET", "ui/datasets/{name}/{action}")
def ask_about_dataset(req: Request) -> Response:
    """Asks once more before something is done with a dataset."""
    return _question(req, "datasets", req.path_params["name"])


@web.page_route(blueprint, "POST", "ui/datasets/{name}/{action}")
async def act_on_dataset(req: Request) -> Response:
    """Does what is asked for with a dataset: wake, sleep, go back, go on, pause, delete."""
    return await _act(req, "datasets", req.path_params["name"])


@web.page_route(blueprint, "GET", "ui/snapshots/{id}/{action}")
def ask_about_snapshot(req: Request) -> Response:
    """Asks once more before something is done with a snapshot."""
    return _question(req, "snapshots", req.path_params["id"])


@web.page_route(blueprint, "POST", "ui/snapshots/{id}/{action}")
async def act_on_snapshot(req: Request) -> Response:
    """Does what is asked for with a snapshot: try again, take it all the same, cancel."""
    return await _act(req, "snapshots", req.path_params["id"])


@web.page_route(blueprint, "GET", "ui/nights/run")
def ask_about_night(req: Request) -> Response:
    """What the nightly round would do now, and whether it is to be made."""
    from shared.ui import nights

    return page_site.shown(req, "nights/run", nights.question)


@web.page_route(blueprint, "POST", "ui/nights/run")
async def make_night(req: Request) -> Response:
    """Has the nightly round made now."""
    from shared.operations import nightly

    def make(visitor: Visitor, _: dict[str, str]) -> Response:
        notice = _done(lambda: nightly.ask_for_round(runtime.services(), visitor.name))
        return page_site.redirect(req, page_site.address("nights"), notice)

    return await page_site.acted(req, "nights/run", make)


@web.page_route(blueprint, "GET", "ui/datasets/{name}/ask")
def show_try_box(req: Request) -> Response:
    """The box to try the model of a dataset."""
    from shared.ui import try_box

    name = req.path_params["name"]
    return page_site.shown(req, f"datasets/{name}/ask", lambda services: try_box.empty(services, name))


@web.page_route(blueprint, "POST", "ui/datasets/{name}/ask")
async def try_model(req: Request) -> Response:
    """Asks the model of a dataset one question, and shows its answer."""
    from shared.ui import try_box

    name = req.path_params["name"]
    sent = await page_site.acting_form(req, f"datasets/{name}")
    if isinstance(sent, Response):
        return sent
    visitor, form = sent
    question, system = form.get("question", ""), form.get("system", "")
    if wrong := try_box.problem(question):
        return page_site.page(try_box.view(name, question, system, wrong), visitor, 400)
    view, status = await _asked(req, name, question, system)
    return page_site.page(view, visitor, status)


async def _asked(req: Request, name: str, question: str, system: str) -> tuple[View, int]:
    """The view with the model's answer, or with what came in its place; and the status of either."""
    from functions.chat_requested import chat_service
    from shared.serving.protocol import ApiError
    from shared.ui import try_box

    started = time.perf_counter()
    try:
        service = await chat_service()
        answer = await web.unless_left(req, service.answer(try_box.call(name, question, system, web.request_id(req))))
    except ApiError as error:
        return try_box.view(name, question, system, try_box.in_words(error)), error.status
    except web.CallerLeft:
        return try_box.view(name, question, system), 499
    seconds = time.perf_counter() - started
    return try_box.view(name, question, system, answer=answer, seconds=seconds), 200


def _question(req: Request, kind: str, name: str) -> Response:
    """The page that asks whether something is to be done."""
    from shared.ui import confirm

    action = req.path_params["action"]
    path = f"{kind}/{name}/{action}"
    return page_site.shown(req, path, lambda services: confirm.view(services, kind, name, action))


async def _act(req: Request, kind: str, name: str) -> Response:
    from shared.ui.page_actions import action_of

    def act(visitor: Visitor, form: dict[str, str]) -> Response:
        action = action_of(kind, req.path_params["action"])
        if action.typed and form.get("typed", "").strip() != name:
            return page_site.redirect(req, page_site.address(f"{kind}/{name}/{action.name}"), _wrong_name(name))
        notice = _done(lambda: action.act(runtime.services(), name, visitor.name, form))
        # What is deleted may be gone by the time that its page is asked for.
        gone = action.name == "delete" and not notice.bad
        return page_site.redirect(req, page_site.address(kind if gone else f"{kind}/{name}"), notice)

    return await page_site.acted(req, f"{kind}/{name}", act)


def _done(act: Callable[[], ActionAnswer]) -> PageNotice:
    """What became of it, in the words of the function that did it. Raises NotFound."""
    from shared.ui.view import PageNotice

    try:
        answer = act()
    except NotFound:
        raise
    except PipelineError as error:
        log.warning("what a visitor asked for could not be done: %s", error)
        return PageNotice(text=str(error), bad=True)
    return PageNotice(text=answer.text, bad=not answer.done)


def _wrong_name(name: str) -> PageNotice:
    from shared.ui.view import PageNotice

    return PageNotice(text=f"Nothing was done: type {name} to say that you mean it.", bad=True)
