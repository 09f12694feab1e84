"""What is wrong with an installation, and what mends it: `python -m cli.doctor [--event]`.

Where the app's settings are in the environment it looks by itself, with the caller's own sign-in. Elsewhere it asks the
app that the other commands talk to (`GET /api/doctor`, for which the key has to be its master key): the app's own roles
are the ones that count. Exit status: 0 nothing is wrong, 1 something is; else as of every command of `droptune`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from cli.client import AppClient
from cli.failures import CommandFailed, Exit, status_of
from cli.target import find_target
from shared import runtime
from shared.config.settings import SettingsError
from shared.errors import PipelineError
from shared.operations import doctor
from shared.operations.doctor.report import DoctorReport

# Without these there is no app to look at from here.
_OF_APPS = {"AZUREML_WORKSPACE", "DATA", "DATA__blobServiceUri"}


def main(arguments: Sequence[str] | None = None) -> Exit:
    """Run the command line; its status."""
    options = parser().parse_args(arguments)
    try:
        if _OF_APPS & os.environ.keys():
            report = doctor.examine(runtime.services(), with_event=options.event)
        else:
            report = _ask_app(options.event)
    except (PipelineError, SettingsError, CommandFailed) as error:
        print(f"the doctor cannot begin: {error}", file=sys.stderr)
        if isinstance(error, SettingsError):
            print("set them, or ask the app itself: GET /api/doctor with its master key", file=sys.stderr)
        return status_of(error)
    for check in report.checks:
        print(f"{check.result:>7}  {check.check}: {check.found}")
        if check.mend:
            print(f"         {check.mend}")
    return Exit.FAILED if report.wrong else Exit.DONE


def parser() -> argparse.ArgumentParser:
    """What can be given on the command line."""
    found = argparse.ArgumentParser(prog="droptune doctor", description="What is wrong, and what mends it.")
    found.add_argument("--event", action="store_true", help="also upload a probe and wait for Event Grid to tell of it")
    return found


def _ask_app(with_event: bool) -> DoctorReport:
    """What the app that the other commands talk to says of itself. Raises CommandFailed."""
    target = find_target()
    with AppClient(replace(target, key=target.master or target.key)) as client:
        try:
            found = client.get("doctor", **({"event": "true"} if with_event else {}))
        except CommandFailed as failure:
            if failure.status != Exit.NO_ACCESS:
                raise
            text = f"{target.app} lets only its master key ask the doctor: set DROPTUNE_KEY to it for this command"
            raise CommandFailed(failure.status, text) from failure
    return msgspec.convert(found, DoctorReport)


if __name__ == "__main__":
    sys.exit(main())
