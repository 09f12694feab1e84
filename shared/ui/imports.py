"""The views of imports from the Hub: the list, one import, the form for a new one and the question before it begins.

Called by the page's functions. Reads only; what is asked for goes through the model of `POST /api/imports`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.conversion.recognition import SHAPES
from shared.ledger.imports import ImportRequest, ImportState
from shared.operations import imports, paging
from shared.ui.lists import neighbours
from shared.ui.view import LATER, SOON, View

if TYPE_CHECKING:
    from shared.runtime import Services

# The fields of the form, by the names that the route has for them.
FIELDS = (
    "source", "dataset", "subset", "revision", "splits", "fraction", "rows", "seed", "shape", "user", "assistant",
    "system", "turns",
)  # fmt: skip
_LISTS = ("splits", "user")
_LONGEST = 500


def given(fields: Mapping[str, str]) -> dict[str, str]:
    """What was typed into the form, without what was left empty."""
    return {name: text for name in FIELDS if (text := fields.get(name, "").strip()[:_LONGEST])}


def body(fields: Mapping[str, str]) -> dict[str, Any]:
    """The same as the route's body."""
    return {
        name: [part for one in text.split(",") if (part := one.strip())] if name in _LISTS else text
        for name, text in given(fields).items()
    }


def form(services: Services, fields: Mapping[str, str], wrong: str = "") -> View:
    """The form, with what was typed and what is wrong with it."""
    sources = services.settings.import_sources
    values = {
        "given": dict.fromkeys(FIELDS, "") | given(fields),
        "wrong": wrong,
        "sources": sources,
        "shapes": sorted(SHAPES),
        "known": sorted(found.name for found in services.ledger.datasets())[:200],
    }
    return View(
        "import_form.html", "Import from the Hub", values, here="upload", refresh=0, status=400 if wrong else 200
    )


def question(services: Services, request: ImportRequest, fields: Mapping[str, str]) -> View:
    """What would be imported, once more before it is. Raises NotAllowed, BadRequest for what would be refused."""
    imports.check(services, request)
    values = {"given": given(fields), "request": request, "limits": services.settings}
    return View("import_question.html", f"Import {request.source}?", values, here="upload", refresh=0)


def import_list(services: Services, asked: Mapping[str, str]) -> View:
    """A page of imports, newest first. Raises BadPageQuery."""
    query = paging.page_query(asked, imports.FILTERS)
    found = imports.page(services, query)
    values = {
        "imports": found.imports,
        "sources": services.settings.import_sources,
        **neighbours("imports", query, found.next),
    }
    return View("imports.html", "Imports", values, here="upload")


def one(services: Services, import_id: str) -> View:
    """One import: how far it is, what became of its rows, and its snapshot. Raises NotFound, Damaged."""
    found = imports.show(services, import_id)
    busy = found["state"] in (ImportState.ASKED, ImportState.IMPORTING)
    asked = {name: value for name in FIELDS if (value := found["request"].get(name))}
    values = {"found": found, "asked": asked}
    return View("import.html", f"Import of {asked['source']}", values, here="upload", refresh=SOON if busy else LATER)
