"""What arrived: every request but the control API's own, for tests to look at."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from typing import Any

KEPT = 10_000
KEPT_BODY = 64 * 1024


class RequestLog:
    """The last requests, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._arrived = asyncio.Event()

    def add(self, method: str, path: str, query: str, body: bytes) -> dict[str, Any]:
        """Note a request; its status follows when it is answered. The body is read when somebody looks."""
        kept = body if len(body) <= KEPT_BODY else b""
        entry = {"method": method, "path": path, "query": query, "body": kept, "status": None}
        self._entries.append(entry)
        self._arrived.set()
        self._arrived = asyncio.Event()
        return entry

    def find(self, method: str, path: str) -> list[dict[str, Any]]:
        """Those of a method (empty: any) whose path contains a pattern."""
        return [{**entry, "body": _readable(entry["body"])} for entry in self._fitting(method, path)]

    async def wait(self, method: str, path: str, at_least: int) -> None:
        """Return once that many have arrived."""
        while len(self._fitting(method, path)) < at_least:
            await self._arrived.wait()

    def _fitting(self, method: str, path: str) -> list[dict[str, Any]]:
        pattern = re.compile(path)
        return [entry for entry in self._entries if method in ("", entry["method"]) and pattern.search(entry["path"])]

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()


def _readable(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
