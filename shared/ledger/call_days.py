"""How many calls each dataset had today: `work/call-days.json`, made of the minutes that processes count.

Called by the sweep, and read by the list of datasets, which would have to read a blob for each minute and process. A
blob is counted once, when its minute is over, and its name is kept for as long as one may still come late; a repeat
counts nothing twice, and of two at once one writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from shared.ledger import counts
from shared.ledger.counts import CONTAINER
from shared.ledger.record import Struct
from shared.ledger.storage import BlobStore, read_record, write_if_still

BLOB = "call-days.json"
# A minute is over when every process must have written it (s); a blob that comes later than this is not counted.
_OVER, _LATE = 180.0, 7200.0
_DAYS_KEPT = 2
# So much of a minute's text names its day.
_DAY = 8


class CallDaysRecord(Struct, frozen=True, kw_only=True):
    """Calls by day (`20261127`, UTC) and dataset; which blobs of late are in it; when they were last looked for."""

    days: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    counted: tuple[str, ...] = ()
    until: float = 0.0


_RECORD = msgspec.json.Decoder(CallDaysRecord)


class CallDays:
    """The calls of days, of one installation. `clock` gives seconds since 1970, UTC."""

    def __init__(self, storage: BlobStore, clock: Callable[[], float]) -> None:
        self._storage, self._clock = storage, clock

    def today(self) -> dict[str, int] | None:
        """The calls of today by dataset, as far as they were counted; None before anything was. Raises Damaged."""
        record, _ = self._read()
        return record.days.get(counts.minute_text(self._clock())[:_DAY], {}) if record.until else None

    def add(self) -> Iterable[str]:
        """Counts the minutes that are over and were not counted yet; gives their names.

        Raises Damaged, LedgerConflict when somebody else counted at the same time.
        """
        now = self._clock()
        record, etag = self._read()
        began = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        since = record.until - _LATE if record.until else began
        known, last = {*record.counted}, counts.minute_text(now - _OVER)
        listed = [blob.name for blob in counts.listed_since(self._storage, since, now)]
        new = [name for name in listed if name not in known and counts.minute_of(name) <= last]
        days = {day: dict(calls) for day, calls in record.days.items()}
        for name in new:
            of_day = days.setdefault(counts.minute_of(name)[:_DAY], {})
            for dataset, calls in counts.calls_in(self._storage, name).items():
                of_day[dataset] = of_day.get(dataset, 0) + calls
        late = counts.minute_text(now - _LATE - _OVER)
        kept = tuple(name for name in (*record.counted, *new) if counts.minute_of(name) >= late)
        newest = dict(sorted(days.items())[-_DAYS_KEPT:])
        data = msgspec.json.encode(CallDaysRecord(days=newest, counted=kept, until=now))
        if new or kept != record.counted or not record.until:
            write_if_still(self._storage, CONTAINER, BLOB, data, etag)
        return new

    def _read(self) -> tuple[CallDaysRecord, str]:
        return read_record(self._storage, CONTAINER, BLOB, _RECORD, CallDaysRecord())
