"""Times and sums as people see them. Used by the status routes and the nightly report."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def utc(seconds: float) -> datetime:
    """The time so many seconds after 1970. What no calendar has, such as in a row edited by hand, is its end."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LAST.timestamp()), UTC)


def shown_time(seconds: float) -> str:
    """A time as people and programs read it: ISO 8601, UTC, to the millisecond."""
    return utc(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown_if_known(seconds: float) -> str | None:
    """The same; None of 0, which is no time that anybody knows."""
    return shown_time(seconds) if seconds else None


def known_sum(amounts: Iterable[float | None]) -> float | None:
    """The sum of amounts; None if any of them is not known."""
    every = list(amounts)
    known = [amount for amount in every if amount is not None]
    return round(sum(known), 4) if len(known) == len(every) else None
