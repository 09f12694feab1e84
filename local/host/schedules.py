"""Timer schedules: NCRONTAB expressions of six or five fields, and time spans. Pure, UTC; used by `timers`.

Fields are seconds (absent in five-field ones: zero), minutes, hours, days, months, weekdays (0 is Sunday). As
in NCrontab, and unlike Unix cron, a date must fit both the day and the weekday field.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

from local.host.settings import seconds

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
_WEEKDAYS = {name.lower(): (number + 1) % 7 for number, name in enumerate(calendar.day_name)}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("seconds", 0, 59, {}),
    ("minutes", 0, 59, {}),
    ("hours", 0, 23, {}),
    ("days", 1, 31, {}),
    ("months", 1, 12, _MONTHS),
    ("weekdays", 0, 6, _WEEKDAYS),
)
_YEARS_AHEAD = 41  # 29 February on a given weekday can be 40 years away


class Schedule(Protocol):
    """When something is due."""

    def next_after(self, moment: datetime) -> datetime:
        """The first due moment later than `moment`."""


@dataclass(frozen=True)
class Interval:
    """Every so often, counted from the last time."""

    every: timedelta

    def next_after(self, moment: datetime) -> datetime:
        return moment + self.every


@dataclass(frozen=True)
class Crontab:
    """The allowed values of each field, ascending."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    def next_after(self, moment: datetime) -> datetime:
        moment = moment.astimezone(UTC)
        if self._fits(moment.date()) and (later := self._time_after(moment.time())):
            return datetime.combine(moment.date(), later, UTC)
        first = time(self.hours[0], self.minutes[0], self.seconds[0])
        return datetime.combine(self._date_after(moment.date()), first, UTC)

    def _fits(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def _time_after(self, now: time) -> time | None:
        """The first allowed time of day later than `now`."""
        for hour in (hour for hour in self.hours if hour >= now.hour):
            for minute in (minute for minute in self.minutes if hour > now.hour or minute >= now.minute):
                for second in self.seconds:
                    if (hour, minute, second) > (now.hour, now.minute, now.second):
                        return time(hour, minute, second)
        return None

    def _date_after(self, today: date) -> date:
        for year in range(today.year, today.year + _YEARS_AHEAD):
            for month in self.months:
                for day in (day for day in self.days if day <= calendar.monthrange(year, month)[1]):
                    if (candidate := date(year, month, day)) > today and self._fits(candidate):
                        return candidate
        raise ValueError("there is no such date")


def parse(text: str) -> Schedule:
    """The schedule that `text` describes; ValueError names the field that cannot be read.

    >>> parse("0 30 9 * * Mon-Fri").next_after(datetime(2026, 11, 6, 12, tzinfo=UTC)).isoformat()
    '2026-11-09T09:30:00+00:00'
    """
    if ":" in text:
        if not (every := seconds(text.strip())):
            raise ValueError("an interval must be longer than zero")
        return Interval(timedelta(seconds=every))
    fields = text.split()
    if len(fields) not in (5, 6):
        raise ValueError(f"{text!r} has {len(fields)} fields; six (or five, without seconds) are needed")
    schedule = Crontab(*(_field(*each) for each in zip(["0", *fields][-6:], _FIELDS, strict=True)))
    schedule.next_after(datetime.now(UTC))  # refuse what never happens
    return schedule


def is_frequent(schedule: Schedule, now: datetime) -> bool:
    """Whether it can be due twice within a minute: Azure keeps no record of such schedules."""
    for _ in range(11):
        following = schedule.next_after(now)
        if schedule.next_after(following) - following < timedelta(minutes=1):
            return True
        now = following
    return False


def _field(text: str, field: tuple[str, int, int, dict[str, int]]) -> tuple[int, ...]:
    """The values that one field allows, such as `*`, `5`, `1-5`, `*/15`, `10/20` or a list of these."""
    name, _low, _high, _names = field
    try:
        values = {value for part in text.split(",") for value in _part(part, field)}
    except ValueError as wrong:
        raise ValueError(f"{text!r} cannot be read as {name}: {wrong}") from wrong
    return tuple(sorted(values))


def _part(text: str, field: tuple[str, int, int, dict[str, int]]) -> range:
    _, low, high, names = field
    span, slash, step = text.partition("/")
    first, dash, last = span.partition("-")
    start = low if span == "*" else _value(first, low, high, names)
    end = _value(last, low, high, names) if dash else start
    if span == "*" or (slash and not dash):
        end = high
    if start > end:
        raise ValueError(f"{span} runs backwards")
    if slash and (not step.isdecimal() or int(step) < 1):
        raise ValueError(f"{step!r} is not a step")
    return range(start, end + 1, int(step) if slash else 1)


def _value(text: str, low: int, high: int, names: dict[str, int]) -> int:
    named = {name for name in names if len(text) >= 3 and name.startswith(text.lower())}
    value = names[named.pop()] if len(named) == 1 else int(text)
    if not low <= value <= high:
        raise ValueError(f"{value} is not between {low} and {high}")
    return value
