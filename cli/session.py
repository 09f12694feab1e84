"""A client of the app for the time of one command: what fails inside ends the command with its status."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from cli.failures import CommandFailed, Exit

if TYPE_CHECKING:
    from cli.client import AppClient


@contextmanager
def app_client() -> Iterator[AppClient]:
    """A client of the app."""
    from cli.client import AppClient
    from cli.target import find_target

    with failures(), AppClient(find_target()) as client:
        yield client


@contextmanager
def failures() -> Iterator[None]:
    """What fails inside is told on standard error and ends the command with its status."""
    try:
        yield
    except CommandFailed as failure:
        print(f"droptune: {failure}", file=sys.stderr)
        raise typer.Exit(failure.status) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
