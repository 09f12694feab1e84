"""A snapshot of several large files, validated a file at a time by as many workers as there are.

The validate step asks for each file by a queue message `snapshot/<id>#<number>`. Whoever gets the message checks and
stages that file and records the result in `work/<id>/<conditions>/`, create-only: a file that is checked twice counts
once, in whatever order. Once all results are there, the step, under the snapshot's lease, assembles them.

The folder's name is a hash of the policy and the cuts under which the files were read, so results found under others
are never mixed in. A worker that is cut off records nothing; its message comes again, or the step asks again.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from shared import naming
from shared.errors import LeaseHeld, LedgerConflict, NotFound, NotReady, ServiceBusy, TemporaryError
from shared.snapshots.quarantine import Quarantine
from shared.validation.chunks import ChunkResult
from shared.validation.digests import RowSet
from shared.validation.freezing import Assembly, check_file

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from shared.azure.storage import Storage
    from shared.ledger.fence import HeldLease
    from shared.ledger.store import Ledger
    from shared.snapshots.inputs import ValidationInputs
    from shared.validation import FrozenSnapshot

log = logging.getLogger(__name__)

# So long after it asked for files (s) the step asks again for those that are still missing.
ASK_AGAIN = 120
# To be raised when what results mean changes: then files that an older version checked are checked once more.
FORMAT = 1


class FileResult(msgspec.Struct):
    """What the check of one file found. `quarantine`: the staged blocks that list its bad rows, in their order."""

    partial: ChunkResult
    quarantine: list[str] = []


_DECODER = msgspec.msgpack.Decoder(FileResult)


@dataclass(frozen=True, slots=True)
class DistributedValidation:
    """The validation of one snapshot by several workers."""

    ledger: Ledger
    storage: Storage
    inputs: ValidationInputs

    def check(self, number: int) -> str:
        """Checks one file, or stages it once more without the rows that earlier files have. Returns what was done.

        A file that cannot be read is no error here: the step learns of it, and knows what to do about it.
        """
        if not 0 <= number < len(self.inputs.sources):
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
            if all(self._is_done(other, recorded) for other in range(len(self.inputs.sources))):
                self.ledger.hint(f"snapshot/{self.inputs.snapshot}")
            return done
        finally:
            lease.release()

    def assemble(self, lease: HeldLease, seconds: float) -> FrozenSnapshot:
        """Puts the results of all files together. Raises NotReady while some are missing, and asks for them.

        `seconds`: how long the validation has taken so far. Raises ServiceBusy for a file that could not be read.
        """
        recorded = self._recorded()
        self._raise_faults(recorded)
        numbers = range(len(self.inputs.sources))
        self._ask([number for number in numbers if _checked(number) not in recorded])
        results = [self._result(_checked(number)) for number in numbers]
        partials = [result.partial for result in results]
        assembly = Assembly(self.inputs.sources, partials, self.inputs.policy, self.inputs.plan, lease.check)
        repeated = assembly.repeated()
        for number, rows in repeated.items():
            if _repeated(number) not in recorded:
                self._record(_repeated(number), rows.packed())
        self._ask([number for number in repeated if _staged(number) not in recorded])
        lease.check()
        without = {number: self._result(_staged(number)).partial for number in repeated}
        frozen = assembly.freeze(self.inputs.staging, seconds, without)
        quarantine = Quarantine(self.storage, self.inputs.snapshot)
        quarantine.commit([block for result in results for block in result.quarantine])
        return frozen

    def _ask(self, missing: Sequence[int]) -> None:
        """Asks for these files, if any, and raises NotReady."""
        if missing:
            for number in missing:
                self.storage.send(f"snapshot/{self.inputs.snapshot}#{number}")
            total = len(self.inputs.sources)
            raise NotReady(f"{total - len(missing)} of {total} files are checked", retry_after=ASK_AGAIN)

    def _check(self, number: int, lease: HeldLease, again: bool) -> str:
        """Reads one file and records its result, or why it could not be read."""
        try:
            result = self._read(number, lease, again)
        except (LedgerConflict, NotFound):
            return "overwritten"  # which the step sees for itself
        except LeaseHeld:
            raise
        except Exception as error:
            if not isinstance(error, TemporaryError):
                log.exception("file %d of %s could not be checked", number, self.inputs.snapshot)
            self._record(_fault(number), f"{type(error).__name__}: {error}"[:500].encode())
            self.ledger.hint(f"snapshot/{self.inputs.snapshot}")
            return "failed"
        lease.check()
        self._record(_staged(number) if again else _checked(number), msgspec.msgpack.encode(result))
        return "staged again" if again else "checked"

    def _read(self, number: int, lease: HeldLease, again: bool) -> FileResult:
        quarantine = Quarantine(self.storage, self.inputs.snapshot, number)
        partial = check_file(
            self.inputs.sources,
            number,
            self.inputs.policy,
            self.inputs.plan,
            self.inputs.staging,
            without=RowSet.unpacked(self._bytes(_repeated(number))) if again else None,
            quarantine=None if again else quarantine.add,
            heartbeat=lease.check,
        )
        return FileResult(partial, quarantine.stage_rest())

    def _raise_faults(self, recorded: Collection[str]) -> None:
        """A file that could not be read is the step's fault on record, which counts them and asks again in time."""
        for number in range(len(self.inputs.sources)):
            if _fault(number) in recorded:
                error = self._bytes(_fault(number)).decode()
                self.storage.delete("work", self._folder + _fault(number))
                raise ServiceBusy(f"{self.inputs.sources[number].path} could not be checked: {error}")

    @property
    def _folder(self) -> str:
        conditions = str(FORMAT), repr(self.inputs.policy), repr(self.inputs.plan)
        return naming.work(self.inputs.snapshot, *conditions)

    def _recorded(self) -> set[str]:
        """The names of all that is recorded under these conditions."""
        return {blob.name.removeprefix(self._folder) for blob in self.storage.list("work", self._folder)}

    def _is_done(self, number: int, recorded: Collection[str]) -> bool:
        """Whether the file is checked, and staged again if it has rows that earlier files have."""
        if _repeated(number) in recorded:
            return _staged(number) in recorded
        return _checked(number) in recorded

    def _bytes(self, name: str) -> bytes:
        return self.storage.read("work", self._folder + name)[0]

    def _result(self, name: str) -> FileResult:
        return _DECODER.decode(self._bytes(name))

    def _record(self, name: str, data: bytes) -> None:
        with contextlib.suppress(LedgerConflict):  # another worker recorded the same before
            self.storage.create("work", self._folder + name, data)


def _checked(number: int) -> str:
    return f"{number:05d}.checked"


def _repeated(number: int) -> str:
    return f"{number:05d}.repeated"


def _staged(number: int) -> str:
    return f"{number:05d}.staged"


def _fault(number: int) -> str:
    return f"{number:05d}.fault"
