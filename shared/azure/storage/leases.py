"""A lease on a blob in `locks`: whoever holds it is the only one at work on a row."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from shared.errors import LeaseHeld


class Lease:
    """A lease that is held, and renewed in the background until it is released or lost.

    `renew` and `release` are sent once and return within a few seconds, whatever the service does: a renewal that
    fails is made again soon, as long as the lease lasts.
    """

    def __init__(self, renew: Callable[[], object], release: Callable[[], object], seconds: float) -> None:
        self._renew, self._release, self._seconds = renew, release, seconds
        self._until = time.monotonic() + seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self, left: float = 0) -> None:
        """Raises LeaseHeld when the lease is lost, or ends within `left` seconds: somebody else may hold it then."""
        if time.monotonic() + left > self._until:
            raise LeaseHeld("the lease was lost while the step ran")

    def release(self) -> None:
        """Gives the lease back; harmless when it is lost already."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(Exception):  # a lease that cannot be released runs out by itself
            self._release()

    def _keep(self) -> None:
        pause = self._seconds / 5
        while not self._stop.wait(pause):
            asked = time.monotonic()
            try:
                self._renew()
            except Exception:  # noqa: BLE001 - whatever went wrong, only the clock decides whether it is still ours
                pause = self._seconds / 20
                continue
            self._until, pause = asked + self._seconds, self._seconds / 5
