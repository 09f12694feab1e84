"""A deployment's process as the control plane knows it: starting, answering, or gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from local.azureml.processes.children import Child, ChildEnded, Children

SERVER_LOG = "inference-server.txt"
STORAGE_LOG = "storage-initializer.txt"


class ReplicaNotReady(Exception):
    """The container ended, or did not answer its probe in time."""


@dataclass
class Replica:
    """One process that serves one model folder."""

    folder: Path
    child: Child | None = None
    port: int | None = None
    # Requests being answered now.
    in_flight: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(
        self, children: Children, specification: dict[str, Any], session: aiohttp.ClientSession, limit: float
    ) -> None:
        """Return once the process answers its probe; NotReady when it does not."""
        self.child = await children.start("local.azureml.serving", self.folder / SERVER_LOG)
        self.child.send({**specification, "folder": str(self.folder), "storage_log": str(self.folder / STORAGE_LOG)})
        try:
            async with asyncio.timeout(limit):
                self.port = (await self.child.receive())["port"]
                async with session.get(f"http://127.0.0.1:{self.port}/") as probe:
                    probe.raise_for_status()
        except (ChildEnded, TimeoutError, aiohttp.ClientError) as error:
            await self.stop()
            raise ReplicaNotReady(f"The container did not become ready ({str(error) or 'time is up'}).") from error
        self.ready.set()

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """One request more is in flight, as long as the block lasts."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def stop(self) -> None:
        """End the process; its logs stay."""
        self.ready.clear()
        if self.child is not None:
            await self.child.kill()

    def tail(self, name: str, lines: int) -> str:
        """The last lines of one container's log."""
        path = self.folder / name
        if not path.exists():
            return ""
        return "".join(path.read_text(errors="replace").splitlines(keepends=True)[-lines:])
