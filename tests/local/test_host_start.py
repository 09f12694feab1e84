"""What stops the host from starting: always exit code 1 and the reason, never a half-started host."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.local.host_apps.harness import Starter

pytest_plugins = ["tests.local.host_apps.harness"]

HEAD = "import azure.functions as func\napp = func.FunctionApp()\n"
TIMER = '@app.timer_trigger("timer", "{}")\ndef tick(timer: func.TimerRequest) -> None: ...\n'
QUEUE = '@app.queue_trigger("m", "{}", "{}")\ndef read(m: func.QueueMessage) -> None: ...\n'
ROUTE = '@app.route("{}")\ndef page(req: func.HttpRequest) -> str: return ""\n'


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "no functions found"),
        (HEAD, "no functions found"),
        ("x = 1\n", "Could not find top level function app instances"),
        ("import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found'"),
        ("def broken(:\n", "SyntaxError"),
        ("import sys\nsys.exit(4)\n", r"ended its process while it was imported \(exit code 4\)"),
        (HEAD + ROUTE.format("a") + ROUTE.format("b"), "does not have a unique function name"),
        (HEAD + ROUTE.format("a").replace("req:", "req, more:"), "cannot load the page function"),
        (HEAD + ROUTE.format("{id:nope}"), "function page: .*unknown route constraint 'nope'"),
        (HEAD + TIMER.format("0 0 25 * * *"), "function tick: .*'25' cannot be read as hours"),
        (HEAD + TIMER.format("%WHEN%"), "function tick: the app setting WHEN, used as %WHEN%, is missing"),
        (HEAD + QUEUE.format("q", "NOWHERE"), "function read: the connection NOWHERE needs .* is missing"),
        (HEAD + QUEUE.format("q", "BYNAME"), r"identity \(BYNAME__queueServiceUri\); .*connection string"),
        (HEAD + QUEUE.format("q", "BROKEN"), "connection string cannot be used"),
        (
            HEAD + '@app.blob_trigger("b", "c/{n}", "X")\ndef read(b: func.InputStream) -> None: ...\n',
            "function read: the trigger blobTrigger is not imitated",
        ),
        (
            HEAD + '@app.blob_output("o", "c/n", "X")\n' + ROUTE.format("a").replace("req:", "o: func.Out[str], req:"),
            "function page: the binding blob .o. is not imitated",
        ),
    ],
)
def test_an_app_that_cannot_be_served_ends_the_host(start: Starter, source: str | None, reason: str) -> None:
    settings = {"BYNAME__queueServiceUri": "https://x.queue.core.windows.net", "BROKEN": "AccountName=x"}
    host = start(source=source, **settings)
    assert host.wait() == 1
    host.logged(f"The app cannot be started: .*{reason}")
    assert "serving" not in host.log


def test_a_failing_import_shows_where_it_failed(start: Starter) -> None:
    host = start(source=HEAD + "\n\nraise RuntimeError('at import')\n")
    assert host.wait() == 1
    host.logged(r'function_app.py", line 5')
    host.logged("RuntimeError: at import")


def test_a_taken_port_is_said(start: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        host = start("http_app", "--port", str(port))
        assert host.wait() == 1
    host.logged(f"port {port} cannot be used: Address already in use")


def test_the_reason_is_red_where_colours_are_wanted(start: Starter) -> None:
    host = start(source="x = 1\n", FORCE_COLOR="1")
    assert host.wait() == 1
    assert "\x1b[31m" in host.log


def test_a_function_can_be_switched_off_by_a_setting(start: Starter) -> None:
    source = HEAD + ROUTE.format("page") + TIMER.format("%MISSING_IS_FINE%").replace("%MISSING_IS_FINE%", "* * * * * *")
    host = start(source=source, **{"AzureWebJobs.tick.Disabled": "true"}).ready()
    assert host.client.get("/admin/host/status").json()["functions"] == ["page"]


def test_sources_other_than_the_app_are_not_on_its_way(start: Starter) -> None:
    """A module of the app wins over one of the same name elsewhere, as in Azure."""
    host = start(source=HEAD + ROUTE.format("p") + "import pathlib\nassert pathlib.Path('function_app.py').exists()\n")
    host.ready()


def test_the_host_starts_fast(start: Starter) -> None:
    """What it computes until then: the time on the clock depends on what else the machine does."""
    host = start("http_app").ready()
    spent = psutil.Process(host.process.pid).cpu_times()
    assert spent.user + spent.system < 3
