"""What is wrong with an installation, and what mends it: `python -m cli.doctor [--event]`.

Runs on a laptop with the caller's own sign-in and the app's settings in the environment. In Azure, `GET /api/doctor`
asks the same as the app itself, whose roles are the ones that count. Exit status: 0 nothing is wrong, 1 something is,
2 the settings are wrong or storage cannot be reached.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from shared import runtime
from shared.config.settings import SettingsError
from shared.errors import PipelineError
from shared.operations import doctor


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser().parse_args(arguments)
    try:
        report = doctor.examine(runtime.services(), with_event=options.event)
    except (PipelineError, SettingsError) as error:
        print(f"the doctor cannot begin: {error}", file=sys.stderr)
        if isinstance(error, SettingsError):
            print("set them, or ask the app itself: GET /api/doctor with its master key", file=sys.stderr)
        return 2
    for check in report.checks:
        print(f"{check.result:>7}  {check.check}: {check.found}")
        if check.mend:
            print(f"         {check.mend}")
    return 1 if report.wrong else 0


def parser() -> argparse.ArgumentParser:
    """What can be given on the command line."""
    found = argparse.ArgumentParser(prog="python -m cli.doctor", description="What is wrong, and what mends it.")
    found.add_argument("--event", action="store_true", help="also upload a probe and wait for Event Grid to tell of it")
    return found


if __name__ == "__main__":
    sys.exit(main())
