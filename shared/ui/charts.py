"""The page's charts, as places in a drawing: its templates make SVG of them. Pure.

Coordinates are whole units of a drawing that is as wide as it is said to be; y grows downwards. Every chart has a text
that says the same for those who do not see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH = 640
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


def split(shares: Sequence[tuple[str, float, str]], text: str, height: int = 12) -> Chart:
    """Shares of a whole beside each other: (what, percent, kind)."""
    bars, at = [], 0.0
    for name, percent, kind in shares:
        width = WIDTH * percent / 100
        bars.append(Bar(at, 0, width, height, kind, f"{name}: {percent:g} %"))
        at += width
    return Chart(WIDTH, height, text, tuple(bars))


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
