"""The server's end of the nursery, with a socket in the nursery's place."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from local.azureml.processes.children import ChildEnded, NurseryClient


async def forked(nursery: NurseryClient, theirs: socket.socket, log: int) -> tuple[asyncio.Task[object], int]:
    """Somebody who waits for a child, and the number of the request."""
    waiting: asyncio.Task[object] = asyncio.create_task(nursery.fork("module", log))
    request, descriptors, _, _ = await asyncio.to_thread(socket.recv_fds, theirs, 4096, 3)
    for descriptor in descriptors:
        socket.close(descriptor)
    # It must have got to the answer: nothing else is left to do for it.
    for _ in range(20):
        await asyncio.sleep(0)
    return waiting, json.loads(request)["id"]


async def listening(nursery: NurseryClient) -> socket.socket:
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    nursery._socket, nursery._listening = ours, asyncio.create_task(nursery._listen(ours))
    nursery._starting = asyncio.create_task(asyncio.sleep(0))
    return theirs


def test_start_that_was_cancelled_disturbs_neither_other_children_nor_the_end(tmp_path: Path) -> None:
    async def story() -> None:
        nursery = NurseryClient()
        theirs = await listening(nursery)
        with theirs, (tmp_path / "log").open("wb") as log:
            answered, number = await forked(nursery, theirs, log.fileno())
            unanswered, _ = await forked(nursery, theirs, log.fileno())
            waiting, _ = await forked(nursery, theirs, log.fileno())
            for cancelled in (answered, unanswered):
                cancelled.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await cancelled
            theirs.send(json.dumps({"started": number, "pid": 1}).encode())
        with pytest.raises(ChildEnded):
            async with asyncio.timeout(10):
                await waiting
        await nursery.stop()

    asyncio.run(story())
