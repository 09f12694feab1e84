"""Starts child processes (`python -m <module>`) and talks to them: one JSON document a line, both ways.

Used by jobs and deployments. Children end with this process (see `lifeline`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Long enough for an error message with a row in it.
LINE_LIMIT = 16 * 1024 * 1024


def child_environment() -> dict[str, str]:
    """This process's environment, without what would slow a child down or make it call home."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment.update(
        MLFLOW_DISABLE_TELEMETRY="true",
        DO_NOT_TRACK="true",
        # One model answers short questions: threads for linear algebra only cost memory and start-up time.
        OPENBLAS_NUM_THREADS="1",
        OMP_NUM_THREADS="1",
    )
    return environment


class ChildEnded(Exception):
    """The child ended without saying what was waited for."""


class Child:
    """One running child."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._in = process.stdin
        self._out = process.stdout
        self._ended = asyncio.create_task(process.wait())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, message: Mapping[str, Any]) -> None:
        """Tell it something; a child that has ended does not hear it."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._in.write(json.dumps(message).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        """Its next message; ChildEnded if there will be none."""
        line = await self._out.readline()
        if not line:
            raise ChildEnded(f"process {self.pid} ended with code {await self.ended()}")
        message: dict[str, Any] = json.loads(line)
        return message

    async def ended(self) -> int:
        """Wait for its end; its exit code."""
        return await asyncio.shield(self._ended)

    async def kill(self) -> None:
        """End it now and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self.ended()
        self._in.close()


class Children:
    """Starts children and remembers them until they end."""

    def __init__(self) -> None:
        self._running: set[Child] = set()

    async def start(self, module: str, log: Path) -> Child:
        """Run `python -m module`, its standard error appended to a log file."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=child_environment(),
                limit=LINE_LIMIT,
            )
        child = Child(process)
        self._running.add(child)
        child._ended.add_done_callback(lambda _: self._running.discard(child))
        return child

    async def stop(self) -> None:
        """End them all."""
        await asyncio.gather(*(child.kill() for child in list(self._running)))
