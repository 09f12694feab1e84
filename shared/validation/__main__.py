"""Check files before they are uploaded: `python -m shared.validation FILE_OR_FOLDER... [--json]`.

The same pass as in the app, but over local files and without staging. Several files, or a folder, are one
snapshot. Exit status: 0 accepted, 1 rejected, 2 could not be checked.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

from shared.validation.policy import Policy
from shared.validation.processes import check
from shared.validation.report import Finding, Place, Report
from shared.validation.sources import Source, local_source

_MARKERS = {"_SUCCESS", "snapshot.json"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    try:
        policy = Policy(
            system_turns=options.system,
            max_bad_percent=options.max_bad_percent,
            min_rows=options.min_rows,
            context_tokens=options.context,
            places=options.places,
        )
        sources = _sources(options.paths)
        with _Progress(sources, sys.stderr) as progress:
            report = check(sources, policy, progress=progress.add)
    except (OSError, ValueError) as failure:
        print(f"could not be checked: {failure}", file=sys.stderr)
        return 2
    if options.json:
        print(report.model_dump_json(indent=2))
    else:
        _print(report, sys.stdout)
    return 0 if report.accepted else 1


def _parser() -> argparse.ArgumentParser:
    defaults = Policy()
    parser = argparse.ArgumentParser(prog="python -m shared.validation", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", metavar="FILE_OR_FOLDER", help=".jsonl, .jsonl.gz, .parquet, or a folder")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--places", type=int, default=defaults.places, help="places kept per rule; 0 keeps all")
    parser.add_argument("--system", choices=("allow", "reject", "fold"), default=defaults.system_turns)
    parser.add_argument("--max-bad-percent", type=float, default=defaults.max_bad_percent)
    parser.add_argument("--min-rows", type=int, default=defaults.min_rows)
    parser.add_argument("--context", type=int, default=defaults.context_tokens, help="the model's context in tokens")
    return parser


def _sources(paths: Iterable[str]) -> list[Source]:
    files: list[tuple[Path, bool]] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.is_file() and file.name not in _MARKERS)
            files += [(file, False) for file in inside if not file.name.startswith(".")]
        else:
            files.append((path, True))
    alone = len(files) == 1
    return [local_source(file, alone=alone and by_itself) for file, by_itself in files]


class _Progress:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, sources: Sequence[Source], out: TextIO) -> None:
        self._total = sum(source.size for source in sources)
        self._done = 0
        self._out = out if out.isatty() and self._total > 64 * 2**20 else None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._out:
            self._out.write("\r\033[K")

    def add(self, size: int) -> None:
        """Show that so many more bytes were read."""
        before, self._done = self._done, self._done + size
        if self._out and before >> 24 != self._done >> 24:
            done = min(1.0, self._done / self._total)
            self._out.write(f"\r{'█' * round(40 * done):░<40} {done:4.0%}")
            self._out.flush()


def _print(report: Report, out: TextIO) -> None:
    paint = _painter(out)
    for finding in report.findings:
        color = "31" if finding.severity == "error" else "33"
        print(f"{paint(color, finding.severity)} {paint('1', finding.rule)}: {finding.explanation}", file=out)
        for place in finding.places:
            print(f"    {_where(place)}found {place.found}; expected {place.expected}", file=out)
        _print_rest(finding, out)
        print(f"    fix: {finding.fix}", file=out)
    stats = report.statistics
    print(paint("32" if report.accepted else "31", report.verdict) + f": {report.summary}", file=out)
    print(
        f"    {report.rows} rows, {report.bad_rows} bad, {report.duplicate_rows} repeated, "
        f"{stats.turns.total} turns, about {stats.estimated_tokens.total} tokens; "
        f"{report.bytes_read / 1e6:.1f} MB in {report.duration_seconds:.2f} s",
        file=out,
    )


def _print_rest(finding: Finding, out: TextIO) -> None:
    if finding.more:
        print(f"    {len(finding.places)} of {finding.count} shown; --places 0 shows all", file=out)


def _where(place: Place) -> str:
    parts = [place.file or ""]
    if place.row is not None:
        parts.append(f"row {place.row}")
    if place.path:
        parts.append(place.path)
    where = ", ".join(part for part in parts if part)
    return f"{where}: " if where else ""


def _painter(out: TextIO) -> Callable[[str, str], str]:
    if out.isatty() and "NO_COLOR" not in os.environ:
        return lambda color, text: f"\033[{color}m{text}\033[0m"
    return lambda _, text: text


if __name__ == "__main__":
    sys.exit(main())
