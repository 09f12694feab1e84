"""The life of the host: HTTP server and listeners on a loop of their own, from ready to stopped.

`__main__` runs it in a thread beside the app's loop, so that the app can block its own loop without stopping
the host.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

import uvicorn

from local.host.parts import Triggers

log = logging.getLogger("host")

# As in Azure's host, whose web server keeps idle connections for so long: with uvicorn's own 5 s, a client that looks
# every 5 s asks now and then just when its connection is closed.
_KEEP_SECONDS = 130
_LAST_WORDS = 1.0  # for what is left once no function runs: responses, deletions of messages


class HostServer:
    """One running host. `serve` is its whole life; `stop` may be called from any thread or signal handler."""

    def __init__(self, parts: Triggers, grace: float) -> None:
        self._parts = parts
        self._grace = grace
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._web = uvicorn.Server(
            uvicorn.Config(
                parts.application,
                lifespan="off",
                log_config=None,
                access_log=False,
                ws="none",
                timeout_keep_alive=_KEEP_SECONDS,
            )
        )

    def stop(self) -> None:
        """End in order: take nothing new, let invocations finish for as long as the grace lasts."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._stop.set)
        else:
            self._stop.set()

    async def serve(self, listening: socket.socket, ready: Callable[[], None]) -> bool:
        """Serve until stopped; whether everything had ended by then. Raises if a part of the host broke."""
        self._loop = asyncio.get_running_loop()
        stopping = asyncio.create_task(self._stop.wait())
        tasks = [asyncio.create_task(listener.run()) for listener in self._parts.listeners]
        tasks.append(asyncio.create_task(self._web.serve([listening])))
        ready()
        await asyncio.wait((stopping, *tasks), return_when=asyncio.FIRST_COMPLETED)
        broken = [] if stopping.done() else [task for task in tasks if task.done()]
        for task in broken:
            log.critical("a part of the host ended by itself", exc_info=task.exception())
        ended = await self._wind_down(tasks)
        if broken:
            raise RuntimeError("a part of the host ended by itself")
        return ended

    async def _wind_down(self, tasks: list[asyncio.Task[None]]) -> bool:
        listeners = self._parts.listeners
        for listener in listeners:
            listener.stop()
        self._web.should_exit = True
        if not await self._parts.drained(self._grace):
            return False
        rest = asyncio.gather(*tasks, *(each.finish() for each in listeners), return_exceptions=True)
        try:
            await asyncio.wait_for(rest, _LAST_WORDS)
        except TimeoutError:
            return False
        await self._parts.close()
        return True
