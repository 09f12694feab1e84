"""Hours of the week in a time zone, as people write them: `Mon-Fri 08:00-18:00 Europe/Berlin`. Pure.

Used for `KEEP_WARM`: read once for a check when the app starts, and again when idleness is judged. An end before the
start means the next morning (`22:00-06:00`); the day is the one on which the hours begin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(r"(?P<days>\S+)\s+(?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)\s+(?P<zone>\S+)")


@dataclass(frozen=True, slots=True)
class Hours:
    """One span of hours on some days of the week (Monday is 0)."""

    days: frozenset[int]
    start: time
    end: time
    zone: ZoneInfo

    def hold(self, at: float) -> bool:
        """Whether a time (seconds since 1970) lies within, on the clocks of the zone."""
        local = datetime.fromtimestamp(at, self.zone)
        now, today = local.time(), local.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= now < self.end
        yesterday = (local - timedelta(days=1)).weekday()
        return (today in self.days and now >= self.start) or (yesterday in self.days and now < self.end)


def parse(text: str) -> tuple[Hours, ...]:
    """The spans of a setting, `;` between them; none for an empty text. ValueError says what was expected."""
    return tuple(_span(part.strip()) for part in text.split(";") if part.strip())


def _span(text: str) -> Hours:
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} must be like 'Mon-Fri 08:00-18:00 Europe/Berlin'")
    return Hours(_days(match["days"]), _clock(match["start"]), _clock(match["end"]), _zone(match["zone"]))


def _days(text: str) -> frozenset[int]:
    """`Mon-Fri`, `Sat,Sun`, `Fri-Mon`, `daily`."""
    if text.lower() == "daily":
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = _day(first), _day(last or first)
        found.update(day % 7 for day in range(begin, end + (1 if begin <= end else 8)))
    return frozenset(found)


def _day(text: str) -> int:
    try:
        return _DAYS.index(text.lower())
    except ValueError:
        raise ValueError(f"{text!r} is no day: use Mon, Tue, Wed, Thu, Fri, Sat, Sun or daily") from None


def _clock(text: str) -> time:
    if text == "24:00":
        return time(0)
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time of day: use 00:00 to 24:00") from None


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"{text!r} is no time zone: use UTC or a name like Europe/Berlin") from None
