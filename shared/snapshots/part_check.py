"""The check of one part of a large snapshot: whoever gets the part's message reads, stages and records it.

Called by the queue function, under a lease of the part's own. A worker that is cut off leaves a record that it began;
the part is asked for again, until that happened too often. Then the snapshot ends with a reason that names the part.
Checking a part twice leaves the same.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from shared.errors import BlobUnreadable, LeaseHeld, LedgerConflict, NotFound, PermanentError, TemporaryError
from shared.ledger.record import cut
from shared.ledger.states import SnapshotState
from shared.snapshots.inputs import inputs_of, is_distributed
from shared.snapshots.memory import ASK_AGAIN as WAIT_FOR_ROOM
from shared.snapshots.memory import OF_THIS_PROCESS, NoRoom, footprint
from shared.snapshots.part_requests import PartRequest
from shared.snapshots.part_results import (
    PartResults,
    Trouble,
    checked,
    parts_of,
    repeated,
    results_in,
    results_of,
    staged,
    troubled,
)
from shared.snapshots.training_config import resolve
from shared.validation.chunks import ChunkResult, going_on
from shared.validation.freezing import check_chunk
from shared.validation.zipped import ZippedText

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.ledger.rows import Snapshot
    from shared.ledger.store import Ledger
    from shared.runtime import Services
    from shared.snapshots.inputs import ValidationInputs
    from shared.validation.sources import Chunk

log = logging.getLogger(__name__)

# A part that somebody else is at is asked for again so much later (s): that worker may be lost, and its lease run out.
HELD_FOR = 5
# So many parts are checked at once in one process: one computes while the other uploads. More of them would all take
# longer, and all be lost together when the process ends.
AT_ONCE = 2


def check_part(services: Services, key: str, text: str) -> str:
    """Checks one part of a snapshot that is being validated by several workers; returns what was done.

    Called by the queue function; `text`: what its message has behind the key. A repeat does nothing for a part that is
    checked, or not wanted any more. A part that finds no room in this process is asked for again, here or elsewhere.
    """
    request = PartRequest.read(key, text, services.clock)
    if request is None:
        return "unknown"
    size = footprint(int(services.settings.validation_part_mb * 1e6), parquet=True)
    most_mb = services.settings.validation_memory_mb
    try:
        with OF_THIS_PROCESS.room_for(size, most_mb, at_once=AT_ONCE):
            check = _check_of(services, key)
            if check is None:
                return "not due"
            if not check.results.trouble(request.number).had_worker:
                return check.run(request)
        with OF_THIS_PROCESS.room_for(size, most_mb, alone=True):
            return check.run(request)
    except NoRoom:
        request.repeat(services.storage, WAIT_FOR_ROOM, services.clock)
        return "waits for memory"


def _check_of(services: Services, key: str) -> PartCheck | None:
    """The check of the parts of a snapshot; None when it is not checked in parts now."""
    try:
        row: Snapshot = services.ledger.read(key).row
        if row.state != SnapshotState.VALIDATING or not is_distributed(services, row):
            return None
        inputs = inputs_of(services, row, resolve(services, row).policy)
        results = results_of(services.storage, inputs, services.clock)
        return PartCheck(services.ledger, results, inputs, parts_of(inputs, results))
    except (PermanentError, LedgerConflict, NotFound):
        return None  # refused by the step as well, with a reason on record


@dataclass(slots=True)
class PartCheck:
    """The check of a part; of a gzip file, also of those behind it, for which it would have to be unpacked again."""

    ledger: Ledger
    results: PartResults
    inputs: ValidationInputs
    parts: Sequence[Chunk]
    _text: ZippedText | None = field(default=None, init=False)

    def run(self, request: PartRequest) -> str:
        """Checks a part, or stages it once more without the rows that earlier ones have. Returns what was done.

        A part that cannot be read is no error here: the step learns of it, and knows what to do about it.
        """
        if request.number >= len(self.parts):
            return "unknown"
        try:
            first = done = self._one(request)
            while done in ("checked", "already done") and (following := self._following(request.number)):
                request = replace(request, number=following)
                done = self._one(request)
            return first
        finally:
            self._close()

    def _following(self, number: int) -> int | None:
        """The next part of the same gzip file that is missing, if it can be read now.

        One at which a worker was lost is asked for by itself, so that it runs alone.
        """
        recorded, number = self.results.names(), number + 1
        while number < len(self.parts) and self.parts[number].goes_on and self._is_done(number, recorded):
            number += 1
        if number == len(self.parts) or not self.parts[number].goes_on:
            return None
        if troubled(number) in recorded and self.results.trouble(number).had_worker:
            PartRequest.new(self.inputs.snapshot, number, self.results.clock).send(self.results.storage)
            return None
        return number

    def _one(self, request: PartRequest) -> str:
        number, storage = request.number, self.results.storage
        try:
            # A part is written to storage alone, and twice the same: nobody has to wait for what is still on its way.
            lease = storage.lease(f"{self.inputs.snapshot}#{number}", take_over=True)
        except LeaseHeld:
            request.repeat(storage, HELD_FOR, self.results.clock)
            return "held elsewhere"
        try:
            recorded = self.results.names()
            if self._is_done(number, recorded):
                done = "already done"
            elif self.parts[number].goes_on and checked(number - 1) not in recorded:
                return "too early"
            else:
                done = self._check(number, lease, recorded)
                recorded = self.results.names()
            if all(self._is_done(other, recorded) for other in range(len(self.parts))):
                self._hint()
            return done
        finally:
            lease.release()

    def _check(self, number: int, lease: HeldLease, recorded: Collection[str]) -> str:
        """Reads one part and records its result, or why it could not be read."""
        again = repeated(number) in recorded
        trouble = self.results.trouble(number) if troubled(number) in recorded else Trouble()
        trouble.begin(results_in(recorded))
        if trouble.is_hopeless:
            self.results.put_trouble(number, trouble)
            self._hint()
            return "given up"
        try:
            chunk = self._with_text(number, again)
            if not again:
                self._unpack(number, chunk, trouble, lease)
            trouble.begun = True
            self.results.put_trouble(number, trouble)
            result = self._read(number, chunk, lease, again)
        except LeaseHeld:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the step has to learn of it
            trouble.begun = False
            return self._failed(number, trouble, error)
        lease.check()
        self.results.record(staged(number) if again else checked(number), result)
        self.results.forget_trouble(number)
        return "staged again" if again else "checked"

    def _unpack(self, number: int, chunk: Chunk, trouble: Trouble, lease: HeldLease) -> None:
        """Goes to where the text of a part of a gzip file begins, which may take longer than its check.

        That it was begun is on record before the file is opened, which may be what ends the worker.
        """
        start, end = chunk.text
        if start in (0, end) or (self._text is not None and self._text.at == start):
            return
        trouble.unpacked += 1
        self.results.put_trouble(number, trouble)
        if text := self._opened(chunk):
            text.heartbeat = lease.check
            text.skip_to(start)

    def _failed(self, number: int, trouble: Trouble, error: Exception) -> str:
        """Records why a part could not be read, and has the step look at it."""
        trouble.failed += 1
        trouble.error = cut(f"{type(error).__name__}: {error}", 500)
        if not isinstance(error, TemporaryError | LedgerConflict | NotFound | BlobUnreadable):
            log.exception("part %d of %s could not be checked", number, self.inputs.snapshot)
        self.results.put_trouble(number, trouble)
        self._hint()
        return "failed"

    def _read(self, number: int, chunk: Chunk, lease: HeldLease, again: bool) -> ChunkResult:
        inputs = self.inputs
        quarantine = self.results.bad_rows_of(number)
        result = check_chunk(
            inputs.sources,
            chunk,
            number,
            inputs.policy,
            inputs.plan,
            inputs.staging,
            without=self.results.repeated_rows(number) if again else None,
            quarantine=None if again else quarantine.add,
            heartbeat=lease.check,
            text=None if again else self._opened(chunk),
        )
        if not again:
            quarantine.close()
        return result

    def _with_text(self, number: int, again: bool) -> Chunk:
        """The part; of a gzip file with where its text begins, and where that ended when it was read before."""
        part = self.parts[number]
        if part.source.known_format != "jsonl.gz":
            return part
        known = self.results.result(checked(number)).text_end if again else None
        if part.goes_on:
            return going_on(part, self.results.result(checked(number - 1)), known)
        return replace(part, text=(0, known))

    def _opened(self, chunk: Chunk) -> ZippedText | None:
        """The gzip file of a part that is one of several, as the part before left it if that was read here."""
        if chunk.source.known_format != "jsonl.gz":
            return None
        start, end = chunk.text
        if self._text is None or (self._text.at > start and start != end):
            self._close()
            self._text = ZippedText(chunk.source.open())
        return self._text

    def _close(self) -> None:
        if self._text is not None:
            self._text.close()
            self._text = None

    def _is_done(self, number: int, recorded: Collection[str]) -> bool:
        """Whether the part is checked, and staged again if it has rows that earlier ones have."""
        return (staged(number) if repeated(number) in recorded else checked(number)) in recorded

    def _hint(self) -> None:
        self.ledger.hint(f"snapshot/{self.inputs.snapshot}")
