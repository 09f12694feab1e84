"""NCRONTAB: what is due when; the searching code against a second-by-second definition."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.host.schedules import Crontab, Interval, is_frequent, parse

NOW = datetime(2026, 11, 24, 10, 20, 30, 500_000, UTC)  # a Tuesday
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC))


def due(text: str, after: datetime = NOW) -> str:
    return parse(text).next_after(after).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * * *", "2026-11-24 10:20:31"),
        ("30 20 10 * * *", "2026-11-25 10:20:30"),
        ("0 */5 * * * *", "2026-11-24 10:25:00"),
        ("*/5 * * * *", "2026-11-24 10:25:00"),
        ("0 15/20 * * * *", "2026-11-24 10:35:00"),
        ("0 0 9-17 * * Mon-Fri", "2026-11-24 11:00:00"),
        ("0 30 9 * Jan MON", "2027-01-04 09:30:00"),
        ("0 0 0 29 2 *", "2028-02-29 00:00:00"),
        ("0 0 0 31 * *", "2026-12-31 00:00:00"),
        ("0 0 0 * * 0", "2026-11-29 00:00:00"),
        ("0 0 0 * * Sunday", "2026-11-29 00:00:00"),
        ("0 0 12,18 1-7 * Sat", "2026-12-05 12:00:00"),
        ("59 59 23 31 12 *", "2026-12-31 23:59:59"),
    ],
)
def test_an_expression_is_due_next_at(text: str, expected: str) -> None:
    assert due(text) == expected


def test_a_date_must_fit_both_day_and_weekday() -> None:
    """Unix cron would take either; NCrontab, and so Azure, wants Friday the 13th."""
    assert due("0 0 0 13 * Fri") == "2027-08-13 00:00:00"


def test_a_leap_day_on_a_given_weekday_is_found_decades_away() -> None:
    assert due("0 0 0 29 2 Tue", datetime(2028, 3, 1, tzinfo=UTC)) == "2056-02-29 00:00:00"


def test_a_time_span_counts_from_the_last_time() -> None:
    assert parse("00:00:30").next_after(NOW) == NOW + timedelta(seconds=30)
    assert parse("36:00:00") == Interval(timedelta(days=36))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("* * * *", "4 fields"),
        ("60 * * * * *", "seconds"),
        ("0 0 24 * * *", "hours"),
        ("0 0 0 0 * *", "days"),
        ("0 0 0 * 13 *", "months"),
        ("0 0 0 * * 7", "weekdays"),
        ("0 5-1 * * * *", "backwards"),
        ("0 */0 * * * *", "step"),
        ("0 a * * * *", "minutes"),
        ("0 , * * * *", "minutes"),
        ("0 0 0 30 2 *", "no such date"),
        ("00:00:00", "longer than zero"),
        ("1:2:3:4", "time span"),
    ],
)
def test_what_cannot_be_read_is_refused_by_field(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text)


def fits(table: Crontab, at: datetime) -> bool:
    return (
        at.second in table.seconds
        and at.minute in table.minutes
        and at.hour in table.hours
        and at.day in table.days
        and at.month in table.months
        and at.isoweekday() % 7 in table.weekdays
    )


def numbers(low: int, high: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.sets(st.integers(low, high), min_size=1, max_size=4).map(lambda found: tuple(sorted(found)))


@given(MOMENTS, numbers(0, 59), numbers(0, 59), numbers(0, 23))
def test_times_of_day_agree_with_looking_at_every_second(
    moment: datetime, seconds: tuple[int, ...], minutes: tuple[int, ...], hours: tuple[int, ...]
) -> None:
    table = Crontab(seconds, minutes, hours, tuple(range(1, 32)), tuple(range(1, 13)), tuple(range(7)))
    whole = moment.replace(microsecond=0)
    found = table.next_after(moment)
    assert found > moment
    assert fits(table, found)
    candidates = (
        day.replace(hour=h, minute=m, second=s)
        for day in (whole, whole + timedelta(days=1))
        for h in hours
        for m in minutes
        for s in seconds
    )
    assert found == min(at for at in candidates if at > whole)


@given(MOMENTS, numbers(1, 28), numbers(1, 12), numbers(0, 6))
def test_dates_agree_with_looking_at_every_day(
    moment: datetime, days: tuple[int, ...], months: tuple[int, ...], weekdays: tuple[int, ...]
) -> None:
    table = Crontab((0,), (0,), (0,), days, months, weekdays)
    found = table.next_after(moment)
    assert found > moment
    assert fits(table, found)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    while day < found:
        assert not fits(table, day)
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "frequent"),
    [
        ("*/30 * * * * *", True),
        ("0,59 0 * * * *", True),
        ("0 * * * * *", False),
        ("00:00:59", True),
        ("00:01:00", False),
    ],
)
def test_schedules_within_a_minute_are_frequent(text: str, frequent: bool) -> None:
    assert is_frequent(parse(text), NOW) is frequent
