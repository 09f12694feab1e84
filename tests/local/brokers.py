"""A broker process for the tests of the Event Grid broker, and short words for its HTTP surface."""

from __future__ import annotations

import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

from local.ports import free_port
from local.processes import MARK, ChildProcess
from local.reaper import Reaper

KEY = "the-topic-key"


class BrokerProcess:
    """`python -m local.eventgrid`, started, killed and started again on the same port and folder."""

    def __init__(self, folder: Path, storage: str, log: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.mark = f"tests#{uuid.uuid4()}"
        self.url = f"http://127.0.0.1:{self._port}"
        self._command = [sys.executable, "-m", "local.eventgrid", "--folder", str(folder), "--port", str(self._port)]
        self._command += ["--azurite-log", str(log)]
        self._secrets = {"STORAGE_CONNECTION": storage, "EVENTGRID_KEY": KEY}
        self.client = httpx.Client(base_url=self.url, timeout=90)

    def start(self) -> None:
        """Start it and wait until it answers."""
        root = Path(__file__).parent.parent.parent
        log = self._folder / "broker.log"
        self.child = ChildProcess.start(
            self._command, {**os.environ, **self._secrets, MARK: self.mark}, log, folder=root
        )
        deadline = time.monotonic() + 90
        while True:
            try:
                assert self.client.get("/healthz").json() == {"status": "ok"}
                return
            except httpx.TransportError:
                assert self.child.exit_code is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)

    def topic(self, name: str) -> str:
        """The address to publish to."""
        return f"{self.url}/topics/{name}/api/events"

    def subscribe(self, name: str, endpoint: str, **described: Any) -> httpx.Response:
        """Make a subscription; quick retries unless told otherwise."""
        described = {"topic": "custom", "endpoint": endpoint, "retry": {"delays": [0.05]}, **described}
        return self.client.put(f"/subscriptions/{name}", json=described)

    def faults(self, **faults: Any) -> None:
        """Replace the faults."""
        assert self.client.put("/faults", json=faults).status_code == 200

    def settle(self, timeout: float = 30) -> bool:
        """Wait until nothing is pending; whether that came to be."""
        settled: bool = self.client.get("/settled", params={"timeout": timeout}).json()["settled"]
        return settled

    def deliveries(self, **narrowed: str) -> list[dict[str, Any]]:
        """The latest deliveries."""
        found: list[dict[str, Any]] = self.client.get("/deliveries", params=narrowed).json()
        return found

    def reset(self) -> None:
        """No faults, no subscriptions."""
        self.faults()
        for subscription in self.client.get("/subscriptions").json():
            self.client.delete(f"/subscriptions/{subscription['name']}")


def guard(broker: BrokerProcess) -> Reaper:
    """What ends the broker should the tests be killed."""
    return Reaper(broker.mark)
