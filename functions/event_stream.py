"""An HTTP answer in server-sent events, with a ping while nothing is said. Loaded by the first call that streams.

The library ends all streams at once when the server is asked to stop, unless it is told not to: here each answer has a
limited time of its own and is finished within the server's grace.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus
from starlette.types import Receive, Scope, Send

PING_SECONDS = 15.0

AppStatus.enable_automatic_graceful_drain = False


class EventStream(EventSourceResponse):
    """These events, or ones with these data. When the caller leaves, or after the last one, what makes them is closed
    at once."""

    def __init__(self, data: AsyncGenerator[str] | AsyncGenerator[ServerSentEvent]) -> None:
        super().__init__(data, headers={"Cache-Control": "no-cache"}, ping=PING_SECONDS, sep="\n")
        self.ping_message_factory = lambda: ServerSentEvent(comment="ping", sep="\n")
        self._data = data

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._data.aclose()
