"""Keeps a worker that was paused for too long from writing to Azure ML.

A conditional write stops it in storage. Azure ML knows no such condition, and a job or a traffic split that comes
minutes late undoes what others did meanwhile. So the engine says here which lease a step runs under, and every write
to the workspace asks here, just before it is sent, whether that lease outlasts the request. It narrows the gap and
does not close it: a process that is paused between the question and the request still writes late, and what it writes
must then be what the next worker writes as well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Protocol

# The longest a request to Azure ML may take (s): to connect, and to be answered.
CONNECT_SECONDS, ANSWER_SECONDS = 3, 12


class HeldLease(Protocol):
    """A lease as its holder sees it. `check` raises LeaseHeld when it is lost, or ends within `left` seconds."""

    def check(self, left: float = 0) -> None: ...
    def release(self) -> None: ...


_HELD: ContextVar[HeldLease | None] = ContextVar("held", default=None)


@contextlib.contextmanager
def under(lease: HeldLease) -> Iterator[None]:
    """What is done inside is done under this lease: in this thread, and in what asyncio starts from it.

    A thread that is started by hand knows of no lease; its writes are not checked.
    """
    token = _HELD.set(lease)
    try:
        yield
    finally:
        _HELD.reset(token)


def check() -> None:
    """Raises LeaseHeld unless the lease of this step lasts longer than a request; without one, does nothing."""
    lease = _HELD.get()
    if lease is not None:
        lease.check(CONNECT_SECONDS + ANSWER_SECONDS)
