"""A Hugging Face Hub on loopback: what `datasets` asks of one when it streams, and nothing else.

`datasets` reads `HF_ENDPOINT` when it is imported, so whoever streams from here is a process of its own.

Assumptions: `hub-streaming`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "1" * 40
# What a stranger proposed: the Hub serves it by its id as well.
PROPOSED = "2" * 40
# What the tag v1 is, of a branch that was deleted.
TAGGED = "3" * 40
# Files by their paths, by the name of their dataset.
type Datasets = Mapping[str, Mapping[str, bytes]]


class HubServer(ThreadingHTTPServer):
    """Answers for some datasets at one commit; `asked` has the requests for content, as path and range."""

    daemon_threads = True

    def __init__(self, datasets: Datasets) -> None:
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.datasets = datasets
        self.asked: list[tuple[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def hub_server(datasets: Datasets) -> Iterator[HubServer]:
    """A Hub with these datasets, while it is needed."""
    with HubServer(datasets) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        parts = unquote(address.path).strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            self._api("/".join(parts[2:4]), parts[4:], parse_qs(address.query))
        elif parts[0] == "datasets" and parts[3:4] == ["resolve"]:
            self._content("/".join(parts[1:3]), "/".join(parts[5:]))
        else:
            self._json({"error": "Not found"}, 404)

    do_HEAD = do_GET

    def _api(self, name: str, rest: list[str], query: dict[str, list[str]]) -> None:
        files = self.server.datasets.get(name)
        if files is None:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif rest == ["refs"]:
            branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": COMMIT}
            tag = {"name": "v1", "ref": "refs/tags/v1", "targetCommit": TAGGED}
            self._json({"branches": [branch], "converts": [], "tags": [tag], "pullRequests": []})
        elif rest[:1] == ["commits"]:
            commit = {"id": COMMIT, "authors": [], "date": "2026-09-21T14:13:20.000Z", "title": "t", "message": "m"}
            self._json([commit])
        elif rest[:1] == ["tree"]:
            self._json(_tree(files, "/".join(rest[2:]), query.get("recursive", [""])[0].lower() == "true"))
        else:
            siblings = [{"rfilename": path} for path in files]
            self._json({"_id": "1", "id": name, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings})

    def _content(self, name: str, path: str) -> None:
        data = self.server.datasets.get(name, {}).get(path)
        if data is None:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range", "")
        if self.command == "GET":
            self.server.asked.append((path, wanted))
        if not wanted or self.command == "HEAD":
            self._send(data, 200, headers)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        end = min(int(last or len(data)), len(data) - 1)
        self._send(data[int(first) : end + 1], 206, {**headers, "Content-Range": f"bytes {first}-{end}/{len(data)}"})

    def _json(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._send(json.dumps(content).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, data: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


def _tree(files: Mapping[str, bytes], folder: str, recursive: bool) -> list[dict[str, Any]]:
    """What is in a folder, as the Hub lists it."""
    below = f"{folder}/" if folder else ""
    inside = {path: data for path, data in files.items() if path.startswith(below)}
    found = [
        {"type": "file", "oid": hashlib.sha1(data).hexdigest(), "size": len(data), "path": path}
        for path, data in inside.items()
        if recursive or "/" not in path.removeprefix(below)
    ]
    folders = {below + path.removeprefix(below).split("/")[0] for path in inside if "/" in path.removeprefix(below)}
    return found + [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in sorted(folders)]
