"""The pages of every list that is served: the same parameters, the same `next`, the same words for a bad value.

Called by the HTTP functions with what was asked, before anything is read. Pure, so it may be repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from shared import naming

LIMIT, MOST = 50, 200
_DIGITS = 6


class BadPageQuery(ValueError):
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
    if text and not (text.isascii() and text.isdecimal() and 1 <= int(text[:_DIGITS]) <= MOST):
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
