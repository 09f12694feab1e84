"""Somebody wants a dataset of the Hub on the page (HTTP): the form, the question, the import and how far it is.

The form is sent by GET and changes nothing: it leads to the question. Only the question's form begins an import, which
is the same act as the route's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import azure.functions as func

from functions import page_site, web
from functions.web import Request, Response
from shared import runtime
from shared.errors import BadRequest, NotAllowed

if TYPE_CHECKING:
    from shared.ledger.imports import ImportRequest
    from shared.runtime import Services
    from shared.ui.sign_in import Visitor
    from shared.ui.view import View

blueprint = func.Blueprint()


@web.page_route(blueprint, "GET", "ui/imports")
def show_imports(req: Request) -> Response:
    """A page of imports from the Hub."""
    from shared.ui import imports

    return page_site.shown(req, "imports", lambda services: imports.import_list(services, req.query_params))


@web.page_route(blueprint, "GET", "ui/imports/new")
def ask_about_import(req: Request) -> Response:
    """The form for an import; once it is filled in, the question whether it is to begin."""
    from shared.ui import imports

    fields = req.query_params

    def view(services: Services) -> View:
        if not imports.given(fields) or "change" in fields:
            return imports.form(services, fields)
        try:
            return imports.question(services, _request(fields), fields)
        except (BadRequest, NotAllowed) as error:
            return imports.form(services, fields, str(error))

    return page_site.shown(req, "imports/new", view)


@web.page_route(blueprint, "POST", "ui/imports")
async def begin_import(req: Request) -> Response:
    """Begins an import, or finds the one that was begun in the same words, and leads to it."""
    from shared.operations import imports
    from shared.ui.imports import form
    from shared.ui.view import PageNotice

    def begin(visitor: Visitor, fields: dict[str, str]) -> Response:
        services = runtime.services()
        try:
            begun = imports.start(services, _request(fields), visitor.name)
        except (BadRequest, NotAllowed) as error:
            return page_site.page(form(services, fields, str(error)), visitor)
        return page_site.redirect(req, page_site.address(f"imports/{begun.id}"), PageNotice(text=begun.text))

    return await page_site.acted(req, "imports/new", begin)


@web.page_route(blueprint, "GET", "ui/imports/{id}")
def show_import(req: Request) -> Response:
    """One import: how far it is, what became of its rows, and its snapshot."""
    from shared.ui import imports

    name = req.path_params["id"]
    return page_site.shown(req, f"imports/{name}", lambda services: imports.one(services, name))


def _request(fields: Mapping[str, str]) -> ImportRequest:
    """What the form asks for. Raises BadRequest."""
    from pydantic import ValidationError

    from shared.ledger.imports import ImportRequest
    from shared.serving.requests import ImportBody
    from shared.ui.imports import body

    try:
        return ImportRequest(**ImportBody.model_validate(body(fields)).model_dump())
    except ValidationError as error:
        raise BadRequest(str(web.malformed(error))) from None  # its text holds what was sent
