"""Starts child processes (`python -m <module>`) and talks to them: one JSON document a line, both ways.

Used by jobs and deployments. Children end with this process (see `lifeline`). On Linux they are forked from
a process that has imported everything already (see `nursery`); elsewhere each is started from nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
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
        # pyarrow's allocator would start a thread at import; a process with threads cannot be forked safely.
        JE_ARROW_MALLOC_CONF="background_thread:false",
    )
    return environment


class ChildEnded(Exception):
    """The child ended without saying what was waited for."""


class Child:
    """One running child."""

    def __init__(
        self,
        pid: int,
        incoming: asyncio.StreamWriter,
        outgoing: asyncio.StreamReader,
        end: asyncio.Future[int],
    ) -> None:
        self.pid = pid
        self._in = incoming
        self._out = outgoing
        self.end = end

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
        return await asyncio.shield(self.end)

    async def kill(self) -> None:
        """End it now and wait until it is gone."""
        if not self.end.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        await self.ended()
        self._in.close()


class Children:
    """Starts children and remembers them until they end."""

    def __init__(self) -> None:
        self._running: set[Child] = set()
        self._nursery = NurseryClient() if sys.platform == "linux" else None

    def warm_up(self) -> None:
        """Let the nursery begin to import, so that the first child need not wait for it."""
        if self._nursery is not None:
            self._nursery.begin()

    async def start(self, module: str, log: Path) -> Child:
        """Run `python -m module`, its standard error appended to a log file."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            if self._nursery is not None:
                child = await self._nursery.fork(module, errors.fileno())
            else:
                child = await start_from_nothing(module, errors.fileno())
        self._running.add(child)
        child.end.add_done_callback(lambda _: self._running.discard(child))
        return child

    async def stop(self) -> None:
        """End them all, the nursery last."""
        await asyncio.gather(*(child.kill() for child in list(self._running)))
        if self._nursery is not None:
            await self._nursery.stop()


async def start_from_nothing(module: str, errors: int) -> Child:
    """A child with an interpreter of its own."""
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
    assert process.stdin is not None
    assert process.stdout is not None
    return Child(process.pid, process.stdin, process.stdout, asyncio.create_task(process.wait()))


class NurseryClient:
    """The server's end of the nursery. It is started on first need, and again if it should ever end."""

    def __init__(self) -> None:
        self._starting: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._listening: asyncio.Task[None] | None = None
        self._next_id = 0
        self._starts: dict[int, asyncio.Future[tuple[int, asyncio.Future[int]]]] = {}
        self._ends: dict[int, asyncio.Future[int]] = {}

    def begin(self) -> asyncio.Task[None]:
        """Start the process unless it runs."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return self._starting

    async def _start(self) -> None:
        # Packets keep each request together with its own descriptors.
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "local.azureml.processes.nursery",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                env=child_environment(),
                pass_fds=[theirs.fileno()],
            )
        ours.setblocking(False)
        self._socket = ours
        self._listening = asyncio.create_task(self._listen(ours))

    async def _listen(self, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            while packet := await loop.sock_recv(ours, LINE_LIMIT):
                self._hear(json.loads(packet))
        finally:
            ours.close()
            self._starting = None
            # Children die with their parent.
            for end in self._ends.values():
                if not end.done():
                    end.set_result(-signal.SIGKILL)
            for start in self._starts.values():
                if not start.done():
                    start.set_exception(ChildEnded("the nursery ended"))
            self._ends.clear()
            self._starts.clear()

    def _hear(self, message: dict[str, int]) -> None:
        if "started" in message:
            # Before anything else is heard: the next packet may be the end of this child.
            pid = message["pid"]
            end = self._ends[pid] = asyncio.get_running_loop().create_future()
            start = self._starts.pop(message["started"])
            # Whoever asked for it may have been cancelled meanwhile; the others are still listened for.
            if not start.done():
                start.set_result((pid, end))
        elif message["ended"] in self._ends:
            self._ends.pop(message["ended"]).set_result(message["code"])

    async def fork(self, module: str, errors: int) -> Child:
        """A child of the nursery."""
        await asyncio.shield(self.begin())
        assert self._socket is not None
        self._next_id += 1
        started = self._starts[self._next_id] = asyncio.get_running_loop().create_future()
        child_in, our_out = os.pipe()
        our_in, child_out = os.pipe()
        request = json.dumps({"module": module, "id": self._next_id}).encode()
        socket.send_fds(self._socket, [request], [child_in, child_out, errors])
        os.close(child_in)
        os.close(child_out)
        incoming, outgoing = await _streams(our_out, our_in)
        try:
            pid, end = await started
        except asyncio.CancelledError:
            # Nobody will speak to it: the end of its input ends it.
            incoming.close()
            raise
        return Child(pid, incoming, outgoing, end)

    async def stop(self) -> None:
        """End the nursery."""
        if self._starting is not None:
            await self._starting
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._listening is not None:
            await self._listening


async def _streams(write: int, read: int) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    """Two pipe ends as streams."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb", 0))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(write, "wb", 0))
    return asyncio.StreamWriter(transport, protocol, None, loop), reader
