"""An import goes on: one part of a dataset of the Hub is streamed, converted, checked and written, then the next one.

Called by the queue function with the import's id, and by the sweep for what is overdue. Each part becomes one file of a
folder in `snapshots`, under its own name; the marker comes last, and then it is a snapshot like any other. A worker
that dies costs the part it was at, which is written anew, the same. Repeating a step that is done changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from shared import naming
from shared.azure.hub import HubDataset
from shared.azure.storage.blocks import BlobWriter
from shared.chatdata.split_choice import chosen_splits
from shared.conversion import ColumnChoice
from shared.conversion.choice import decided_reading
from shared.errors import BadSnapshot, Damaged, LeaseHeld, LedgerConflict, NotFound, PermanentError, TemporaryError
from shared.ledger import imports
from shared.ledger.imports import ImportedSplit, ImportRecord, ImportState
from shared.ledger.record import cut
from shared.ledger.store import PUBLISH
from shared.snapshots import intake
from shared.snapshots.paths import MARKER, OPTIONS
from shared.validation.prepared_rows import Pipeline, RowCounts, first_rows, sampled, why_none_left

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services

log = logging.getLogger(__name__)

# One import at a time in each process: so memory is bounded, and there is time for answers. Others come back later (s).
_AT_WORK, _LATER = threading.Lock(), 20.0
# A part is begun so often; then its import has failed.
MOST_TRIES = 5
# A worker that is at a part is looked after once so much later (s), and then by each sweep; its lease is shorter.
_LOOK_SECONDS = 60.0
_ENDING = ".jsonl"
# A split becomes so many files at most: a snapshot has 1000.
MOST_PARTS = 300
# How many rows are read between two looks at the clock and the lease.
_ROWS_BETWEEN = 500
# One part may take so long (s): an invocation ends after half an hour (host.json).
_LONGEST_PART = 1500.0


class ImportStopped(PermanentError):
    """The import has failed for good: the text says why, and what to change."""


def go_on(services: Services, import_id: str) -> str:
    """Does the next thing of an import, and says what became of it. Raises what keeps its record from being read."""
    try:
        record, _ = imports.read(services.storage, import_id)
    except (NotFound, Damaged) as error:
        log.info("import %s: %s", import_id, error)
        return "unknown"
    if record.poll_at is None:
        return "has ended"
    if record.poll_at > services.clock() + 2:
        return "not due"
    if not _AT_WORK.acquire(blocking=False):
        services.storage.send(imports.message_of(import_id), _LATER)
        return "another import is at work here"
    try:
        return _under_lease(services, import_id)
    finally:
        _AT_WORK.release()


def _under_lease(services: Services, import_id: str) -> str:
    try:
        lease = services.storage.lease(f"import-{import_id}")
    except LeaseHeld:
        return "held elsewhere"
    try:
        record, etag = imports.read(services.storage, import_id)
        if record.poll_at is None or record.poll_at > services.clock() + 2:
            return "somebody else was first"
        return _step(services, record, etag, lease)
    except (LedgerConflict, LeaseHeld):
        return "somebody else was first"
    finally:
        lease.release()


def _step(services: Services, record: ImportRecord, etag: str, lease: HeldLease) -> str:
    """One thing, with what is recorded before and after it."""
    if record.tries >= MOST_TRIES:
        return _end(
            services, record, etag, lease, f"tried {record.tries} times: {record.waiting or 'its worker was lost'}"
        )
    now = services.clock()
    begun: ImportRecord = record.but(tries=record.tries + 1, poll_at=now + _LOOK_SECONDS)
    etag = imports.write(services.storage, begun, etag, services.channels)
    services.storage.send(imports.message_of(record.id), _LOOK_SECONDS)
    try:
        done = _act(services, begun, lease)
    except LeaseHeld:
        raise
    except (PermanentError, BadSnapshot, ValueError) as error:
        return _end(services, begun, etag, lease, str(error))
    except Exception as error:
        said = str(error)
        if not isinstance(error, TemporaryError):
            log.exception("import %s", record.id)
            said = f"{type(error).__name__}: {error}"
        pause = services.settings.fault_seconds * 2**record.tries
        waits: ImportRecord = begun.but(waiting=_kept(said), poll_at=now + pause)
        return _recorded(services, waits, etag)
    lease.check()
    return _recorded(services, done.but(tries=0, waiting=""), etag)


def _act(services: Services, record: ImportRecord, lease: HeldLease) -> ImportRecord:
    """The record once the next thing is done."""
    now = services.clock()
    if services.ledger.deletions.was_deleted_since(record.request.dataset, record.asked_at):
        # Parts of it are gone, and nobody wants the dataset back.
        raise ImportStopped(f"{record.request.dataset} was deleted since it was asked for: ask for it again")
    if not services.settings.may_import(record.request.source):
        raise ImportStopped(f"IMPORT_SOURCES does not name {record.request.source} any more")
    if record.state == ImportState.ASKED:
        return _opened(services, record, lease)
    if now > record.asked_at + services.settings.import_max_minutes * 60:
        raise ImportStopped(f"it took longer than IMPORT_MAX_MINUTES={services.settings.import_max_minutes:g}")
    if record.done < record.parts:
        return _with_part(services, record, lease)
    return _completed(services, record, lease)


def _recorded(services: Services, record: ImportRecord, etag: str) -> str:
    imports.write(services.storage, record, etag, services.channels)
    if record.poll_at is not None:
        services.storage.send(imports.message_of(record.id), max(0.0, record.poll_at - services.clock()))
    elif services.channels:
        services.storage.send(f"{imports.message_of(record.id)}{PUBLISH}")
    return f"{record.state}, {record.done} of {record.parts} parts"


def _end(services: Services, record: ImportRecord, etag: str, lease: HeldLease, reason: str) -> str:
    """The import has failed: what it wrote is deleted, which no marker has made a snapshot."""
    log.warning("import %s of %s failed: %s", record.id, record.request.source, reason)
    _clear(services, record, lease)
    now, failed = services.clock(), ImportState.IMPORT_FAILED
    ended = record.but(state=failed, since=now, reason=_kept(reason), waiting="", poll_at=None)
    return _recorded(services, ended, etag)


def _clear(services: Services, record: ImportRecord, lease: HeldLease) -> None:
    """Deletes what is in the folder of the import, but for what another worker writes there meanwhile.

    Whoever was paused before it listed has lost the lease, and whoever was paused after that knows no new version.
    Raises LeaseHeld, LedgerConflict.
    """
    there = list(services.storage.list(intake.CONTAINER, f"{record.folder}/"))
    lease.check()
    for blob in there:
        services.storage.delete(intake.CONTAINER, blob.name, blob.etag)


# --- the things that are done, in their order -------------------------------------------------------------------


def _opened(services: Services, record: ImportRecord, lease: HeldLease) -> ImportRecord:
    """What there is on the Hub: the commit, the splits and their parts, and how the rows of each are read."""
    wanted, hub = record.request, services.hub
    named = HubDataset(wanted.source, wanted.subset, wanted.revision)
    at = HubDataset(wanted.source, wanted.subset, hub.commit(named))
    found = hub.splits(at)
    columns = ColumnChoice(wanted.shape, wanted.user, wanted.assistant, wanted.system, wanted.turns)
    splits = []
    for split, name in chosen_splits(wanted.source, found, wanted.splits):
        rows = first_rows(iter(hub.rows(at, name, 0, 1)))
        if not rows:
            raise ImportStopped(f"split {name} has no rows")
        reading = decided_reading(name, rows, columns)
        splits.append(ImportedSplit(name=name, split=split, parts=min(found[name], MOST_PARTS), reading=reading))
    if not any(one.split == "train" for one in splits):
        raise ImportStopped(f"there is no split to train on, only {', '.join(found)}")
    _clear(services, record, lease)  # what is left of the same one long ago: a marker would be in it
    begun: ImportRecord = record.but(
        state=ImportState.IMPORTING, since=services.clock(), revision=at.revision, splits=tuple(splits)
    )
    return begun.but(poll_at=services.clock())  # type: ignore[no-any-return]


def _with_part(services: Services, record: ImportRecord, lease: HeldLease) -> ImportRecord:
    """The next part is written, if its split is not full yet; with what became of its rows."""
    wanted, (split, part) = record.request, _part(record)
    counts, room = RowCounts(), _room(record, split)
    name, rows = f"{record.folder}/{split.split}-{part:05}-of-{split.parts:05}{_ENDING}", 0
    file = BlobWriter(services.storage, intake.CONTAINER, name)
    if room is None or room > 0:
        source = HubDataset(wanted.source, wanted.subset, record.revision)
        read = _in_time(services, record, services.hub.rows(source, split.name, part, split.parts), lease)
        seed = int(naming.short_hash(str(wanted.seed), split.name, str(part)), 16)
        lines = Pipeline(split.reading).lines(sampled(read, wanted.fraction, seed, counts), counts)
        for line in islice(_within(services, record, lines), room):
            file.write(line)
            rows += 1
        lease.check()
        file.commit()
    written = {**record.written, split.split: record.written.get(split.split, 0) + rows}
    more: ImportRecord = record.but(
        done=record.done + (1 if room is None or room > 0 else split.parts - part),
        read=record.read + counts.read,
        written=written,
        size=record.size + file.size,
        left_out=dict(Counter(record.left_out) + counts.left_out),
        changed=dict(Counter(record.changed) + counts.changed),
        files=record.files + (rows > 0),
        poll_at=services.clock(),
    )
    return more


def _completed(services: Services, record: ImportRecord, lease: HeldLease) -> ImportRecord:
    """The marker makes it a snapshot, which is taken in now; its event does the same."""
    if not record.written.get("train"):
        raise ImportStopped(why_none_left(record.read, record.left_out))
    there = list(services.storage.list(intake.CONTAINER, f"{record.folder}/"))
    gone = record.files - sum(blob.name.endswith(_ENDING) for blob in there)
    if gone > 0:
        raise ImportStopped(f"{gone} of its {record.files} files were deleted meanwhile: ask for it again")
    source, marker = record.request.source, f"{record.folder}/{MARKER}"
    options = {"note": f"imported from {source} at {record.revision[:12]}", **record.request.options}
    with contextlib.suppress(LedgerConflict):
        services.storage.create(intake.CONTAINER, f"{record.folder}/{OPTIONS}", json.dumps(options).encode())
    lease.check()  # whoever was paused must not end what another one has begun anew
    with contextlib.suppress(LedgerConflict):  # written by a worker that died: a new one would be another snapshot
        services.storage.create(intake.CONTAINER, marker, b"")
    snapshot = intake.receive(services, marker)
    if snapshot is None:
        raise ImportStopped("its snapshot was not taken in: GET /api/snapshots has the refusal")
    rows = sum(record.written.values())
    ended: ImportRecord = record.but(
        state=ImportState.IMPORTED, since=services.clock(), reason=f"{rows} of {record.read} rows are used",
        snapshot=snapshot, poll_at=None,
    )  # fmt: skip
    return ended


def _part(record: ImportRecord) -> tuple[ImportedSplit, int]:
    """The split of the next part, and the part's number in it."""
    number = record.done
    for split in record.splits:
        if number < split.parts:
            return split, number
        number -= split.parts
    raise ImportStopped("there is no such part: a defect")


def _room(record: ImportRecord, split: ImportedSplit) -> int | None:
    """How many rows of a split are still wanted; None: all."""
    most = record.request.rows
    return most - record.written.get(split.split, 0) if most else None


def _in_time[T](services: Services, record: ImportRecord, rows: Iterable[T], lease: HeldLease) -> Iterator[T]:
    """The rows, as long as they come within the time that an import may take. Raises ImportStopped, LeaseHeld."""
    ends = min(services.clock() + _LONGEST_PART, record.asked_at + services.settings.import_max_minutes * 60)
    for number, row in enumerate(rows):
        if number % _ROWS_BETWEEN == 0:
            lease.check()
            if services.clock() > ends:
                raise ImportStopped("it takes too long: take a sample, or raise IMPORT_MAX_MINUTES")
        yield row


def _within(services: Services, record: ImportRecord, lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines, as long as they are no more than an import may write. Raises ImportStopped."""
    given, rows, size = services.settings, sum(record.written.values()), record.size
    for line in lines:
        rows, size = rows + 1, size + len(line)
        if rows > given.import_max_rows:
            raise ImportStopped(f"it has more than IMPORT_MAX_ROWS={given.import_max_rows} rows: take a sample")
        if size > given.import_max_mb * 1_000_000:
            raise ImportStopped(f"it has more than IMPORT_MAX_MB={given.import_max_mb}: take a sample")
        yield line


def _kept(text: str) -> str:
    return cut(text.encode("utf-8", "replace").decode(), 1000)
