"""The views of the nightly reports: which endpoints were put to sleep, and what that saved. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.operations import documents, night_preview, nightly, paging
from shared.ui.lists import neighbours
from shared.ui.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.runtime import Services


def night_list(services: Services, asked: Mapping[str, str]) -> View:
    """A page of nights, newest first. Raises BadPageQuery."""
    query = paging.page_query(asked, nightly.FILTERS)
    found = nightly.page(services, query)
    values = {"nights": found.nights, **neighbours("nights", query, found.next)}
    return View("nights.html", "Nights", values, here="nights", refresh=0)


def question(services: Services) -> View:
    """What the nightly round would do now, before it is made. Raises what the ledger raises."""
    plan = night_preview.preview(services)
    values = {
        "plan": plan,
        "asleep": sum(one.asked_to_sleep for one in plan.datasets),
        "files": sum(one.blobs for one in plan.deletes),
        "size": sum(one.size for one in plan.deletes),
    }
    return View("night_question.html", "Run the night now?", values, here="nights", refresh=0)


def night(services: Services, name: str) -> View:
    """One night's report. Raises NotFound, Damaged."""
    found = documents.night(services, name)
    return View("night.html", f"Night of {name[:10]}", {"report": found}, here="nights", refresh=0)
