"""What a caller sees of an HTTP answer: the response is sent as the server would, whole or in events."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response


@dataclass
class Sent:
    """An answer that was sent. `events`: the data of server-sent events, JSON where it is; `comments`: the pings."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    finished: bool = False

    @property
    def streamed(self) -> bool:
        """Whether it came in events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def events(self) -> list[Any]:
        """The data of its events."""
        found = [line.removeprefix("data: ") for line in self._lines if line.startswith("data: ")]
        return [data if data == "[DONE]" else json.loads(data) for data in found]

    @property
    def comments(self) -> list[str]:
        """The lines that clients pass over."""
        return [line for line in self._lines if line.startswith(":")]

    @property
    def _lines(self) -> list[str]:
        return self.body.decode().split("\n")


async def sent(response: Response, take: int | None = None) -> Sent:
    """Sends a response; after `take` pieces of its body the caller leaves."""
    found, left = Sent(), asyncio.Event()
    pieces = 0

    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal pieces
        if message["type"] == "http.response.start":
            found.status = message["status"]
            found.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            return
        found.body += message.get("body", b"")
        found.finished = not message.get("more_body", False)
        pieces += 1
        if pieces == take:
            left.set()
            await asyncio.sleep(0.05)

    await response({"type": "http", "method": "POST", "asgi": {"spec_version": "2.3"}}, receive, send)
    return found
