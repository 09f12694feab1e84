"""What was scored, by minute: counted by the scoring proxy, read by Azure Monitor's query.

Kept in memory and written out every second, so that a stop loses nothing and a kill at most a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from local.azureml.clock import Clock
from local.azureml.store import ResourceTable

# Enough to tell percentiles of a busy minute.
KEPT_LATENCIES = 1000


log = logging.getLogger(__name__)


class Bucket(msgspec.Struct):
    """Requests of one minute with one status at one deployment."""

    endpoint: str
    deployment: str
    # Start of the minute, seconds since 1970.
    minute: int
    status: int
    count: int = 0
    latencies: list[float] = []

    @property
    def key(self) -> str:
        """Its place in the table."""
        return f"{self.endpoint}/{self.deployment}/{self.minute}/{self.status}"


@dataclass
class EndpointMetrics:
    """All buckets."""

    table: ResourceTable[Bucket]
    clock: Clock
    _changed: dict[str, Bucket] = field(default_factory=dict)

    def record(self, endpoint: str, deployment: str, status: int, milliseconds: float, count: int = 1) -> None:
        """Count requests that were answered now."""
        minute = int(self.clock.now().timestamp()) // 60 * 60
        fresh = Bucket(endpoint, deployment, minute, status)
        bucket = self._changed.get(fresh.key) or self.table.get(fresh.key) or fresh
        bucket.count += count
        if len(bucket.latencies) < KEPT_LATENCIES:
            bucket.latencies.append(milliseconds)
        self._changed[fresh.key] = bucket

    def flush(self) -> None:
        """Write out what changed."""
        for key, bucket in self._changed.items():
            self.table.put(key, bucket)
        self._changed.clear()

    async def keep_flushing(self) -> None:
        """Write out every second until cancelled."""
        while True:
            await asyncio.sleep(1)
            try:
                self.flush()
            except sqlite3.Error as error:  # a full disk: what is counted stays in memory until there is room
                log.warning("metrics cannot be written: %s", error)

    def between(self, endpoint: str, start: datetime, end: datetime) -> list[Bucket]:
        """Buckets of an endpoint whose minute begins in the span, oldest first."""
        self.flush()
        low, high = start.timestamp(), end.timestamp()
        rows = [row for row in self.table if row.endpoint.lower() == endpoint.lower()]
        return sorted((row for row in rows if low <= row.minute < high), key=lambda row: row.minute)


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile of values that are not empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
