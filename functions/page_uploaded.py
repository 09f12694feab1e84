"""Somebody drops a file on the page (HTTP): it goes into storage piece by piece, and leads to where it is checked.

A form without JavaScript does it as well. The visitor and the form's token are looked at before any byte is kept.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import azure.functions as func

from functions import forms, page_site, web
from functions.forms import FilePiece
from functions.web import Request, Response
from shared import runtime
from shared.errors import PipelineError

if TYPE_CHECKING:
    from shared.ui.sign_in import Visitor
    from shared.ui.upload import PageUpload

blueprint = func.Blueprint()
# What a form has beside its file.
_REST = 10_000


class _NotOwnForm(Exception):
    """The form was not sent by a page that was made for this visitor."""


@web.page_route(blueprint, "GET", "ui/upload")
def show_upload(req: Request) -> Response:
    """The form to upload a file with."""

    from shared.ui import upload

    dataset = req.query_params.get("dataset", "")[:100]
    return page_site.shown(req, "upload", lambda services: upload.view(services, dataset))


@web.page_route(blueprint, "POST", "ui/upload")
async def upload_file(req: Request) -> Response:
    """Takes a file, and leads to the snapshot that it makes."""
    from shared.snapshots.paths import InvalidUpload

    visitor = page_site.acting_visitor(req, "upload")
    if isinstance(visitor, Response):
        return visitor
    fields: dict[str, str] = {}
    most = runtime.settings().page_upload_mb * 1_000_000
    try:
        snapshot = await _take(req, visitor, fields, most)
    except _NotOwnForm:
        return page_site.message(visitor, 403, "Not from here", page_site.NOT_FROM_HERE)
    except web.BodyTooLarge:
        larger = f"A file here has at most {most // 1_000_000} MB: drop larger ones with `droptune drop FILE`."
        return await _again(visitor, fields, larger, 413)
    except (forms.BadForm, InvalidUpload) as error:
        return await _again(visitor, fields, str(error), 400)
    except PipelineError as error:
        return await _again(visitor, fields, f"{error}. Nothing was kept: try again.", 503)
    if snapshot is None:  # such as one from before `ACCEPT_SINCE`
        return page_site.redirect(req, page_site.address("snapshots", {"dataset": fields["dataset"]}))
    return page_site.redirect(req, page_site.address(f"snapshots/{snapshot}"))


async def _take(req: Request, visitor: Visitor, fields: dict[str, str], most: int) -> str | None:
    """The snapshot that the form's file makes. The fields before it are put into `fields`."""
    from shared.ui.sign_in import is_own_form
    from shared.ui.upload import EmptyUpload, PageUpload

    upload: PageUpload | None = None
    async for item in forms.items(req, most + _REST):
        if not isinstance(item, FilePiece):
            fields[item.name] = item.text
            continue
        if upload is None:
            if not is_own_form(visitor, fields.get("token", ""), req.headers):
                raise _NotOwnForm
            services = await asyncio.to_thread(runtime.services)
            upload = PageUpload(services, fields.get("dataset", "").strip(), item.filename)
        await _write(upload, item.data)
        if item.last:
            return await asyncio.to_thread(upload.finish)
    if not is_own_form(visitor, fields.get("token", ""), req.headers):
        raise _NotOwnForm
    raise EmptyUpload("Choose a file first.")


async def _write(upload: PageUpload, data: bytes) -> None:
    """Keeps some bytes; a thread of its own waits for storage."""
    if upload.sends_soon:
        await asyncio.to_thread(upload.write, data)
    else:
        upload.write(data)


async def _again(visitor: Visitor, fields: dict[str, str], wrong: str, status: int) -> Response:
    """The form once more, with what is wrong and the dataset that was typed."""
    from shared.ui import upload

    services = await asyncio.to_thread(runtime.services)
    view = await asyncio.to_thread(upload.view, services, fields.get("dataset", "")[:100], wrong)
    return page_site.page(view, visitor, status)
