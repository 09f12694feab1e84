"""A page of refused uploads for people, newest first, each with the reason and the right form.

Called by the HTTP status functions. One listing has them all; those of an older version are read, as far as they are on
the page. A repeat reads again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ledger.record import Struct
from shared.operations import paging
from shared.operations.times import shown_time
from shared.snapshots import refusals

if TYPE_CHECKING:
    from shared.operations.paging import PageQuery
    from shared.runtime import Services

FILTERS = ("dataset",)


class RefusalLine(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One upload that makes no snapshot, and why."""

    path: str
    reason: str
    at: str


class RefusalPage(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A page of refused uploads. `next` is what to give as `before` for the page after this one."""

    refused: list[RefusalLine]
    next: str | None
    total: int


def page(services: Services, query: PageQuery) -> RefusalPage:
    """The refused uploads that the query asks for; of a dataset those that may have been meant for it.

    Raises BadPageQuery.
    """
    found = refusals.listed(services, paging.dataset(query.filter("dataset")))
    shown, following = paging.cut([((-at, name), blob) for at, name, blob in found], query)
    read = [refusal for blob in shown if (refusal := refusals.read(services, blob))]
    lines = [RefusalLine(path=one.path, reason=one.reason, at=shown_time(one.at)) for one in read]
    return RefusalPage(refused=lines, next=following, total=len(found))
