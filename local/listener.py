"""A small web hook that subscribes to a topic of the local Event Grid and gives the events to its owner.

Used by the demo and by tests, which wait for an event instead of asking again and again. It ends with its owner.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import httpx


class TopicListener:
    """Receives every event of one topic from now on, as CloudEvents; `get` hands them out in the order of arrival."""

    def __init__(self, eventgrid_url: str, topic: str) -> None:
        self._url, self._name = eventgrid_url, f"listener-{uuid.uuid4().hex[:8]}"
        self._topic = topic
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        address = f"http://127.0.0.1:{self._server.server_port}/"
        body = {"topic": self._topic, "endpoint": address, "schema": "CloudEventSchemaV1_0"}
        httpx.put(f"{self._url}/subscriptions/{self._name}", json=body, timeout=30).raise_for_status()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(httpx.HTTPError):  # the broker may be gone, and its subscriptions with it
            httpx.delete(f"{self._url}/subscriptions/{self._name}", timeout=10)
        self._server.shutdown()
        self._server.server_close()

    def get(self, timeout: float) -> dict[str, Any] | None:
        """The next event, or None when none came in time (s)."""
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        received = self._events

        class WebhookHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_OPTIONS(self) -> None:
                """The handshake of CloudEvents: who asks may send."""
                self.send_response(200)
                self.send_header("WebHook-Allowed-Origin", self.headers.get("WebHook-Request-Origin", "*"))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                received.put(json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0)))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return WebhookHandler
