"""A large snapshot, validated a part at a time by as many workers as there are: files, and ranges of large files.

The validate step asks for each part by a queue message `snapshot/<id>#<number>`. Whoever gets the message checks and
stages that part and records the result in `work/<id>/<conditions>/`, create-only: a part that is checked twice counts
once, in whatever order. Once all results are there, the step, under the snapshot's lease, assembles them. So a pass
that is cut off goes on where it was.

The folder's name is a hash of the policy, the cuts and the size of parts under which the files were read, so results
found under others are never mixed in. A worker that is cut off leaves a record that it began; its message comes again,
or the step asks again, until that happened too often: then the snapshot ends with a reason that names the part.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from shared import naming
from shared.errors import (
    BlobUnreadable,
    LeaseHeld,
    LedgerConflict,
    NotFound,
    NotReady,
    ServiceBusy,
    TemporaryError,
    WorkerLost,
)
from shared.snapshots.quarantine import Quarantine
from shared.validation.chunks import ChunkResult
from shared.validation.digests import RowSet
from shared.validation.freezing import Assembly, check_chunk

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from shared.azure.storage import Storage
    from shared.ledger.fence import HeldLease
    from shared.ledger.store import Ledger
    from shared.snapshots.inputs import ValidationInputs
    from shared.validation import FrozenSnapshot
    from shared.validation.sources import Chunk

log = logging.getLogger(__name__)

# So long after it asked for parts (s) the step asks again for those that are still missing.
ASK_AGAIN = 120
# Results are relied on for so long (s): Azure deletes the blocks that they name a week after they were staged.
RESULTS_LIVE = 6 * 86_400
# A part whose check ended its worker so often is not tried again.
MOST_LOST = 5
# To be raised when what results mean changes: then parts that an older version checked are checked once more.
FORMAT = 3


class FileResult(msgspec.Struct):
    """What the check of one part found. `quarantine`: the staged blocks that list its bad rows, in their order."""

    partial: ChunkResult
    quarantine: list[str] = []


_DECODER = msgspec.msgpack.Decoder(FileResult)


class Trouble(msgspec.Struct):
    """What went wrong with one part so far: how often it `failed`, how often its worker was `lost`, the last `error`.

    `begun`: a worker is at it, or was lost. `reported`: so many failures were raised as faults of the step.
    """

    failed: int = 0
    lost: int = 0
    begun: bool = False
    reported: int = msgspec.field(default=0, name="told")
    error: str = ""


_TROUBLE = msgspec.json.Decoder(Trouble)


class FilesMissing(NotReady):
    """Some parts are not checked yet. `failed`: one of them could not be read when it was last tried."""

    def __init__(self, message: str, failed: bool) -> None:
        super().__init__(message, ASK_AGAIN)
        self.failed = failed


@dataclass(frozen=True, slots=True)
class DistributedValidation:
    """The validation of one snapshot by several workers."""

    ledger: Ledger
    storage: Storage
    inputs: ValidationInputs
    parts: Sequence[Chunk]

    def check_one(self, number: int) -> str:
        """Checks one part, or stages it once more without the rows that earlier ones have. Returns what was done.

        A part that cannot be read is no error here: the step learns of it, and knows what to do about it.
        """
        if not 0 <= number < len(self.parts):
            return "unknown"
        try:
            lease = self.storage.lease(f"{self.inputs.snapshot}#{number}")
        except LeaseHeld:
            return "held elsewhere"
        try:
            recorded = self._recorded()
            if self._is_done(number, recorded):
                done = "already done"
            else:
                done = self._check(number, lease, again=_repeated(number) in recorded)
                recorded = self._recorded()
            if all(self._is_done(other, recorded) for other in range(len(self.parts))):
                self.ledger.hint(f"snapshot/{self.inputs.snapshot}")
            return done
        finally:
            lease.release()

    def assemble(self, lease: HeldLease, seconds: float) -> FrozenSnapshot:
        """Puts the results of all parts together. Raises FilesMissing while some are missing, and asks for them.

        `seconds`: how long the validation has taken so far. Raises ServiceBusy for a part that could not be read, and
        WorkerLost for one whose check ended its worker too often.
        """
        recorded = self._recorded()
        numbers = range(len(self.parts))
        self._ask([number for number in numbers if _checked(number) not in recorded], recorded)
        results = [self._result(_checked(number)) for number in numbers]
        partials = [result.partial for result in results]
        inputs = self.inputs
        assembly = Assembly(inputs.sources, self.parts, partials, inputs.policy, inputs.plan, lease.check)
        repeated = assembly.repeated()
        for number, rows in repeated.items():
            if _repeated(number) not in recorded:
                self._record(_repeated(number), rows.packed())
        self._ask([number for number in repeated if _staged(number) not in recorded], recorded)
        lease.check()
        without = {number: self._result(_staged(number)).partial for number in repeated}
        frozen = assembly.freeze(self.inputs.staging, seconds, without)
        quarantine = Quarantine(self.storage, self.inputs.snapshot)
        quarantine.commit([block for result in results for block in result.quarantine])
        return frozen

    def _ask(self, missing: Sequence[int], recorded: Collection[str]) -> None:
        """Asks for these parts, if any, and raises FilesMissing; or what went wrong with one of them."""
        if not missing:
            return
        troubles = {number: self._trouble(number) for number in missing if _trouble(number) in recorded}
        if lost := [number for number, trouble in troubles.items() if trouble.lost >= MOST_LOST]:
            for number in lost:  # a person may ask for them once more
                self.storage.delete("work", self._folder + _trouble(number))
            part, times = _named(self.parts[lost[0]]), troubles[lost[0]].lost
            raise WorkerLost(f"{part}: its check ended the worker {times} times; split the file, or mend it")
        new = [number for number, trouble in troubles.items() if trouble.failed > trouble.reported]
        for number in new:
            troubles[number].reported = troubles[number].failed
            self._put_trouble(number, troubles[number])
        if new:
            part, error = _named(self.parts[new[0]]), troubles[new[0]].error
            raise ServiceBusy(f"{part} could not be checked: {error}")
        for number in missing:
            self.storage.send(f"snapshot/{self.inputs.snapshot}#{number}")
        total, what = len(self.parts), "files" if len(self.parts) == len(self.inputs.sources) else "parts"
        failed = any(trouble.failed for trouble in troubles.values())
        raise FilesMissing(f"{total - len(missing)} of {total} {what} are checked", failed)

    def _check(self, number: int, lease: HeldLease, again: bool) -> str:
        """Reads one part and records its result, or why it could not be read."""
        trouble = self._trouble(number)
        if trouble.begun:  # by a worker that has not come to an end, though its lease has
            trouble.lost += 1
        if trouble.lost >= MOST_LOST:
            self._put_trouble(number, trouble)
            self.ledger.hint(f"snapshot/{self.inputs.snapshot}")
            return "given up"
        trouble.begun = True
        self._put_trouble(number, trouble)
        try:
            result = self._read(number, lease, again)
        except LeaseHeld:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the step has to learn of it
            trouble.begun = False
            return self._failed(number, trouble, error)
        lease.check()
        self._record(_staged(number) if again else _checked(number), msgspec.msgpack.encode(result))
        self.storage.delete("work", self._folder + _trouble(number))
        return "staged again" if again else "checked"

    def _failed(self, number: int, trouble: Trouble, error: Exception) -> str:
        """Records why a part could not be read, and has the step look at it."""
        trouble.failed += 1
        trouble.error = f"{type(error).__name__}: {error}"[:500]
        if not isinstance(error, TemporaryError | LedgerConflict | NotFound | BlobUnreadable):
            log.exception("part %d of %s could not be checked", number, self.inputs.snapshot)
        self._put_trouble(number, trouble)
        self.ledger.hint(f"snapshot/{self.inputs.snapshot}")
        return "failed"

    def _read(self, number: int, lease: HeldLease, again: bool) -> FileResult:
        quarantine = Quarantine(self.storage, self.inputs.snapshot, number)
        partial = check_chunk(
            self.inputs.sources,
            self.parts,
            number,
            self.inputs.policy,
            self.inputs.plan,
            self.inputs.staging,
            without=RowSet.unpacked(self._bytes(_repeated(number))) if again else None,
            quarantine=None if again else quarantine.add,
            heartbeat=lease.check,
        )
        return FileResult(partial, quarantine.stage_rest())

    @property
    def _folder(self) -> str:
        conditions = str(FORMAT), repr(self.inputs.policy), repr(self.inputs.plan), str(self.inputs.part_bytes)
        return naming.work(self.inputs.snapshot, *conditions)

    def _recorded(self) -> set[str]:
        """The names of all that is recorded under these conditions, but for what is too old to be relied on."""
        oldest, names = self.ledger.clock() - RESULTS_LIVE, set()
        for blob in self.storage.list("work", self._folder):
            if blob.uploaded_at > oldest:
                names.add(blob.name.removeprefix(self._folder))
            else:
                self.storage.delete("work", blob.name)
        return names

    def _is_done(self, number: int, recorded: Collection[str]) -> bool:
        """Whether the part is checked, and staged again if it has rows that earlier ones have."""
        if _repeated(number) in recorded:
            return _staged(number) in recorded
        return _checked(number) in recorded

    def _bytes(self, name: str) -> bytes:
        return self.storage.read("work", self._folder + name)[0]

    def _result(self, name: str) -> FileResult:
        return _DECODER.decode(self._bytes(name))

    def _trouble(self, number: int) -> Trouble:
        try:
            return _TROUBLE.decode(self._bytes(_trouble(number)))
        except NotFound:
            return Trouble()

    def _put_trouble(self, number: int, trouble: Trouble) -> None:
        self.storage.put("work", self._folder + _trouble(number), msgspec.json.encode(trouble))

    def _record(self, name: str, data: bytes) -> None:
        with contextlib.suppress(LedgerConflict):  # another worker recorded the same before
            self.storage.create("work", self._folder + name, data)


def forget_results(storage: Storage, snapshot: str) -> None:
    """Deletes all results of a snapshot: what they staged is gone, so the files have to be read again."""
    storage.delete_all("work", snapshot)


def _named(part: Chunk) -> str:
    """The file that a part is of, and which part of it."""
    if part.start == 0 and part.end is None:
        return part.source.path
    unit = "row groups" if part.source.known_format == "parquet" else "bytes"
    return f"{part.source.path} ({unit} {part.start} to {'the end' if part.end is None else part.end})"


def _checked(number: int) -> str:
    return f"{number:05d}.checked"


def _repeated(number: int) -> str:
    return f"{number:05d}.repeated"


def _staged(number: int) -> str:
    return f"{number:05d}.staged"


def _trouble(number: int) -> str:
    return f"{number:05d}.trouble"
