"""`python -m local.host --app FOLDER --port P --folder F`: run a Functions app on this machine.

Exit code 0 after SIGTERM or SIGINT, 1 with the reason on standard error if the app cannot be served. A second
signal does not wait for running invocations. Starting again in the same folder keeps keys and timer records.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from local.host import functions, keys, logs, runtime, settings, streaming
from local.host.errors import CannotStart
from local.host.parts import HostPlan, Triggers
from local.host.server import HostServer

log = logging.getLogger("host")

# The host's loop and the app's share one interpreter here, in Azure they are two processes: neither is to wait for the
# 5 ms for which a busy thread may keep the other one out.
_SWITCH_SECONDS = 0.0005
_FAREWELL = 1.0  # for the app's own exit handlers; whatever still blocks then is cut off


def main() -> int:
    """Run the host; its exit code."""
    started = time.perf_counter()
    sys.setswitchinterval(_SWITCH_SECONDS)
    arguments = _parse()
    os.umask(0o077)  # keys, and what the app writes
    logs.set_up()
    try:
        return asyncio.run(_run(arguments, started))
    except CannotStart as wrong:
        logs.complain(f"{wrong.detail}\nThe app cannot be started: {wrong}".strip())
        return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.host", description="A local Azure Functions host.")
    parser.add_argument("--app", type=Path, required=True, help="folder of function_app.py and host.json")
    parser.add_argument("--port", type=int, default=7071, help="port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--folder", type=Path, required=True, help="folder for keys and timer records")
    parser.add_argument(
        "--visibility",
        type=int,
        default=15,
        metavar="SECONDS",
        help="for how long a dead host's queue messages stay hidden (renewed while their function runs)",
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="for how long running invocations may go on after SIGTERM",
    )
    return parser.parse_args()


async def _run(arguments: argparse.Namespace, started: float) -> int:
    """Index the app on this loop, then serve from a thread until stopped."""
    folder = arguments.folder.resolve()
    plan_settings = settings.read_host_json(arguments.app)
    access = keys.load(folder)
    listening = _listen(arguments.port)
    indexed = await runtime.index(arguments.app.resolve())
    found = functions.read(indexed.functions, os.environ)
    plan = HostPlan(found, plan_settings, access, folder, arguments.visibility, indexed.http_address)
    server = HostServer(Triggers(plan, asyncio.get_running_loop()), arguments.grace)
    if indexed.http_address:
        await streaming.until_open(indexed.http_address)  # that server sets signal handlers: ours come after
        logs.quieten()
    _obey_signals(server)

    def ready() -> None:
        port, taken = listening.getsockname()[1], time.perf_counter() - started
        log.info("serving %d functions on http://127.0.0.1:%d after %.2f s", len(found), port, taken)

    return await asyncio.wrap_future(_serve(server, listening, ready))


def _listen(port: int) -> socket.socket:
    """The listening socket, before the app is imported: a taken port is known at once, early callers wait."""
    # With the protocol named, asyncio sets TCP_NODELAY; otherwise every streamed answer waits 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(512)
    except OSError as error:
        raise CannotStart(f"port {port} cannot be used: {error.strerror}") from error
    return listening


def _obey_signals(server: HostServer) -> None:
    def obey(*_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
        server.stop()

    # Not the loop's own handlers: the app's loop may be blocked by the app.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, obey)


def _serve(server: HostServer, listening: socket.socket, ready: Callable[[], None]) -> Future[int]:
    """Run the server in a thread; its exit code. Ends the process itself if the app's loop does not."""
    outcome: Future[int] = Future()

    def work() -> None:
        try:
            ended, code = asyncio.run(server.serve(listening, ready)), 0
        except Exception:
            log.exception("the host broke")
            ended, code = False, 1
        logging.getLogger("uvicorn.error").disabled = True  # a streaming app's server is cut off, and says so
        _end_children()
        sys.stdout.flush()
        logging.shutdown()
        leave = threading.Timer(_FAREWELL if ended else 0.0, os._exit, [code])
        leave.daemon = True
        leave.start()
        outcome.set_result(code)

    threading.Thread(target=work, name="host", daemon=True).start()
    return outcome


def _end_children() -> None:
    """Take along the processes that the app started and did not end."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        try:
            child.terminate()
        except psutil.NoSuchProcess:
            continue


if __name__ == "__main__":
    sys.exit(main())
