"""The validation half of `python -m tests.cases`: each file or folder of a table, checked as the command line does.

`cases.tsv` has one line a case: the file (or folder, with a slash), the expected verdict, and what else is expected in
words. Of the words, the names of rules before the first semicolon count: each must be among the findings (or, where the
words offer a choice with "or", one of them). `N rows`, `N train rows`, `N test rows` count as well.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.check import main as check
from shared.validation.rules import RULES

_RULE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+")


def failures(folder: Path, cloud: Path | None = None) -> Iterator[tuple[str, str]]:
    """Each case of the table, and what differs from what it expects (nothing: an empty text)."""
    with (folder / "cases.tsv").open(encoding="utf-8", newline="") as table:
        for name, verdict, words, *_ in list(csv.reader(table, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]:
            yield name, "; ".join(_differences(_report(folder / name), verdict, words))


def _report(path: Path) -> dict[str, Any]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        check([str(path), "--json"])
    report: dict[str, Any] = json.loads(printed.getvalue())
    return report


def _differences(report: dict[str, Any], verdict: str, words: str) -> Iterator[str]:
    if report["verdict"] != verdict:
        yield f"{report['verdict']} in place of {verdict}: {report['summary']}"
    expected = words.split("; fails on ")[0]
    found = {finding["rule"] for finding in report["findings"]}
    for alternatives in _rules(expected):
        if not alternatives & found:
            yield f"found {', '.join(sorted(found)) or 'nothing'} in place of {' or '.join(sorted(alternatives))}"
    for count, split in re.findall(r"\b(\d+) (train |test |validation )?rows\b", expected):
        rows = _rows(report, split.strip())
        if rows != int(count):
            yield f"{rows} {split}rows in place of {count}"


def _rules(words: str) -> Iterator[set[str]]:
    """Groups of rules that the words name, of each of which one must be found; a bracket is a remark."""
    plain = re.sub(r"\([^)]*\)", "", words)
    for part in re.split(r";|,| and ", plain):
        named = {name for name in _RULE.findall(part) if name in RULES}
        if named:
            yield named


def _rows(report: dict[str, Any], split: str) -> int:
    if not split:
        return int(report["rows"])
    given = [file for file in report["files"] if file["split"] == split]
    return sum(file["rows"] for file in given) if given else int(report["splits"][split])
