"""The pages of every list that is served: the same parameters, the same `next`, the same words for a bad value.

Called by the HTTP functions with what was asked, before anything is read. Pure, so it may be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from shared import naming
from shared.errors import BadRequest
from shared.ledger import month_costs

LIMIT, MOST = 50, 200
_DIGITS = 6
_AT = "~"

# What orders a list: a number, from the smallest, and of those that are equal the name.
type SortKey = tuple[float, str]


class BadPageQuery(BadRequest):
    """A parameter of a list has a value that it cannot have; the text names it with what is allowed."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a caller asks of a list. `before` is the `next` of the page before; `filters` are those that were given."""

    limit: int = LIMIT
    before: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)

    def filter(self, name: str) -> str:
        """A filter's value; empty: not given."""
        return self.filters.get(name, "")


def page_query(asked: Mapping[str, str], filters: Collection[str] = ()) -> PageQuery:
    """The query of a list that has these filters. Raises BadPageQuery."""
    given = {name: asked[name] for name in filters if asked.get(name)}
    return PageQuery(limit(asked.get("limit", "")), asked.get("before", ""), given)


def limit(text: str) -> int:
    """How many a page has at most. Raises BadPageQuery."""
    if text and not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS and 1 <= int(text) <= MOST):
        raise BadPageQuery(f"limit: 1 to {MOST}")
    return int(text or LIMIT)


def one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """The value, which is one of these or empty. Raises BadPageQuery."""
    if value and value not in allowed:
        raise BadPageQuery(f"{name}: one of {', '.join(sorted(allowed))}")
    return value


def dataset(value: str) -> str:
    """The name of a dataset, or nothing. Raises BadPageQuery."""
    if value and not naming.DATASET.fullmatch(value):
        raise BadPageQuery("dataset: 2 to 41 of a-z, 0-9 and '-'")
    return value


def snapshot(value: str) -> str:
    """The id of a snapshot at which a page goes on, or nothing. Raises BadPageQuery."""
    if value and not naming.SNAPSHOT_ID.fullmatch(value):
        raise BadPageQuery("before: the id of a snapshot, as the page before gives it in `next`")
    return value


def month(value: str) -> str:
    """A month such as `2026-11`, or nothing. Raises BadPageQuery."""
    try:
        if value and month_costs.month_of(month_costs.bounds(value)[0]) != value:
            raise ValueError(value)
    except (ValueError, OverflowError) as error:
        raise BadPageQuery("month: a year and a month, such as 2026-11") from error
    return value


def cut[T](found: Iterable[tuple[SortKey, T]], query: PageQuery) -> tuple[list[T], str | None]:
    """The page of a list that the query asks for, and the `next` of it. Raises BadPageQuery.

    A place in a list is named by what orders it, so that the next page is right although its neighbours are gone.
    """
    after = _key(query.before) if query.before else None
    left = sorted((one for one in found if after is None or one[0] > after), key=lambda one: one[0])
    shown = left[: query.limit]
    return [item for _, item in shown], _place(shown[-1][0]) if len(left) > len(shown) else None


def _place(key: SortKey) -> str:
    return f"{key[0]!r}{_AT}{key[1]}"


def _key(place: str) -> SortKey:
    amount, at, name = place.partition(_AT)
    try:
        if at and math.isfinite(found := float(amount)):
            return (found, name)
    except ValueError:
        pass
    raise BadPageQuery("before: the `next` of the page before")
