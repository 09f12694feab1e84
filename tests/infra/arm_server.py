"""A control plane in memory for the hooks: resources by path, functions that are listed late, and refusals on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

APP = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/app"
DATA = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/data"
UPLOADS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/systemTopics/uploads"
RUNS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/systemTopics/runs"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/ml"
GROUP = "/subscriptions/s/resourceGroups/g"


class ArmInMemory:
    """What there is. `refuse`: the next answers to a method and the end of a path, as status, code and message."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.functions: list[str] = ["snapshot_uploaded", "run_changed", "health"]
        self.listed_after = 0
        self.refuse: list[tuple[str, str, int, str, str]] = []
        self.requests: list[tuple[str, str]] = []
        self.checks: list[dict[str, Any]] = [{"check": "storage", "result": "well", "found": "fine"}]
        self.better_after = 0

    @property
    def wrote(self) -> list[tuple[str, str]]:
        """The requests that change something."""
        return [one for one in self.requests if one[0] in ("PUT", "DELETE")]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Status and document."""
        self.requests.append((method, path))
        for number, (wanted, end, status, code, message) in enumerate(self.refuse):
            if method == wanted and path.endswith(end):
                del self.refuse[number]
                return status, {"error": {"code": code, "message": message}}
        if path == "/api/doctor":
            self.better_after -= 1
            wrong = [{"check": "metrics", "result": "wrong", "found": "HTTP 403", "mend": "wait"}]
            return 200, {"checks": self.checks + (wrong if self.better_after >= 0 else [])}
        if path.endswith("/listKeys"):
            return 200, {"masterKey": "master"}
        if path.endswith("/functions"):
            self.listed_after -= 1
            listed = self.functions if self.listed_after < 0 else []
            return 200, {"value": [{"name": f"app/{name}"} for name in listed]}
        if "api-version" not in query:
            return 400, {"error": {"code": "MissingApiVersionParameter", "message": "no api-version"}}
        return self._resource(method, path, query, body)

    def _resource(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if method == "PUT":
            properties = {**body["properties"], "provisioningState": "Succeeded"}
            self.resources[path] = {"id": path, "name": path.rpartition("/")[2], "properties": properties}
            return 201, self.resources[path]
        if method == "DELETE":
            below = [one for one in self.resources if one == path or one.startswith(f"{path}/")]
            for one in below:
                del self.resources[one]
            return (202, {}) if below else (204, None)
        if path.endswith("/resources"):
            tagged = query["$filter"][0].rpartition("'")[0].rpartition("'")[2]
            return 200, {
                "value": [one for one in self.resources.values() if one.get("tags", {}).get("azd-env-name") == tagged]
            }
        if path in self.resources:
            return 200, self.resources[path]
        if path.endswith("/onlineEndpoints"):
            return 200, {"value": [one for key, one in self.resources.items() if key.startswith(f"{path}/")]}
        return 404, {"error": {"code": "ResourceNotFound", "message": f"{path} was not found"}}


@contextmanager
def served(arm: ArmInMemory) -> Iterator[str]:
    """The address under which it answers."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length) or b"null")
            status, document = arm.answer(self.command, parts.path, parse_qs(parts.query), body)
            content = b"" if document is None else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = _answer

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
