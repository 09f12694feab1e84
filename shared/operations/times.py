"""Times on record, as calendar times for people. Used by status and the nightly report."""

from __future__ import annotations

from datetime import UTC, datetime

_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def utc(seconds: float) -> datetime:
    """The time so many seconds after 1970. What no calendar has, such as in a row edited by hand, is its end."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LAST.timestamp()), UTC)


def shown_time(seconds: float) -> str:
    """A time as people and programs read it: ISO 8601, UTC, to the millisecond."""
    return utc(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
