"""Picks free ports for the parts of a local cloud. Used by the supervisor and the test fixtures.

Ports come from below the range the kernel hands to outgoing connections, so that no connection made between
the choice and the bind can take one; chosen at random, so that two clouds starting at once do not meet.
"""

from __future__ import annotations

import random
import socket

RANGE = range(15000, 30000)

# What this process has handed out already and whoever got it may not have bound yet.
_given: set[int] = set()


class NoFreePort(Exception):
    """None of the ports tried could be bound."""


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of the loopback interface now."""
    with socket.socket() as probe:
        # As servers do it: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A free port that this process has not handed out before."""
    for port in random.sample(RANGE, 500):
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise NoFreePort(
        f"none of 500 ports between {RANGE.start} and {RANGE.stop - 1} could be bound: end programs that listen there"
    )
