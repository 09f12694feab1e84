"""What all functions of the page have in common: who is signed in, HTML and its headers, errors as pages.

Called by the functions that show the page and by those that act for it. A visitor is known before a view is made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import cache
from time import time as now
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from functions import forms, page_cookies, web
from functions.web import Request, Response
from shared import runtime
from shared.errors import BadRequest, Damaged, NotFound, PipelineError

if TYPE_CHECKING:
    from shared.runtime import Services
    from shared.ui.sign_in import PageAccess, Visitor
    from shared.ui.view import PageNotice, View

log = logging.getLogger(__name__)

HOME = "/api/ui"
NOT_FROM_HERE = (
    "This form was not sent by a page that was made for you just now. Open the page again and try once more."
)
# Nothing is loaded but the app's own files, nothing written into the page runs, and nobody shows it in a frame.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def shown(req: Request, path: str, make: Callable[[Services], View]) -> Response:
    """The view at a path below the page's own, for somebody who is signed in; else the form to sign in, and for what
    cannot be shown a page that says why."""
    visitor = visitor_of(req)
    if visitor is None:
        return sign_in_page(req, address(path, req.query_params))
    try:
        return page(make(runtime.services()), visitor, notice=page_cookies.notice_in(req))
    except PipelineError as error:
        return failed(visitor, error)


def failed(visitor: Visitor, error: PipelineError) -> Response:
    """The page that says why something cannot be shown, or be done."""
    match error:
        case NotFound():
            return message(visitor, 404, "Not found", "There is nothing of that name, or it was removed.")
        case BadRequest():
            return message(visitor, 400, "That cannot be asked for", str(error))
        case Damaged():
            return message(visitor, 503, "It cannot be read", str(error))
    log.warning("a page could not be shown: %s", error)
    return message(visitor, 503, "Not now", f"{error}. Reload the page in a moment.")


def acting_visitor(req: Request, path: str) -> Visitor | Response:
    """Somebody who may act; else the page that says why nothing is done. `path`: where a sign-in leads to."""
    visitor = visitor_of(req)
    if visitor is None:
        return sign_in_page(req, address(path))
    if not visitor.may_act:
        return message(visitor, 403, "You may only look", "Your key or account opens the page for reading.")
    return visitor


async def acted(req: Request, path: str, act: Callable[[Visitor, dict[str, str]], Response]) -> Response:
    """What `act` answers, in a thread, to the form of somebody who may act; else the page that says why not."""
    sent = await acting_form(req, path)
    if isinstance(sent, Response):
        return sent
    visitor, fields = sent
    try:
        return await asyncio.to_thread(act, visitor, fields)
    except PipelineError as error:
        return failed(visitor, error)


async def acting_form(req: Request, path: str) -> tuple[Visitor, dict[str, str]] | Response:
    """Somebody who may act, with the fields of their form; else the page that says why nothing is done."""
    visitor = acting_visitor(req, path)
    if isinstance(visitor, Response):
        return visitor
    form = await own_form(req, visitor)
    return form if isinstance(form, Response) else (visitor, form)


def page(view: View, visitor: Visitor | None, status: int = 0, notice: PageNotice | None = None) -> Response:
    """A view as an answer, with a status of its own or that of the view; a notice is shown this one time."""
    from shared.ui import assets
    from shared.ui.view import html

    text = html(view, visitor, now(), assets.version(), notice)
    response = Response(text, status or view.status, HEADERS, "text/html")
    if visitor is not None and visitor.new_cookie:
        page_cookies.keep_session(response, visitor.new_cookie, secure=True)
    if notice is not None:
        page_cookies.forget_notice(response)
    return response


async def own_form(req: Request, visitor: Visitor) -> dict[str, str] | Response:
    """The fields of a form that was sent by a page made for this visitor; for any other a page that says why not."""
    from shared.ui.sign_in import is_own_form

    try:
        form = await forms.fields(req)
    except (forms.BadForm, web.BodyTooLarge) as error:
        return message(visitor, 400, "Not a form", str(error))
    if not is_own_form(visitor, form.get("token", ""), req.headers):
        return message(visitor, 403, "Not from here", NOT_FROM_HERE)
    return form


def message(visitor: Visitor | None, status: int, title: str, text: str) -> Response:
    """A page that only says something."""
    from shared.ui.view import View

    return page(View("message.html", title, {"text": text}, refresh=0), visitor, status)


def redirect(req: Request, to: str, notice: PageNotice | None = None) -> Response:
    """See what became of it there: a reload does not do it again. The notice goes with it, in a cookie."""
    response = Response(status_code=303, headers={**HEADERS, "Location": to})
    if notice is not None:
        page_cookies.keep_notice(response, notice, secure=page_cookies.is_secure(req))
    return response


def sign_in_page(req: Request, wanted: str, wrong: bool = False) -> Response:
    """The form to sign in, which leads back to what was asked for.

    A link on another site is followed without the cookie: the browser keeps that for visits from here. So the first
    answer to one has it ask again, from here.
    """
    from shared.ui.view import View

    from_elsewhere = req.headers.get("sec-fetch-site", "") in ("cross-site", "same-site")
    if from_elsewhere and req.method == "GET":
        return from_here()
    possible = access().has_keys
    view = View("sign_in.html", "Sign in", {"next": wanted, "wrong": wrong, "possible": possible}, refresh=0)
    return page(view, None, 401)


def from_here(to: str = "") -> Response:
    """Has the browser ask for an address of the page from here, so that it sends its cookies; empty: the same again."""
    response = Response(_FROM_HERE, 200, HEADERS, "text/html")
    response.headers["Refresh"] = f"0; url={to}" if to else "0"
    return response


_FROM_HERE = '<!doctype html><html lang="en"><title>Droptune</title><p>Opening the page.</p></html>'


def address(path: str, query: Mapping[str, str] | None = None) -> str:
    """The address of a path below the page's own, with a query."""
    below = "/".join(quote(part, safe="") for part in path.split("/") if part)
    asked = f"?{urlencode(query)}" if query else ""
    return f"{HOME}/{below}{asked}" if below else f"{HOME}{asked}"


def safe_address(given: str) -> str:
    """An address of the page itself; its beginning in place of any other one."""
    own = given == HOME or given.startswith((f"{HOME}/", f"{HOME}?"))
    plain = all(" " < c < "\x7f" and c != "\\" for c in given)
    return given if own and plain and ".." not in given and len(given) < 2000 else HOME


def visitor_of(req: Request) -> Visitor | None:
    """Whoever asks, if they are signed in."""
    return access().visitor(page_cookies.session_in(req), req.headers)


@cache
def access() -> PageAccess:
    """Who may open the page, by this process's settings."""
    from shared.config.groups.values import keys_in
    from shared.ui.sign_in import PageAccess

    given = runtime.settings()
    return PageAccess(keys_in(given.page_keys), keys_in(given.page_reader_keys), given.page_accounts, now)
