"""How calls ended, per release: counted where they are answered, read by the shift that compares candidate and live.

Every process counts in memory and writes what it counted to the container `work`, one blob for a minute and a process:
`counts/<dataset>/<deployment>/<minute>-<process>.json`. A blob always holds all that its process counted in that
minute, so writing it again adds nothing. A process that dies loses what it counted since its last flush: the calls of
`FLUSH_SECONDS`, and more only if storage did not take them; those are written with the next call's.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from shared.errors import NotFound, PipelineError
from shared.ledger.record import UNREADABLE
from shared.ledger.release import CallResult, CallStats
from shared.ledger.storage import BlobStore

log = logging.getLogger(__name__)

CONTAINER = "work"
FLUSH_SECONDS = 15.0
# While a rollout looks at the counts between its stages, they are not to be older than this.
WATCHED_SECONDS = 1.0
# Latencies are kept as powers of this: a percentile is off by 5 % at most, and counts of many processes add up.
_STEP = 1.1


class _Second(msgspec.Struct):
    """One second's counts, and of the answered calls how many took `_STEP ** n` seconds."""

    answered: int = 0
    failed: int = 0
    refused: int = 0
    busy: int = 0
    left: int = 0
    took: dict[int, int] = {}


_RESULTS: tuple[CallResult, ...] = ("answered", "failed", "refused", "busy", "left")

type _Minute = dict[int, _Second]

_MINUTE = msgspec.json.Decoder(dict[int, _Second])


@dataclass
class Counts:
    """What this process counts. `clock` gives seconds since 1970, UTC; `note` is called from an event loop."""

    storage: BlobStore
    clock: Callable[[], float]
    process: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _minutes: dict[tuple[str, str, int], _Minute] = field(default_factory=dict)
    _unwritten: set[tuple[str, str, int]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _due: tuple[float, asyncio.Task[None]] | None = None

    def note(self, dataset: str, deployment: str, how: CallResult, seconds: float, watched: bool = False) -> None:
        """One more call that ended so, after so many seconds. `watched`: a rollout wants to know soon."""
        now = self.clock()
        at = (dataset, deployment, int(now // 60))
        with self._lock:
            second = self._minutes.setdefault(at, {}).setdefault(int(now), _Second())
            setattr(second, how, getattr(second, how) + 1)
            if how == "answered":
                bucket = round(math.log(max(seconds, 1e-4), _STEP))
                second.took[bucket] = second.took.get(bucket, 0) + 1
            self._unwritten.add(at)
        self._flush_in(WATCHED_SECONDS if watched else FLUSH_SECONDS)

    def flush(self) -> None:
        """Writes what was counted since the last time. What cannot be written now is written the next time."""
        with self._lock:
            written = {at: msgspec.json.encode(self._minutes[at]) for at in self._unwritten}
            self._unwritten.clear()
        for at, data in written.items():
            try:
                self.storage.put(CONTAINER, f"{_folder(*at[:2])}{_minute(at[2] * 60)}-{self.process}.json", data)
            except PipelineError as error:
                log.warning("counts of %s/%s not written: %s", at[0], at[1], error)
                with self._lock:
                    self._unwritten.add(at)
        with self._lock:
            over = int(self.clock() // 60) - 1
            for at in [at for at in self._minutes if at[2] < over and at not in self._unwritten]:
                del self._minutes[at]

    def since(self, dataset: str, deployment: str, since: float) -> CallStats:
        """How the calls to a deployment ended since a time (exact to the second), over all processes."""
        total, took = Counter[str](), Counter[int]()
        folder, first = _folder(dataset, deployment), _minute(since)
        for blob in self.storage.list(CONTAINER, folder):
            if blob.name.removeprefix(folder) < first:
                continue
            for second in _seconds(self.storage, blob.name, since):
                total.update({result: getattr(second, result) for result in _RESULTS})
                took.update(second.took)
        return CallStats(
            asked=total.total(),
            failed=total["failed"],
            refused=total["refused"],
            busy=total["busy"],
            left=total["left"],
            p50_seconds=_percentile(took, 0.5),
            p95_seconds=_percentile(took, 0.95),
        )

    def forget(self, before: float) -> int:
        """Deletes what was counted before a time; returns how many blobs that were."""
        last, deleted = _minute(before), 0
        for blob in self.storage.list(CONTAINER, "counts/"):
            if blob.name.rsplit("/", 1)[-1] < last:
                self.storage.delete(CONTAINER, blob.name)
                deleted += 1
        return deleted

    def _flush_in(self, seconds: float) -> None:
        """Sees to it that a flush comes within so many seconds."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._due is not None and self._due[1].get_loop() is loop and not self._due[1].done():
            if self._due[0] <= due:
                return
            self._due[1].cancel()
        self._due = (due, loop.create_task(self._flush_later(seconds)))

    async def _flush_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._due = None  # what is noted from now on needs another flush
        await asyncio.to_thread(self.flush)


def _seconds(storage: BlobStore, name: str, since: float) -> Iterator[_Second]:
    try:
        minute = _MINUTE.decode(storage.read(CONTAINER, name)[0])
    except NotFound:  # forgotten meanwhile
        return
    except UNREADABLE as error:
        log.error("%s/%s is damaged and not counted: %s", CONTAINER, name, error)
        return
    yield from (second for at, second in minute.items() if at + 1 > since)


def _percentile(took: Counter[int], share: float) -> float | None:
    """The percentile by nearest rank, in seconds; None when nothing was answered."""
    if not took:
        return None
    import numpy

    bucket = numpy.quantile([*took], share, weights=[*took.values()], method="inverted_cdf")
    return float(f"{_STEP ** float(bucket):.3g}")


def _folder(dataset: str, deployment: str) -> str:
    return f"counts/{dataset}/{deployment}/"


def _minute(at: float) -> str:
    """A minute as text that sorts as time does."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%d%H%M")
