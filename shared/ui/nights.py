"""The views of the nightly reports: which endpoints were put to sleep, and what that saved. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from shared.operations import documents, nightly, paging
from shared.ui.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.runtime import Services

_FILTERS = ("month",)


def night_list(services: Services, asked: Mapping[str, str]) -> View:
    """A page of nights, newest first. Raises BadPageQuery."""
    query = paging.page_query(asked, _FILTERS)
    found = nightly.page(services, query)
    more = f"nights?{urlencode({**query.filters, 'before': found.next})}" if found.next else ""
    values = {
        "nights": found.nights,
        "next": more,
        "first": not query.before,
        "month": query.filter("month"),
        "schedule": services.settings.sleep_schedule,
    }
    return View("nights.html", "Nights", values, here="nights", refresh=0)


def night(services: Services, name: str) -> View:
    """One night's report. Raises NotFound, Damaged."""
    found = documents.night(services, name)
    return View("night.html", f"Night of {name[:10]}", {"report": found}, here="nights", refresh=0)
