"""Hours of the week: what people may write, and when they hold."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from shared.config import hours

BERLIN = ZoneInfo("Europe/Berlin")


def _held(text: str, at: str, zone: ZoneInfo = BERLIN) -> bool:
    moment = datetime.fromisoformat(at).replace(tzinfo=zone).timestamp()
    return any(span.hold(moment) for span in hours.parse(text))


@pytest.mark.parametrize(
    ("at", "held"),
    [
        ("2026-11-23 07:59:59", False),  # a Monday
        ("2026-11-23 08:00", True),
        ("2026-11-27 17:59:59", True),
        ("2026-11-27 18:00", False),
        ("2026-11-28 12:00", False),
        ("2026-07-20 08:30", True),  # in summer time
    ],
)
def test_working_hours_hold_on_the_clocks_of_their_zone(at: str, held: bool) -> None:
    assert _held("Mon-Fri 08:00-18:00 Europe/Berlin", at) == held


def test_the_zone_decides_not_the_machine() -> None:
    assert _held("daily 08:00-09:00 Asia/Tokyo", "2026-11-23 00:30")
    assert not _held("daily 08:00-09:00 Europe/Berlin", "2026-11-23 00:30")


@pytest.mark.parametrize(
    ("at", "held"),
    [("2026-11-27 22:00", True), ("2026-11-28 05:59", True), ("2026-11-28 06:00", False), ("2026-11-29 01:00", False)],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(at: str, held: bool) -> None:
    assert _held("Fri 22:00-06:00 Europe/Berlin", at) == held


@pytest.mark.parametrize(
    ("days", "found"),
    [
        ("Mon-Fri", {0, 1, 2, 3, 4}),
        ("Sat,Sun", {5, 6}),
        ("fri-mon", {4, 5, 6, 0}),
        ("Mon,Wed-Thu", {0, 2, 3}),
        ("daily", set(range(7))),
        ("Tue", {1}),
    ],
)
def test_days_are_named_or_spanned(days: str, found: set[int]) -> None:
    (span,) = hours.parse(f"{days} 00:00-24:00 UTC")
    assert span.days == found


def test_a_whole_day_is_from_midnight_to_midnight() -> None:
    for at in ("2026-11-23 00:00", "2026-11-23 23:59:59"):
        assert _held("Mon 00:00-24:00 Europe/Berlin", at)
    assert not _held("Mon 00:00-24:00 Europe/Berlin", "2026-11-22 23:59:59")


def test_several_spans_are_kept_apart_by_semicolons() -> None:
    assert len(hours.parse("Mon-Fri 08:00-18:00 UTC; Sat 10:00-12:00 UTC;")) == 2
    assert hours.parse("") == hours.parse(" ; ") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("always", "must be like"),
        ("Mon-Fri 8-18 UTC", "must be like"),
        ("Mon-Fri 08:00-18:00", "must be like"),
        ("Workdays 08:00-18:00 UTC", "'Workdays' is no day"),
        ("Mon 25:00-26:00 UTC", "'25:00' is no time of day"),
        ("Mon 08:00-18:00 Mars/Base", "'Mars/Base' is no time zone"),
        ("Mon 08:00-18:00 ../etc", "is no time zone"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        hours.parse(text)
