"""Times, sums and sizes in words. Used by the status routes, the nightly report, the page and the command line."""

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


def hours_in_words(hours: float) -> str:
    """A length of time, in minutes below an hour. What takes no minute takes some time all the same."""
    minutes = hours * 60
    if minutes < 1:
        return "under a minute"
    return f"{minutes:.0f} min" if hours < 1 else f"{round(hours, 2):g} h"


def about_hours(hours: float) -> str:
    """A length of time that is an estimate."""
    text = hours_in_words(hours)
    return f"about {text}" if hours * 60 >= 1 else text


def about_money(amount: float, currency: str) -> str:
    """An amount that is an estimate. What costs no cent costs something all the same."""
    known, text = amount >= 0.01, f"{max(amount, 0.01):,.2f} {currency}".rstrip()
    return f"about {text}" if known else f"less than {text}"


def size_in_words(count: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
