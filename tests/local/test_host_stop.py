"""How the host ends."""

from __future__ import annotations

import os
import select
import signal
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.local.host_apps.harness import HostProcess, Starter, Witness

pytest_plugins = ["tests.local.host_apps.harness"]


class Request:
    """A request under way, in a thread."""

    def __init__(self, host: HostProcess, path: str) -> None:
        self.answer: Any = None
        self._thread = threading.Thread(target=self._send, args=(f"{host.url}{path}",))
        self._thread.start()

    def _send(self, url: str) -> None:
        try:
            self.answer = httpx.get(url, timeout=90, trust_env=False)
        except httpx.HTTPError as error:
            self.answer = error

    def result(self) -> Any:
        self._thread.join(90)
        return self.answer

    def succeeded(self) -> bool:
        answer = self.result()
        return isinstance(answer, httpx.Response) and answer.is_success


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_host_ends_at_once_with_exit_code_0(start: Starter, number: int) -> None:
    host = start("http_app").ready()
    host.client.get("/healthz")  # leaves an idle connection open
    assert host.end(number) == 0


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_running_invocation_may_finish(start: Starter, witness: Witness, kind: str) -> None:
    host = start("http_app", "--grace", "15").ready()
    request = Request(host, f"/api/wait/{kind}")
    held = witness.hold()
    host.process.send_signal(signal.SIGTERM)
    host.closed()
    held.answer()
    assert host.wait() == 0
    assert request.result().text == "waited"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_endless_invocation_is_cut_off(start: Starter, witness: Witness, kind: str) -> None:
    """Even one that blocks the app's loop, on which it runs."""
    host = start("http_app", "--grace", "0.2").ready()
    request = Request(host, f"/api/wait/{kind}")
    witness.hold()
    assert host.end() == 0
    host.logged("stopping with 1 invocations unfinished")
    assert not request.succeeded()


def test_a_second_signal_does_not_wait(start: Starter, witness: Witness) -> None:
    host = start("http_app", "--grace", "600").ready()
    request = Request(host, "/api/wait/sync")
    witness.hold()
    host.process.send_signal(signal.SIGTERM)
    host.closed()
    assert host.end() == 0
    assert not request.succeeded()


def test_the_apps_child_processes_and_threads_end_with_it(start: Starter) -> None:
    source = """
import subprocess, threading
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
child = subprocess.Popen(["sleep", "600"])
threading.Thread(target=threading.Event().wait).start()

@app.route("child")
def show(req: func.HttpRequest) -> str:
    return str(child.pid)
"""
    host = start(source=source).ready()
    ending = os.pidfd_open(int(host.client.get("/api/child").text))
    assert host.end() == 0
    poll = select.poll()
    poll.register(ending, select.POLLIN)  # readable once the process has ended
    assert poll.poll(5000)
    os.close(ending)
