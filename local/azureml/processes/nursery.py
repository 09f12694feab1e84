"""A process that has imported what jobs and deployments need, and forks one of them in milliseconds.

`python -m local.azureml.processes.nursery FD`, started by `children`. Importing MLflow takes seconds, and
every job and every deployment needs it; the nursery pays once. A child does just what `python -m <module>`
does. Linux only: other systems' libraries do not bear a fork, there children are started from nothing.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import traceback
from typing import Any

from local.azureml.processes.lifeline import die_with_parent

IMPORTED_BEFOREHAND = (
    "mlflow.pyfunc",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.loops.asyncio",
    "local.azureml.serving.server",
    "local.azureml.training.converter",
    "local.azureml.training.datastore",
    "local.azureml.training.retrieval",
    "local.azureml.training.steps",
    "rapidfuzz.process",
    "rapidfuzz.fuzz",
)
# Child's standard input, output and error, in this order.
DESCRIPTORS = 3
MESSAGE_LIMIT = 65536


def main() -> None:
    """Import, then fork on request until the server hangs up."""
    die_with_parent()
    server = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in IMPORTED_BEFOREHAND:
        importlib.import_module(name)
    # Shared pages stay shared when the collector does not touch them.
    gc.collect()
    gc.freeze()
    serve(server)


def serve(server: socket.socket) -> None:
    """Take requests and report ended children, whichever comes first."""
    wake, woken = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    woken.recv(MESSAGE_LIMIT)
                report_ended(server)
            if server in ready:
                data, descriptors, _, _ = socket.recv_fds(server, MESSAGE_LIMIT, DESCRIPTORS)
                if not data:
                    return
                fork(server, json.loads(data), descriptors)


def report_ended(server: socket.socket) -> None:
    """Tell the server of every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            tell(server, {"ended": ended[0], "code": os.waitstatus_to_exitcode(ended[1])})


def tell(server: socket.socket, message: dict[str, Any]) -> None:
    """One message to the server."""
    server.sendall(json.dumps(message).encode())


def fork(server: socket.socket, message: dict[str, Any], descriptors: list[int]) -> None:
    """Start one child."""
    child = os.fork()
    if child == 0:
        server.close()
        become(message["module"], descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    tell(server, {"started": message["id"], "pid": child})


def become(module: str, descriptors: list[int]) -> None:
    """In the child: be `python -m module`, and end as it ends."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
            os.close(descriptor)
        random.seed()
        sys.argv = [module]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 (the last frame of a process)
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
