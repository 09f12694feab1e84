"""Look for what is damaged in the ledger, and mend it or set it aside: `python -m cli.ledger [--mend] [BLOB...]`.

Runs against the storage that the settings name, with the caller's own sign-in. Without `--mend` it changes nothing.
What is set aside stays in `ledger/_set_aside/`, so that a person can correct it and put it back. Exit status: 0 nothing
is damaged (any more), 1 something is, 2 the settings are wrong; 4 and 5 the ledger could not be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cli.failures import Exit, status_of
from shared import runtime
from shared.config.settings import SettingsError
from shared.errors import PipelineError
from shared.operations import damage
from shared.runtime import Services


def main(arguments: Sequence[str] | None = None) -> Exit:
    """Run the command line; its status."""
    options = parser().parse_args(arguments)
    try:
        return look(runtime.services(), options.mend, options.blobs)
    except (PipelineError, SettingsError) as error:
        print(f"the ledger could not be read: {error}", file=sys.stderr)
        return status_of(error)


def look(services: Services, mend: bool, blobs: Sequence[str] = ()) -> Exit:
    """Tells what is damaged, or mends it; only these blobs, if there are any."""
    found = [one for one in damage.find(services) if not blobs or one.blob in blobs]
    for one in found:
        print(f"{one.blob}: {one.why}" if not mend else damage.mend(services, one))
    if not found:
        print("nothing is damaged")
    if mend:
        found = damage.find(services)
        damage.record(services, found)
    return Exit.FAILED if found else Exit.DONE


def parser() -> argparse.ArgumentParser:
    """What can be given on the command line."""
    found = argparse.ArgumentParser(prog="droptune ledger", description="Look for what is damaged in the ledger.")
    found.add_argument("blobs", nargs="*", metavar="BLOB", help="only these, as they are named; default: all")
    found.add_argument("--mend", action="store_true", help="mend what can be mended, set aside what cannot")
    return found


if __name__ == "__main__":
    sys.exit(main())
