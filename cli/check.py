"""Check files before they are uploaded: `python -m cli.check FILE_OR_FOLDER... [--json] [--places N]`.

The same pass as in the app, but over local files and without staging. Several files, or a folder, are one snapshot; the
`snapshot.json` in a folder, or beside a file, counts. Exit status: 0 accepted, 1 rejected, 2 could not be checked, 3 no
such file.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cli.console import ProgressBar, write
from cli.failures import Exit, in_a_sentence, status_of
from cli.processes import check
from shared.chatdata.formats import format_of, printable
from shared.chatdata.templates import ANY, TEMPLATES, system_policy, template_of
from shared.config.options import MOST_BYTES, NAME, parsed
from shared.errors import BadSnapshot
from shared.snapshots.paths import MARKER, options_path
from shared.validation.policy import FEWEST_TO_TRAIN_ON, Policy
from shared.validation.report import ValidationReport
from shared.validation.sources import Source, files_of, local_source


def main(arguments: Sequence[str] | None = None) -> Exit:
    """Run the command line; its status."""
    options = parser().parse_args(arguments)
    try:
        report = _report(options)
        if options.json:
            print(report.model_dump_json(indent=2))
        else:
            write(report, sys.stdout)
            if report.accepted:
                _tell_cost(report, options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except (OSError, ValueError, BadSnapshot) as failure:
        print(f"could not be checked: {in_a_sentence(failure)}", file=sys.stderr)
        return status_of(failure)
    return Exit.DONE if report.accepted else Exit.FAILED


def report_of(paths: Sequence[str]) -> ValidationReport | None:
    """The report on these paths by the rules' defaults; None where they could not be checked, which is told on standard
    error."""
    try:
        return _report(parser().parse_args([*paths]))
    except (OSError, ValueError, BadSnapshot) as failure:
        print(f"could not be checked: {in_a_sentence(failure)}", file=sys.stderr)
        return None


def _report(options: argparse.Namespace) -> ValidationReport:
    sources = _sources(options.paths)
    policy = _policy(options).tightened(**_own_limits(options.paths))
    with ProgressBar(sources, sys.stderr) as progress:
        return check(sources, policy, progress=progress.add)


def _tell_cost(report: ValidationReport, options: argparse.Namespace) -> None:
    """What training on the rows takes, as far as the options say how fast and how dear it is."""
    tokens = report.statistics.estimated_tokens.total * options.epochs
    text = f"{tokens:,} tokens in {options.epochs} epoch{'s' if options.epochs > 1 else ''}"
    if options.tokens_per_second:
        hours = tokens / options.tokens_per_second / 3600
        text += f", {hours:.2f} h"
        text += f", {hours * options.price:,.2f} at {options.price:g} an hour" if options.price else ""
    print(f"training: {text}")


def parser() -> argparse.ArgumentParser:
    """What can be given on the command line."""
    defaults = Policy()
    found = argparse.ArgumentParser(
        prog="droptune check",
        description="Check files before they are uploaded.",
        epilog="Exit status: 0 accepted, 1 rejected, 2 could not be checked, 3 no such file. Every rule: "
        "docs/validation-rules.md.",
    )
    found.add_argument("paths", nargs="+", metavar="FILE_OR_FOLDER", help=".jsonl, .jsonl.gz, .parquet, or a folder")
    found.add_argument("--json", action="store_true", help="print the report as JSON")
    found.add_argument("--places", type=int, default=defaults.places, metavar="N", help="places per rule; 0: all")
    found.add_argument("--model", default="", metavar="NAME", help="the base model, such as Phi-3-mini-4k-instruct")
    found.add_argument(
        "--system",
        choices=("auto", "allow", "reject", "fold"),
        default="auto",
        help="what to do with system turns",
    )
    found.add_argument("--max-bad-percent", type=float, default=defaults.max_bad_percent, metavar="P")
    found.add_argument("--min-rows", type=int, default=defaults.min_rows, metavar="N")
    found.add_argument("--epochs", type=int, default=1, metavar="N", help="for what training takes: epochs")
    found.add_argument(
        "--tokens-per-second", type=float, default=0, metavar="N", help="the same: speed of all machines"
    )
    found.add_argument("--price", type=float, default=0, metavar="P", help="the same: price of their hour")
    found.add_argument(
        "--context", type=int, default=defaults.context_tokens, metavar="N", help="tokens a row may have"
    )
    return found


def _policy(options: argparse.Namespace) -> Policy:
    template = template_of(options.model) if options.model else ANY
    if options.model and template is ANY:
        known = sorted({start.rstrip("-") for known in TEMPLATES for start in known.starts})
        if near := difflib.get_close_matches(options.model.lower().rpartition("/")[2], known, n=1, cutoff=0.7):
            raise ValueError(f"--model {options.model}: no model is named so; did you mean {near[0]}?")
    return Policy(
        roles=template.roles,
        system_turns=system_policy(options.system, template.roles),
        max_bad_percent=options.max_bad_percent,
        min_rows=options.min_rows,
        min_train_rows=FEWEST_TO_TRAIN_ON,
        context_tokens=options.context,
        places=options.places,
    )


def _sources(paths: Iterable[str]) -> list[Source]:
    files: list[tuple[Path, bool]] = []
    for path in map(Path, paths):
        if path.is_dir():
            files += [(file, False) for file in files_of(path)]
            _tell_passed_over(path, {file.name for file, _ in files})
        else:
            files.append((path, True))
    alone = len(files) == 1
    return [local_source(file, alone=alone and by_itself) for file, by_itself in files]


def _tell_passed_over(folder: Path, read: set[str]) -> None:
    """Names the files of a folder that are not read, as the app does in the snapshot's `passed_over`."""
    known = {MARKER, NAME, *read}
    if others := sorted(printable(file.name) for file in folder.iterdir() if file.name not in known):
        more = f" and {len(others) - 20} more" if len(others) > 20 else ""
        print(f"not read: {', '.join(others[:20])}{more}", file=sys.stderr)


def _own_limits(paths: Iterable[str]) -> dict[str, Any]:
    """What the options in a folder, or beside a file, ask for; the last one counts."""
    limits: dict[str, Any] = {}
    for path in paths:
        own = Path(path, NAME) if Path(path).is_dir() or not format_of(path) else Path(options_path(path))
        if own.is_file():
            with own.open("rb") as file:
                found = parsed(file.read(MOST_BYTES + 1), str(own))
            limits |= found.get("validation", {})
    return limits


if __name__ == "__main__":
    sys.exit(main())
