"""What machines ran for each dataset in each month: `costs/<month>/<dataset>.json` in the ledger, kept for ever.

Rows and snapshots are cleaned up one day; what was spent on them stays known. A time is kept under its name and its
beginning, as it was told first: telling it again, by anybody, changes nothing, so a sum is the same whoever makes it
and however often. A time that goes on past a month's end is in both months, and each counts its own part. What a list
tells of a month lies in the blob's metadata: hours by what ran, size and price. Called by the training step that ends a
job, by the sweep for deployments, and by whoever tells of costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from shared import naming
from shared.ledger.machine_time import MachineTime
from shared.ledger.record import Struct, from_metadata, to_metadata
from shared.ledger.storage import BlobStore, change_until_still, read_record, write_if_still

CONTAINER, FOLDER = "ledger", "costs/"
# So many sums fit into the metadata of a blob; more sizes and prices than that in one month are read from the blob.
_MOST_SUMS = 30


class MachineHours(Struct, frozen=True, kw_only=True):
    """The hours of all machines of one size at one price; `price` None: not known when they ended."""

    what: str
    size: str
    hours: float
    price: float | None = None


class MonthSums(Struct, frozen=True, kw_only=True):
    """What a list tells of a dataset's month. `many`: there are too many sums to tell."""

    sums: tuple[MachineHours, ...] = ()
    many: bool = False


class MonthRecord(Struct, frozen=True, kw_only=True):
    """All times of one dataset that are in a month in part at least, by their keys."""

    times: dict[str, MachineTime] = msgspec.field(default_factory=dict)


_RECORD, _SUMS = msgspec.json.Decoder(MonthRecord), msgspec.json.Decoder(MonthSums)


class MonthCosts:
    """The records of one installation. A month is `2026-11`, of UTC."""

    def __init__(self, storage: BlobStore) -> None:
        self._storage = storage

    def add(self, dataset: str, times: Iterable[MachineTime]) -> None:
        """Puts times that ended on record, in each month that they reach into. Raises Damaged."""
        by_month: dict[str, list[MachineTime]] = {}
        for one in times:
            for month in months(one.began, one.ended):
                by_month.setdefault(month, []).append(one)
        for month, found in by_month.items():
            self._add(month, dataset, found)

    def times(self, month: str, dataset: str) -> list[MachineTime]:
        """The times of a dataset in a month, in the order of their beginnings. Raises Damaged."""
        found = self._read(month, dataset)[0].times.values()
        return sorted(found, key=lambda one: (one.began, one.key))

    def sums(self, month: str, prefix: str = "") -> dict[str, tuple[MachineHours, ...]]:
        """The hours of every dataset in a month, or of those whose names begin so: one listing."""
        found = {}
        for blob in self._storage.list(CONTAINER, f"{FOLDER}{month}/{prefix}"):
            name = blob.name.rsplit("/", 1)[-1].removesuffix(".json")
            if naming.DATASET.fullmatch(name):
                listed = from_metadata(blob.metadata.get("sums", ""), _SUMS)
                found[name] = listed.sums if listed and not listed.many else self._summed(month, name)
        return found

    def check(self, data: bytes) -> None:
        """Raises ValueError for what is no record."""
        _RECORD.decode(data)

    def _summed(self, month: str, dataset: str) -> tuple[MachineHours, ...]:
        return summed(self._read(month, dataset)[0].times.values(), month)

    def _add(self, month: str, dataset: str, times: Iterable[MachineTime]) -> None:
        def edit(record: MonthRecord) -> MonthRecord:
            known = {**record.times}
            for one in times:
                known[one.key] = _kept_first(known.get(one.key), one)
            return MonthRecord(times=known)

        change_until_still(
            lambda: self._read(month, dataset), edit, lambda record, etag: self._write(month, dataset, record, etag)
        )

    def _write(self, month: str, dataset: str, record: MonthRecord, etag: str) -> None:
        sums = summed(record.times.values(), month)
        shown = {"sums": to_metadata(MonthSums(many=True) if len(sums) > _MOST_SUMS else MonthSums(sums=sums))}
        write_if_still(self._storage, CONTAINER, _blob(month, dataset), msgspec.json.encode(record), etag, shown)

    def _read(self, month: str, dataset: str) -> tuple[MonthRecord, str]:
        return read_record(self._storage, CONTAINER, _blob(month, dataset), _RECORD, MonthRecord())


def summed(times: Iterable[MachineTime], month: str) -> tuple[MachineHours, ...]:
    """The hours that these times have in a month, by what ran, size and price."""
    since, until = bounds(month)
    hours: dict[tuple[str, str, float | None], float] = {}
    for one in sorted(times, key=lambda one: one.key):
        kind = (one.what, one.size, one.price)
        hours[kind] = hours.get(kind, 0.0) + one.hours(since, until)
    return tuple(
        MachineHours(what=what, size=size, hours=round(found, 6), price=price)
        for (what, size, price), found in hours.items()
    )


def month_of(at: float) -> str:
    """The month of a time."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m}"


@lru_cache(maxsize=64)  # a list of datasets asks for one month a hundred times
def bounds(month: str) -> tuple[float, float]:
    """When a month begins and ends. Raises ValueError for what is none."""
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return first.timestamp(), following.timestamp()


def months(began: float, ended: float) -> Iterator[str]:
    """Every month that a time reaches into."""
    month = month_of(began)
    yield month
    while (until := bounds(month)[1]) < ended:
        month = month_of(until)
        yield month


def _kept_first(known: MachineTime | None, new: MachineTime) -> MachineTime:
    """What is on record stays; a price that was not known then is added."""
    if known is None:
        return new
    changed: MachineTime = known.but(price=new.price) if known.price is None else known
    return changed


def _blob(month: str, dataset: str) -> str:
    return f"{FOLDER}{month}/{dataset}.json"
