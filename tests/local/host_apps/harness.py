"""Runs the local host as a child process, and listens to what happens in the app (fixtures for test_host_*.py)."""

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

APPS = Path(__file__).parent
ROOT = APPS.parents[2]
PATIENCE = 90.0


class Note:
    """Something the app told; it goes on once it is answered."""

    def __init__(self, fields: dict[str, Any], connection: socket.socket) -> None:
        self.fields = fields
        self._connection = connection

    def answer(self) -> None:
        with self._connection:
            self._connection.sendall(b"go on\n")


class Witness:
    """The ear of a test: `hear` returns what the app tells, and lets it go on unless told to hold."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._notes: queue.Queue[Note] = queue.Queue()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def hear(self) -> dict[str, Any]:
        note = self.hold()
        note.answer()
        return note.fields

    def hold(self) -> Note:
        return self._notes.get(timeout=PATIENCE)

    def heard_nothing(self) -> bool:
        return self._notes.empty()

    def close(self) -> None:
        self._listening.close()
        for connection in self._connections:
            connection.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            with connection.makefile() as stream:
                line = stream.readline()
            if line:
                self._notes.put(Note(json.loads(line), connection))


class HostProcess:
    """One running host and its log."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ready(self) -> "HostProcess":
        self.url = self.logged(r"serving \d+ functions on (http://\S+)")[1]
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)
        self.keys = json.loads((self.folder / "keys.json").read_text())
        return self

    def logged(self, pattern: str) -> re.Match[str]:
        """Wait for a line in the log."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while True:
                for line in self.lines:
                    if found := re.search(pattern, line):
                        return found
                left = deadline - time.monotonic()
                if self._ended or not self._news.wait(left):
                    pytest.fail(f"no line like {pattern!r} in:\n{self.log}")

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def closed(self) -> None:
        """Returns once new connections are refused: the host has begun to stop."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{self.url}/healthz", timeout=PATIENCE, trust_env=False)
            except httpx.TransportError:
                return
        pytest.fail("the host still takes requests")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join()
        if self.process.stderr:
            self.process.stderr.close()
        if hasattr(self, "client"):
            self.client.close()
        return code

    def run_by_hand(self, function: str, text: str = "") -> httpx.Response:
        key = {"x-functions-key": self.keys["master"]}
        return self.client.post(f"/admin/functions/{function}?wait=true", json={"input": text}, headers=key)

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


@pytest.fixture
def witness() -> Iterator[Witness]:
    ear = Witness()
    yield ear
    ear.close()


Starter = Callable[..., HostProcess]


@pytest.fixture
def start(tmp_path: Path, witness: Witness) -> Iterator[Starter]:
    """Starts hosts for one test, and ends them."""
    with starter(tmp_path, witness) as begin:
        yield begin


@pytest.fixture(scope="module")
def ear() -> Iterator[Witness]:
    """The witness of a host that the tests of a file share."""
    witness = Witness()
    yield witness
    witness.close()


@pytest.fixture(scope="module")
def start_once(tmp_path_factory: pytest.TempPathFactory, ear: Witness) -> Iterator[Starter]:
    """Starts a host that the tests of a file share: those that only call it, and leave nothing running."""
    with starter(tmp_path_factory.mktemp("host"), ear) as begin:
        yield begin


@contextlib.contextmanager
def starter(folder: Path, witness: Witness) -> Iterator[Starter]:
    """Starts hosts: an app's name (or its source), host.json, app settings, more arguments. Ends them all."""
    hosts: list[HostProcess] = []

    def begin(
        app: str = "",
        *arguments: str,
        source: str | None = None,
        host_json: dict[str, Any] | None = None,
        state_in: str = "state",
        **settings: str,
    ) -> HostProcess:
        code = folder / f"app{len(hosts)}"
        if app:
            shutil.copytree(APPS / app, code, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            code.mkdir()
        if source is not None:
            (code / "function_app.py").write_text(source)
        if host_json is not None:
            (code / "host.json").write_text(json.dumps({"version": "2.0", **host_json}))
        state = folder / state_in
        command = [sys.executable, "-m", "local.host", "--app", str(code), "--port", "0"]
        host = HostProcess([*command, "--folder", str(state), *arguments], _environment(witness, settings), state)
        hosts.append(host)
        return host

    try:
        yield begin
    finally:
        for host in hosts:
            if host.process.poll() is None:
                host.end(signal.SIGKILL)


def _environment(witness: Witness, settings: dict[str, str]) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **inherited,
        "PYTHONDONTWRITEBYTECODE": "1",
        "WITNESS_PORT": str(witness.port),
        **settings,
    }
