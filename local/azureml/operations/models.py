"""Work that goes on after the answer: one operation at a time per resource, its outcome kept for pollers.

Resources start it and set their own provisioningState; the outcome kept here adds the error's code, which the
resource document does not show.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

import msgspec

from local.azureml.store import ResourceTable

log = logging.getLogger(__name__)


class OperationFailed(Exception):
    """An operation ends Failed, with the code and message that pollers see."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class OperationStatus(msgspec.Struct):
    """How an operation stands."""

    status: str
    code: str = ""
    message: str = ""


class Operations:
    """All operations of this process."""

    def __init__(self, table: ResourceTable[OperationStatus]) -> None:
        self.table = table
        self._running: dict[str, asyncio.Task[None]] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()

    def start(self, key: str, work: Coroutine[None, None, None]) -> None:
        """Begin; an operation under way on the same resource is given up first."""
        self.give_up(key)
        self.table.put(key, OperationStatus("InProgress"))
        task = asyncio.create_task(self._follow(key, work), name=key)
        self._running[key.lower()] = task

    async def _follow(self, key: str, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except OperationFailed as error:
            self.table.put(key, OperationStatus("Failed", error.code, error.message))
        except Exception as error:
            log.exception("operation %s broke", key)
            self.table.put(key, OperationStatus("Failed", "InternalServerError", str(error)))
        else:
            self.table.put(key, OperationStatus("Succeeded"))
        if self._running.get(key.lower()) is asyncio.current_task():
            del self._running[key.lower()]
        self._wake()

    def give_up(self, key: str) -> None:
        """Stop an operation where it stands; nothing happens when none is under way."""
        task = self._running.pop(key.lower(), None)
        if task is not None:
            task.cancel()
            self._wake()

    def watch(self, work: Coroutine[None, None, None]) -> None:
        """Run something that only waits for trouble; nobody waits for it."""
        task = asyncio.create_task(work)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def idle(self) -> None:
        """Return as soon as nothing moves."""
        while self._running:
            await self._moved.wait()

    def moving(self) -> list[str]:
        """Keys of what is under way."""
        return sorted(self._running)

    async def stop(self) -> None:
        """Give everything up and wait until it has ended; the resources keep their unfinished states."""
        tasks = [*self._running.values(), *self._watching]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
