"""Somebody opens the page in a browser (HTTP): the views, the form to sign in, the stylesheet and the script.

The platform lets everybody in here, since a browser cannot send a function key without showing it in the address. So
the app asks who it is before a view is made.
"""

from __future__ import annotations

import azure.functions as func

from functions import forms, page_cookies, page_site, web
from functions.page_site import HOME
from functions.web import Request, Response

blueprint = func.Blueprint()

_FOR_EVER = "public, max-age=31536000, immutable"


@blueprint.route(route="{nothing:maxlength(0)?}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def open_root(req: Request) -> Response:
    """The app's own address leads to the page."""
    return Response(status_code=302, headers={"Location": HOME, "Cache-Control": "no-store"})


@web.page_route(blueprint, "GET", "ui")
def show_overview(req: Request) -> Response:
    """What waits for a person, what is live and what it costs, what was dropped last."""
    from shared.ui import home

    return page_site.shown(req, "", home.view)


@web.page_route(blueprint, "GET", "ui/datasets")
def show_datasets(req: Request) -> Response:
    """A page of datasets, with filters."""
    from shared.ui import lists

    return page_site.shown(req, "datasets", lambda services: lists.dataset_list(services, req.query_params))


@web.page_route(blueprint, "GET", "ui/datasets/{name}")
def show_dataset(req: Request) -> Response:
    """One dataset: what answers, its traffic, its calls, its releases."""
    from shared.ui import dataset

    name = req.path_params["name"]
    return page_site.shown(req, f"datasets/{name}", lambda services: dataset.view(services, name))


@web.page_route(blueprint, "GET", "ui/snapshots")
def show_snapshots(req: Request) -> Response:
    """A page of snapshots, with filters."""
    from shared.ui import lists

    return page_site.shown(req, "snapshots", lambda services: lists.snapshots(services, req.query_params))


@web.page_route(blueprint, "GET", "ui/snapshots/{id}")
def show_snapshot(req: Request) -> Response:
    """One snapshot: its timeline, its report, its answers, its logs."""
    from shared.ui import snapshot

    name = req.path_params["id"]
    return page_site.shown(req, f"snapshots/{name}", lambda services: snapshot.view(services, name))


@web.page_route(blueprint, "GET", "ui/nights")
def show_nights(req: Request) -> Response:
    """A page of the nightly reports, with the money saved."""
    from shared.ui import nights

    return page_site.shown(req, "nights", lambda services: nights.night_list(services, req.query_params))


@web.page_route(blueprint, "GET", "ui/nights/{night}")
def show_night(req: Request) -> Response:
    """One night's report."""
    from shared.ui import nights

    night = req.path_params["night"]
    return page_site.shown(req, f"nights/{night}", lambda services: nights.night(services, night))


@web.page_route(blueprint, "GET", "ui/sign-in")
async def show_sign_in(req: Request) -> Response:
    """The form to sign in."""
    return page_site.sign_in_page(req, HOME)


@web.page_route(blueprint, "POST", "ui/sign-in")
async def sign_in(req: Request) -> Response:
    """Takes a key, or a ticket that was signed with one, and gives the browser a session for it."""
    try:
        form = await forms.fields(req)
    except (forms.BadForm, web.BodyTooLarge) as error:
        return page_site.message(None, 400, "Not a form", str(error))
    wanted = page_site.safe_address(form.get("next", ""))
    if form.get("ticket"):
        return _entered(form, wanted)
    if req.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return page_site.message(None, 403, "Not from here", "Sign in on the app's own page.")
    session = page_site.access().sign_in(form.get("key", ""), form.get("name", ""))
    if session is None:
        return page_site.sign_in_page(req, wanted, wrong=True)
    response = page_site.redirect(req, wanted)
    page_cookies.keep_session(response, session, secure=page_cookies.is_secure(req))
    return response


def _entered(form: dict[str, str], wanted: str) -> Response:
    """The way to what is wanted, with the session for a ticket. It comes from a file of whoever has the key (`droptune
    open`), and so from elsewhere; no other site can make one. One that is over leads to the form to sign in."""
    response = page_site.from_here(wanted)
    session = page_site.access().enter(form["ticket"])
    if session is not None:
        page_cookies.keep_session(response, session, secure=not form.get("plain"))
    return response


@web.page_route(blueprint, "POST", "ui/sign-out")
async def sign_out(req: Request) -> Response:
    """Has the browser forget the session."""
    visitor = page_site.visitor_of(req)
    if visitor is not None:
        form = await page_site.own_form(req, visitor)
        if isinstance(form, Response):
            return form
    response = page_site.redirect(req, HOME)
    page_cookies.forget_session(response)
    return response


@web.page_route(blueprint, "GET", "ui/{asset}")
async def get_asset(req: Request) -> Response:
    """The page's stylesheet, script or icon."""
    from shared.ui import assets

    name = req.path_params["asset"]
    try:
        content = assets.content(name)
    except KeyError:
        return page_site.message(page_site.visitor_of(req), 404, "Not found", "There is nothing at this address.")
    kept = {"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"}
    return Response(content, 200, kept, assets.KINDS[name])
