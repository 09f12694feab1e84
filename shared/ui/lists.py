"""The views that are lists, page by page: snapshots and datasets, with filters. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from shared.operations import datasets, pages, paging
from shared.ui.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.operations.paging import PageQuery
    from shared.runtime import Services


def snapshots(services: Services, asked: Mapping[str, str]) -> View:
    """A page of snapshots, of one dataset or in one state if that is asked for. Raises BadPageQuery."""
    query = paging.page_query(asked, pages.FILTERS)
    dataset, state = pages.check(query)
    found = pages.snapshots(services, dataset, state, query.before, query.limit)
    values = {
        "snapshots": found["snapshots"],
        **neighbours("snapshots", query, found["next"]),
        "dataset": dataset,
        "state": state,
        "states": sorted(pages.STATES),
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
        **neighbours("datasets", query, found.next),
        "prefix": query.filter("prefix"),
        "state": state,
        "sort": sort,
        "states": sorted(datasets.STATES),
    }
    return View("datasets.html", "Datasets", values, here="datasets")


def neighbours(path: str, query: PageQuery, before: str | None) -> dict[str, str]:
    """The addresses of the `first` page of a list and of the `next` one, with its filters; empty where one is there."""

    def address(**more: str) -> str:
        asked = urlencode({**query.filters, **more})
        return f"{path}?{asked}" if asked else path

    return {"first": address() if query.before else "", "next": address(before=before) if before else ""}
