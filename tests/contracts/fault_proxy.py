"""A proxy in front of Azurite that loses, delays, cuts off or refuses requests as a test asks for.

Assumptions: `storage-errors`.
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Fault:
    """What happens to the next `times` requests that match; `after`: once the service has done what was asked.

    `status` and `code` answer in the service's place; `reset` ends the connection; `cut` sends half of the answer and
    ends it; `silent` sends nothing until the proxy stops.
    """

    name: str
    status: int = 0
    code: str = ""
    reset: bool = False
    cut: bool = False
    silent: bool = False
    after: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    matches: Callable[[str, str], bool] = lambda method, path: True
    seen: int = 0


class FaultProxy(ThreadingHTTPServer):
    """Passes requests on to `port`, and notes their methods and paths."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.port = port
        self.fault: Fault | None = None
        self.requests: list[str] = []
        self.lock = threading.Lock()
        self.over = threading.Event()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets."""
        with self.lock:
            self.requests.append(f"{method} {path}")
            fault = self.fault
            if fault is None or fault.seen >= fault.times or not fault.matches(method, path):
                return None
            fault.seen += 1
            return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has hung up is no news."""


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultProxy

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.take(self.command, self.path)
        if fault is None:
            self._answer(*self._asked(body))
            return
        answer = self._asked(body) if fault.after or fault.cut else None
        if fault.silent:
            self.server.over.wait()
        if fault.reset or fault.silent:
            self._reset()
        elif fault.cut and answer:
            self._answer(*answer, cut=True)
        else:
            told = {"x-ms-error-code": fault.code, **fault.headers}
            text = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>no</Message></Error>".encode()
            self._answer(fault.status, {"Content-Type": "application/xml", **told}, text)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

    def _asked(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        service = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=90)
        service.request(self.command, self.path, body, dict(self.headers))
        answer = service.getresponse()
        found = answer.status, dict(answer.headers), answer.read()
        service.close()
        return found

    def _answer(self, status: int, headers: dict[str, str], body: bytes, cut: bool = False) -> None:
        self.send_response(status)
        skipped = {"transfer-encoding", "connection", "keep-alive", "content-length", "date", "server"}
        for name, value in headers.items():
            if name.lower() not in skipped:
                self.send_header(name, value)
        length = headers.get("Content-Length", headers.get("content-length", ""))
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._reset()

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@contextmanager
def proxied(port: int) -> Iterator[FaultProxy]:
    """A proxy in front of a port, while the block lasts."""
    with FaultProxy(port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            proxy.shutdown()
            thread.join()
