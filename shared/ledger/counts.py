"""How calls ended, per release: counted where they are answered, read by the shift that compares candidate and live.

Every process counts in memory and writes what it counted to the container `work`, one blob for a minute and a process,
of all datasets together: `calls/<minute>-<process>.json`. So counting costs a fixed amount for each process. A blob
always holds all that its process counted in that minute, so writing it again adds nothing. A process that dies loses
what it counted since its last flush: the calls of `FLUSH_SECONDS`, or of a few seconds while a rollout watches, and
more only if storage did not take them; those are written with the next call's.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from shared.errors import NotFound, PipelineError
from shared.ledger.record import UNREADABLE
from shared.ledger.release import CallResult, CallStats
from shared.ledger.storage import BlobStore, ListedBlob

log = logging.getLogger(__name__)

CONTAINER, FOLDER = "work", "calls/"
# Where the version before had its counts, which nobody reads any more.
OLD_FOLDER = "counts/"
FLUSH_SECONDS = 60.0
# So many minutes of a process are kept as they were read: those that are over do not change.
_READ_KEPT = 2000
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
# What one process counted in one minute: by dataset and deployment.
type _Calls = dict[str, dict[str, _Minute]]

_CALLS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ALL = msgspec.json.Decoder(dict[str, dict[str, dict[int, _Second]]])
_OF_DATASET = msgspec.json.Decoder(dict[str, dict[int, _Second]])


@dataclass
class Counts:
    """What this process counts. `clock` gives seconds since 1970, UTC; `note` is called from an event loop.

    `watched_seconds`: so much later at most is written what a rollout looks at.
    """

    storage: BlobStore
    clock: Callable[[], float]
    process: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    watched_seconds: float = 15.0
    _minutes: dict[int, _Calls] = field(default_factory=dict)
    _unwritten: set[int] = field(default_factory=set)
    _read: dict[tuple[str, str, str], dict[str, _Minute]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _due: tuple[float, asyncio.Task[None]] | None = None

    def note(self, dataset: str, deployment: str, how: CallResult, seconds: float, watched: bool = False) -> None:
        """One more call that ended so, after so many seconds. `watched`: a rollout wants to know soon."""
        now = self.clock()
        at = int(now // 60)
        with self._lock:
            calls = self._minutes.setdefault(at, {}).setdefault(dataset, {}).setdefault(deployment, {})
            second = calls.setdefault(int(now), _Second())
            setattr(second, how, getattr(second, how) + 1)
            if how == "answered":
                bucket = round(math.log(max(seconds, 1e-4), _STEP))
                second.took[bucket] = second.took.get(bucket, 0) + 1
            self._unwritten.add(at)
        self._flush_in(self.watched_seconds if watched else FLUSH_SECONDS)

    def flush(self) -> None:
        """Writes what was counted since the last time. What cannot be written now is written the next time.

        One after the other: of two at once, what was counted first might be written last.
        """
        with self._writing:
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            written = {at: msgspec.json.encode(self._minutes[at]) for at in self._unwritten}
            self._unwritten.clear()
        for at, data in written.items():
            try:
                self.storage.put(CONTAINER, f"{FOLDER}{minute_text(at * 60)}-{self.process}.json", data)
            except PipelineError as error:
                log.warning("counts of %s not written: %s", minute_text(at * 60), error)
                with self._lock:
                    self._unwritten.add(at)
        with self._lock:
            over = int(self.clock() // 60) - 1
            for at in [at for at in self._minutes if at < over and at not in self._unwritten]:
                del self._minutes[at]

    def since(self, dataset: str, deployment: str, since: float) -> CallStats:
        """How the calls to a deployment ended since a time (exact to the second), over all processes."""
        found: list[_Second] = []
        for blob in listed_since(self.storage, since, self.clock()):
            minute = self._of_dataset(blob.name, blob.etag, dataset).get(deployment, {})
            found += [second for at, second in minute.items() if at + 1 > since]
        return _stats(found)

    def by_minute(self, dataset: str, since: float) -> dict[int, CallStats]:
        """How the calls to a dataset ended in each minute (of so many since 1970) in which there was one, from that of
        a time on, over all processes and deployments."""
        found: dict[int, list[_Second]] = {}
        for blob in listed_since(self.storage, since, self.clock()):
            for minute in self._of_dataset(blob.name, blob.etag, dataset).values():
                for at, second in minute.items():
                    found.setdefault(at // 60, []).append(second)
        return {at: _stats(seconds) for at, seconds in sorted(found.items())}

    def forget(self, before: float) -> int:
        """Deletes what was counted before a time; returns how many blobs that were."""
        last, old = minute_text(before), [blob.name for blob in self.storage.list(CONTAINER, FOLDER)]
        gone = [name for name in old if name.removeprefix(FOLDER) < last]
        older = [blob.name for blob in self.storage.list(CONTAINER, OLD_FOLDER)]
        gone += [name for name in older if name.rsplit("/", 1)[-1] < last]
        self.storage.delete_many(CONTAINER, gone)
        return len(gone)

    def _of_dataset(self, name: str, etag: str, dataset: str) -> dict[str, _Minute]:
        """What a blob has of a dataset, by deployment. It is read once, however often it is looked at."""
        key = (name, etag, dataset)
        if key not in self._read:
            found = _read_calls(self.storage, name, dataset)
            with self._lock:
                while len(self._read) >= _READ_KEPT:
                    del self._read[next(iter(self._read))]
                self._read[key] = found
        return self._read[key]

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


def listed_since(storage: BlobStore, since: float, now: float) -> Iterator[ListedBlob]:
    """The blobs of minutes from a time on, in the order of time: one listing, of no more than has to be."""
    first = minute_text(since)
    prefix = os.path.commonprefix([first, minute_text(now)])  # noqa: RUF071 - character by character is meant
    return (blob for blob in storage.list(CONTAINER, f"{FOLDER}{prefix}") if blob.name.removeprefix(FOLDER) >= first)


def minute_text(at: float) -> str:
    """The minute of a time (UTC seconds), as text that sorts as time does: `202611270915`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%d%H%M")


def minute_of(blob: str) -> str:
    """The minute that a blob is of, as such a text."""
    return blob.removeprefix(FOLDER).partition("-")[0]


def calls_in(storage: BlobStore, blob: str) -> dict[str, int]:
    """How many calls a blob counts, by dataset; none of one that is gone or damaged."""
    try:
        found = _ALL.decode(storage.read(CONTAINER, blob)[0])
    except NotFound:
        return {}
    except UNREADABLE as error:
        log.error("%s/%s is damaged and not counted: %s", CONTAINER, blob, error)
        return {}
    return {
        dataset: sum(
            getattr(second, result) for minute in of.values() for second in minute.values() for result in _RESULTS
        )
        for dataset, of in found.items()
    }


def _read_calls(storage: BlobStore, name: str, dataset: str) -> dict[str, _Minute]:
    try:
        found = _CALLS.decode(storage.read(CONTAINER, name)[0]).get(dataset)
        return _OF_DATASET.decode(found) if found else {}
    except NotFound:  # forgotten meanwhile
        return {}
    except UNREADABLE as error:
        log.error("%s/%s is damaged and not counted: %s", CONTAINER, name, error)
        return {}


def _stats(seconds: Iterable[_Second]) -> CallStats:
    """The sum of these seconds."""
    total, took = Counter[str](), Counter[int]()
    for second in seconds:
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


def _percentile(took: Counter[int], share: float) -> float | None:
    """The percentile by nearest rank, in seconds; None when nothing was answered."""
    if not took:
        return None
    import numpy

    bucket = numpy.quantile([*took], share, weights=[*took.values()], method="inverted_cdf")
    return float(f"{_STEP ** float(bucket):.3g}")
