"""Ends what a supervisor left running when it died: `python -m local.reaper MARK`, started by each supervisor.

It reads its standard input, a pipe whose other end only the supervisor holds, and so learns of its end however it
comes, SIGKILL included, on any system. Then it ends every process that bears the mark, grandchildren too.
When the supervisor has ended them itself, nothing is found and nothing done.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from local.processes import MARK, end, marked


class Reaper:
    """Guards the processes of one mark for as long as the `with` block runs."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.reaper", self._mark],
            env={name: value for name, value in os.environ.items() if name != MARK},
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            # What ends the supervisor's whole process group must not end this one.
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def main(mark: str) -> None:
    """Wait for the end of the supervisor, then for that of everything it started."""
    sys.stdin.buffer.read()
    end(marked(mark))


if __name__ == "__main__":
    main(sys.argv[1])
