"""What a child process does to never outlive the server, and how it hears from it.

Called by the child's `main`. Two nets: the kernel's parent-death signal (Linux), and standard input, which
ends when the server does, however it died.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import sys
import threading
from typing import Any, TextIO

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; only Linux knows how."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


class Lifeline:
    """Messages from the server, one JSON document a line; the end of them is the end of this process."""

    def __init__(self, incoming: TextIO, outgoing: TextIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="lifeline", daemon=True).start()

    def _read(self) -> None:
        for line in self._incoming:
            self._messages.put(json.loads(line))
        os._exit(0)

    def receive(self) -> dict[str, Any]:
        """Wait for the next message."""
        return self._messages.get()

    def send(self, message: dict[str, Any]) -> None:
        """Tell the server."""
        self._outgoing.write(json.dumps(message) + "\n")
        self._outgoing.flush()


def connect() -> Lifeline:
    """Tie this process to its parent; from here on printing goes to standard error, which is the log."""
    die_with_parent()
    outgoing = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return Lifeline(sys.stdin, outgoing)
