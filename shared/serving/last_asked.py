"""Keeps `last_asked_at` of datasets, which their idleness is judged by: once an hour for each, and once a minute while
a request may be about to put it to sleep.

The write goes on beside the call: however slow storage is, no answer waits for it. One that fails is made up for by a
later call. Repeated: it only ever moves the time forward. An endpoint is judged by its own metrics as well, so the
calls of an hour that are not on record here keep it all the same.
"""

from __future__ import annotations

import logging
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING

from shared.errors import PipelineError

if TYPE_CHECKING:
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

log = logging.getLogger(__name__)

# The longest and the shortest pause (s) between two writes; and the part of IDLE_HOURS that may go by without one.
SELDOM, OFTEN, PART = 3600.0, 60.0, 1 / 24


class LastAsked:
    """Writes when datasets were last asked, one write at a time, in a thread of its own."""

    def __init__(self, services: Services, executor: Executor | None = None) -> None:
        self._services = services
        self._executor = executor or ThreadPoolExecutor(1, "last-asked")
        self._noted: dict[str, float] = {}

    def note(self, row: Dataset) -> None:
        """This dataset is asked now."""
        now = self._services.clock()
        if now < max(row.last_asked_at, self._noted.get(row.name, 0.0)) + self._pause(row):
            return
        self._noted[row.name] = now
        self._executor.submit(self._write, row.key, row.name, now)

    def close(self) -> None:
        """Returns when everything noted is written."""
        self._executor.shutdown()

    def _pause(self, row: Dataset) -> float:
        if row.requested is not None:
            return OFTEN
        return max(OFTEN, min(SELDOM, self._services.settings.idle_hours * 3600 * PART))

    def _write(self, key: str, name: str, now: float) -> None:
        try:
            self._services.ledger.change(key, lambda row: row.but(last_asked_at=max(row.last_asked_at, now)))
        except PipelineError as error:  # it is written with a later call
            self._noted.pop(name, None)
            log.warning("last_asked_at of %s not written: %s", name, error)
