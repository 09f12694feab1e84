"""The page's charts, as places in a drawing: its templates make SVG of them. Pure.

Coordinates are whole units of a drawing that is as wide as it is said to be; y grows downwards. Every chart has a text
that says the same for those who do not see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH = 640
# How high the band of shares is.
_BAND = 12
# A histogram has room for at least so many bars: one alone would fill it.
_FEWEST = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: a rectangle of one `kind`, and the text that a pointer on it shows."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis, with its text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of bars and lines. `lines`: points of a polyline, by kind; `text` tells what it shows."""

    width: int
    height: int
    text: str
    bars: tuple[Bar, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
    across: tuple[Tick, ...] = ()
    upright: tuple[Tick, ...] = ()


def split(shares: Sequence[tuple[str, float, str]], text: str) -> Chart:
    """Shares of a whole beside each other: (what, percent, kind)."""
    bars, at = [], 0.0
    for name, percent, kind in shares:
        width = WIDTH * percent / 100
        bars.append(Bar(at, 0, width, _BAND, kind, f"{name}: {percent:g} %"))
        at += width
    return Chart(WIDTH, _BAND, text, tuple(bars))


def histogram(buckets: Iterable[tuple[int, int]], what: str) -> Chart | None:
    """Rows by size: (upper bound, rows), as reports have them. None of nothing."""
    found = [(upper, rows) for upper, rows in buckets if rows]
    if not found:
        return None
    lowest, highest = (round(math.log2(max(1, bound))) for bound in (found[0][0], found[-1][0]))
    by_step = {round(math.log2(max(1, upper))): (upper, rows) for upper, rows in found}
    steps, most, height = range(lowest, highest + 1), max(rows for _, rows in found), 96
    wide, bars, ticks = 320 / max(_FEWEST, len(steps)), [], []
    for place, step in enumerate(steps, max(0, _FEWEST - len(steps)) // 2):
        upper, rows = by_step.get(step, (2**step, 0))
        tall = max(2.0, rows / most * (height - 4)) if rows else 0.0
        bars.append(Bar(place * wide + 1, height - tall, wide - 2, tall, "plain", f"up to {upper} {what}: {rows} rows"))
        if (step - lowest) % max(1, math.ceil(len(steps) / 6)) == 0:
            ticks.append(Tick(place * wide + wide / 2, f"≤{short(upper)}"))
    widest = max(found, key=lambda one: one[1])
    text = f"{what.capitalize()} a row: most rows ({widest[1]}) have up to {widest[0]}"
    return Chart(320, height, text, tuple(bars), across=tuple(ticks))


def short(number: float) -> str:
    """A number in few characters: 1.5k, 2M."""
    for limit, sign in ((1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f}".removesuffix(".0") + sign
    return f"{number:g}"


@dataclass(frozen=True, slots=True)
class MinuteOfCalls:
    """One minute of a dataset's calls: those with an answer, all others that say something, and how long answers took
    (s). `at`: minutes since 1970."""

    at: int
    answered: int
    failed: int
    p50: float | None
    p95: float | None


def calls(minutes: Sequence[MinuteOfCalls], first: int, last: int) -> tuple[Chart, Chart] | None:
    """Calls and failures a minute, and below how long answers took, from one minute to another. None without a call."""
    if not minutes:
        return None
    wide, height = WIDTH / (last - first + 1), 90
    most = max(one.answered + one.failed for one in minutes)
    bars: list[Bar] = []
    for one in minutes:
        x, text = (one.at - first) * wide, f"{_clock(one.at)}: {one.answered} answered, {one.failed} failed"
        tall, bad = one.answered / most * (height - 14), one.failed / most * (height - 14)
        bars.append(Bar(x + 0.5, height - tall, wide - 1, tall, "answered", text))
        if one.failed:
            bars.append(Bar(x + 0.5, height - tall - bad, wide - 1, bad, "failed", text))
    ticks = tuple(
        Tick((at - first + 0.5) * wide, _clock(at)) for at in range(first, last + 1) if at % 15 == 0 and first + 2 < at
    )
    asked = sum(one.answered + one.failed for one in minutes)
    wrong = sum(one.failed for one in minutes)
    shown = Chart(WIDTH, height, f"{asked} calls within the hour, {wrong} of them failed; at most {most} a minute",
                  tuple(bars), across=ticks, upright=(Tick(14, f"{most} a minute"),))  # fmt: skip
    return shown, _latency(minutes, first, wide, ticks)


def _latency(minutes: Sequence[MinuteOfCalls], first: int, wide: float, ticks: tuple[Tick, ...]) -> Chart:
    """How long answers took: a point for each minute that has one, joined over minutes without."""
    height = 90
    slowest = max((one.p95 for one in minutes if one.p95 is not None), default=0.0)
    scale = (height - 14) / slowest if slowest else 0.0

    def points(kind: str) -> str:
        found = [(one.at, value) for one in minutes if (value := getattr(one, kind)) is not None]
        places = [(round((at - first + 0.5) * wide, 1), round(height - value * scale, 1)) for at, value in found]
        if len(places) == 1:  # a line of one point is not seen
            places.append((places[0][0] + 4, places[0][1]))
        return " ".join(f"{x},{y}" for x, y in places)

    text = f"95 % of the answers of each minute took up to {slowest:.2g} s"
    lines = tuple((kind, drawn) for kind in ("p50", "p95") if (drawn := points(kind)))
    return Chart(WIDTH, height, text, lines=lines, across=ticks, upright=(Tick(14, f"{slowest:.2g} s"),))


def curve(name: str, points: Sequence[tuple[int, float]]) -> Chart | None:
    """A metric over the steps of a training: (step, value). None of fewer than two points."""
    if len(points) < 2:
        return None
    (first, begun), (last, ended) = points[0], points[-1]
    low, high = min(value for _, value in points), max(value for _, value in points)
    height, across, up = 110, 320 / max(1, last - first), (110 - 24) / ((high - low) or 1.0)
    places = " ".join(
        f"{round((step - first) * across, 1)},{round(height - 6 - (value - low) * up, 1)}" for step, value in points
    )
    ticks = (Tick(14, f"{first}"), Tick(306, f"{short(last)}"))
    text = f"{name} went from {begun:.4g} at step {first} to {ended:.4g} at step {last}"
    return Chart(320, height, text, lines=(("p50", places),), across=ticks, upright=(Tick(18, f"{high:.3g}"),))


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02d}:{minute % 60:02d}"
