"""A real webhook for the tests of the Event Grid broker: takes part in handshakes and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

PATIENCE = 90.0


@dataclass(frozen=True)
class Received:
    """One notification as it came over the wire."""

    headers: Mapping[str, str]
    body: Any

    @property
    def event(self) -> dict[str, Any]:
        """The only event of it, in whichever schema."""
        if isinstance(self.body, list):
            assert len(self.body) == 1
            found: dict[str, Any] = self.body[0]
            return found
        assert isinstance(self.body, dict)
        return self.body


class Webhook:
    """Listens while its `with` block runs. `handshake` is "now", "never" or "later" (by the validation address)."""

    def __init__(self, handshake: str = "now") -> None:
        self.handshake = handshake
        self.validation: dict[str, Any] = {}
        self.options: Mapping[str, str] = {}
        self._received: list[Received] = []
        self._answers: list[int] = []
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}/hook?code=secret"

    def answer(self, *statuses: int) -> None:
        """Answer the next notifications so; 200 after them."""
        self._answers.extend(statuses)

    def wait_for(self, count: int) -> list[Received]:
        """The notifications so far, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._received) >= count, PATIENCE), self._received
            return list(self._received)

    @property
    def received(self) -> list[Received]:
        """The notifications so far."""
        return list(self._received)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, headers: Mapping[str, str], body: Any) -> tuple[int, Any]:
        if headers.get("aeg-event-type") == "SubscriptionValidation":
            self.validation = body[0]["data"]
            code = {"validationResponse": self.validation["validationCode"]}
            return (403, {}) if self.handshake == "never" else (200, code if self.handshake == "now" else {})
        with self._changed:
            self._received.append(Received(headers, body))
            self._changed.notify_all()
            return (self._answers.pop(0) if self._answers else 200), {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = webhook._take({k.lower(): v for k, v in self.headers.items()}, body)
                self.reply(status, json.dumps(answer).encode())

            def do_OPTIONS(self) -> None:
                webhook.options = {k.lower(): v for k, v in self.headers.items()}
                self.reply(200, b"", {"WebHook-Allowed-Origin": webhook.options["webhook-request-origin"]})

            def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
