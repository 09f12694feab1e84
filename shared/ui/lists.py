"""The views that are lists, page by page: snapshots and datasets, with filters. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from shared.operations import datasets, pages, paging
from shared.ui.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.runtime import Services


def snapshots(services: Services, asked: Mapping[str, str]) -> View:
    """A page of snapshots, of one dataset or in one state if that is asked for. Raises BadPageQuery."""
    query = paging.page_query(asked, pages.FILTERS)
    dataset, state = pages.check(query)
    found = pages.snapshots(services, dataset, state, query.before, query.limit)
    values = {
        "snapshots": found["snapshots"],
        "next": _next("snapshots", query.filters, found["next"]),
        "dataset": dataset,
        "state": state,
        "states": sorted(pages.STATES),
        "first": not query.before,
    }
    return View("snapshots.html", "Snapshots", values, here="snapshots")


def dataset_list(services: Services, asked: Mapping[str, str]) -> View:
    """A page of datasets, whose names begin as asked or that are in one state. Raises BadPageQuery."""
    query = paging.page_query(asked, datasets.FILTERS)
    state, sort = datasets.check(query)
    found = datasets.page(services, query)
    values = {
        "datasets": found.datasets,
        "total": found.total,
        "currency": found.currency,
        "next": _next("datasets", query.filters, found.next),
        "prefix": query.filter("prefix"),
        "state": state,
        "sort": sort,
        "states": sorted(datasets.STATES),
        "first": not query.before,
    }
    return View("datasets.html", "Datasets", values, here="datasets")


def _next(path: str, filters: Mapping[str, str], before: str | None) -> str:
    """The address of the page after this one, or nothing."""
    return f"{path}?{urlencode({**filters, 'before': before})}" if before else ""
