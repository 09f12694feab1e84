"""A report as people read it in a terminal, and a bar while they wait for it. Called by the command line only."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from cli.printing import one_line
from shared.chatdata.formats import printable
from shared.operations.times import size_in_words
from shared.validation.report import Finding, Location, Spread, ValidationReport
from shared.validation.sources import Source

_BAR_FROM = 24 * 2**20  # bytes: less is there before anybody has seen a bar
_MEASURED = 10**6  # bytes: what is read of less says nothing of the speed
_PATTERNS = 5


class ProgressBar:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, sources: Sequence[Source], out: TextIO) -> None:
        self._total = sum(source.size for source in sources)
        self._done = 0
        self._out = out if out.isatty() and self._total > _BAR_FROM else None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._out:
            self._out.write("\r\033[K")
            self._out.flush()

    def add(self, size: int) -> None:
        """Show that so many more bytes were read."""
        before, self._done = self._done, self._done + size
        if self._out and before >> 22 != self._done >> 22:
            done = min(1.0, self._done / self._total)
            self._out.write(f"\r{'█' * round(40 * done):░<40} {done:4.0%} of {self._total / 1e6:.0f} MB")
            self._out.flush()


def write(report: ValidationReport, out: TextIO) -> None:
    """Findings first, then what the rows look like; the verdict comes last, where the eye rests."""
    paint = _painter(out)
    for finding in report.findings:
        color = "31" if finding.severity == "error" else "33"
        count = f" ({finding.count})" if finding.count > 1 else ""
        print(f"{paint(color, finding.severity)} {paint('1', finding.rule)}{count}: {finding.explanation}", file=out)
        for line in _lines_of(finding):
            print(f"    {line}", file=out)
    if report.findings:
        print(file=out)
    for name, told in _statistics(report):
        print(f"{name:<11} {told}".rstrip(), file=out)
    print(f"\n{paint('32' if report.accepted else '31', report.verdict)}: {one_line(report.summary)}", file=out)


def _lines_of(finding: Finding) -> Iterator[str]:
    for place in finding.places:
        yield f"{_where(place)}found {place.found}; expected {_with_path(place.expected, place.file)}"
    if finding.more:
        yield f"{len(finding.places)} of {finding.count} shown; --places 0 shows all"
    yield f"fix: {_with_path(finding.fix, finding.places[0].file)}"


def _with_path(text: str, file: str | None) -> str:
    """A text whose `droptune prepare` command has the file as it was given here: the app knows only its name."""
    if not file:
        return text
    for name in ("FILE", shlex.quote(printable(file.rpartition("/")[2], 80))):
        text = text.replace(f"droptune prepare {name} ", f"droptune prepare {shlex.quote(file)} ")
    return text


def _where(place: Location) -> str:
    parts = [one_line(place.file or "")]
    if place.row is not None:
        parts.append(f"row {place.row}")
    if place.path:
        parts.append(place.path)
    where = ", ".join(part for part in parts if part)
    return f"{where}: " if where else ""


def _statistics(report: ValidationReport) -> Iterator[tuple[str, str]]:
    stats = report.statistics
    share = f" ({stats.duplicate_share:.1%} of those without error)" if report.duplicate_rows else ""
    counts = f"{report.good_rows} good, {report.bad_rows} bad, {report.duplicate_rows} repeated{share}"
    yield "rows", f"{report.rows}: {counts}"
    if stats.turns.total:
        yield "", f"{'min':>9}{'half':>9}{'90 %':>9}{'99 %':>9}{'max':>9}{'total':>13}"
        yield "turns", _spread(stats.turns)
        yield "characters", _spread(stats.characters)
        yield "tokens", f"{_spread(stats.estimated_tokens)}  (estimate: {stats.token_estimate})"
        yield "cut off", f"{stats.cut_share:.1%} of the rows are longer than the model's context"
        shown = [f"{one_line(pattern.roles)}: {pattern.rows}" for pattern in stats.role_patterns[:_PATTERNS]]
        others = report.rows - report.bad_rows - sum(p.rows for p in stats.role_patterns[:_PATTERNS])
        yield "roles", "; ".join(shown) + (f"; other: {others}" if others else "")
        yield "splits", ", ".join(f"{split} {rows}" for split, rows in report.splits.items())
    ignored = {**stats.extra_columns, **{f"messages[].{name}": n for name, n in stats.extra_message_fields.items()}}
    if ignored:
        names = ", ".join(f"{one_line(name)} ({rows})" for name, rows in ignored.items())
        yield "columns", f"not trained on: {names}"
    speed = f" ({report.bytes_per_second / 1e6:.0f} MB/s)" if report.bytes_read >= _MEASURED else ""
    yield "read", f"{size_in_words(report.bytes_read)} in {report.duration_seconds:.2f} s{speed}"


def _spread(spread: Spread) -> str:
    numbers = (spread.minimum, spread.p50, spread.p90, spread.p99, spread.maximum)
    return "".join(f"{number:>9}" for number in numbers) + f"{spread.total:>13}"


def _painter(out: TextIO) -> Callable[[str, str], str]:
    if out.isatty() and "NO_COLOR" not in os.environ:
        return lambda color, text: f"\033[{color}m{text}\033[0m"
    return lambda _, text: text
