"""Log lines of host and app, on standard error, tagged with their invocation; set up by `__main__`."""

import io
import logging
import os
import sys
from typing import TextIO

from local.host.runtime import current_invocation


class _Tagged(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.invocation = current_invocation() or "-"
        return True


class _WithoutDots(io.TextIOWrapper):
    def write(self, text: str, /) -> int:
        return len(text) if text == "." else super().write(text)


def without_dots(output: TextIO) -> TextIO:
    """The same output, but lone dots are dropped.

    Azure ML's SDK prints one, without an end of line, at every look at a long operation. They say nothing, and the log
    records that share a file with them would begin anywhere in a line.
    """
    return _WithoutDots(output.buffer, encoding=output.encoding, errors=output.errors, line_buffering=True)


def set_up() -> None:
    """INFO and above for the host and the app; the Azure SDKs, which report every request, at WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Tagged())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(invocation)s] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    quieten()
    sys.stdout = without_dots(sys.stdout)


def quieten() -> None:
    """Keep chatty libraries down; again after the app was imported, since uvicorn sets up its own logging."""
    for name in ("azure", "uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.handlers.clear()
        logger.propagate = True


def complain(text: str) -> None:
    """Say why the host does not start; in red where colours are shown."""
    coloured = (sys.stderr.isatty() or os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR")
    print(f"\033[31m{text}\033[0m" if coloured else text, file=sys.stderr, flush=True)
