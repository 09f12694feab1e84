"""Runs folders of small cases against what they expect: `python -m tests.cases FOLDER [CLOUD_JSON]`.

`FOLDER/validation` holds files and folders with a table `cases.tsv` (see `tests.cases.validation`); `FOLDER/scoring`
holds one JSON file a case, sent to a running local cloud (see `tests.cases.scoring`). What differs is printed, one line
a case; exit status 1 if anything does. A half that the folder does not have is passed over.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

HALVES = ("validation", "scoring")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.cases", description="Run cases against what they expect.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with folders validation, scoring or both in it")
    parser.add_argument("cloud", type=Path, nargs="?", help="cloud.json of a running local cloud, for scoring")
    options = parser.parse_args(arguments)
    halves = [half for half in HALVES if (options.folder / half).is_dir()]
    if not halves:
        parser.error(f"{options.folder} has neither a folder validation nor one named scoring")
    failed = 0
    for half in halves:
        # Each half has `failures(folder, cloud) -> iterator of (case, what differs or "")`.
        found = importlib.import_module(f"tests.cases.{half}").failures(options.folder / half, options.cloud)
        for case, difference in found:
            print(f"{'FAIL' if difference else 'ok  '} {half}/{case}{': ' if difference else ''}{difference}")
            failed += bool(difference)
    print(f"{failed} case(s) failed" if failed else "all cases hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
