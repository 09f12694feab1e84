"""A snapshot of several large files, validated a file at a time by as many instances as there are.

The validate step asks for each file by a message `snapshot/<id>#<number>`; whoever gets it checks and stages that file
and leaves what it found in `work/<id>/<plan>/`, create-only: a file done twice counts once, in whatever order. Once all
files are there, the step, under the snapshot's lease, puts them together. The folder's name says under which policy and
cuts the files were read, so what was read under others is never mixed in. A cut-off worker leaves nothing; its message
comes again, or the step's next look asks again.
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
from shared.validation.assembly import Assembly, check_file
from shared.validation.digests import RowSet
from shared.validation.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.azure.storage import Storage
    from shared.ledger.fence import HeldLease
    from shared.ledger.store import Ledger
    from shared.validation import Frozen, Policy, Source, Staging
    from shared.validation.stager import Plan

log = logging.getLogger(__name__)

# So long after it asked for files (s) the step asks again for those that are still missing.
ASK_AGAIN = 120
# To be raised when what files leave changes its meaning: then an older version's files are read once more.
FORMAT = 1


class _Left(msgspec.Struct):
    """What the check of one file left."""

    partial: Partial
    quarantine: list[str] = []


_LEFT = msgspec.msgpack.Decoder(_Left)


@dataclass(frozen=True, slots=True)
class Filewise:
    """The files of one snapshot under one policy and plan, known by their numbers in reading order."""

    ledger: Ledger
    storage: Storage
    snapshot: str
    sources: Sequence[Source]
    policy: Policy
    plan: Plan
    staging: Staging

    def check(self, number: int) -> str:
        """Checks one file, or stages it once more without the rows that earlier files have. Says what was done.

        What keeps the file from being read is left to the step, which knows what to do about it.
        """
        if not 0 <= number < len(self.sources):
            return "unknown"
        try:
            lease = self.storage.lease(f"{self.snapshot}#{number}")
        except LeaseHeld:
            return "held elsewhere"
        try:
            found = self._found()
            if _staged(number) in found or (_checked(number) in found and _repeated(number) not in found):
                done = "already done"
            else:
                done = self._read(number, lease, found)
                found = self._found()
            if not self._missing(found):
                self.ledger.hint(f"snapshot/{self.snapshot}")
            return done
        finally:
            lease.release()

    def assemble(self, lease: HeldLease, seconds: float) -> Frozen:
        """Puts the files together. Raises Waiting while some are missing, and asks for them.

        `seconds`: how long the validation took up to now.
        """
        found = self._found()
        self._raise_faults(found)
        numbers = range(len(self.sources))
        self._ask([number for number in numbers if _checked(number) not in found])
        left = [self._left(_checked(number)) for number in numbers]
        assembly = Assembly(self.sources, [one.partial for one in left], self.policy, self.plan, lease.check)
        repeated = assembly.repeated()
        for number, rows in repeated.items():
            if _repeated(number) not in found:
                self._leave(_repeated(number), rows.packed())
        self._ask([number for number in repeated if _staged(number) not in found])
        lease.check()
        without = {number: self._left(_staged(number)).partial for number in repeated}
        frozen = assembly.freeze(self.staging, seconds, without)
        Quarantine(self.storage, self.snapshot).commit([block for one in left for block in one.quarantine])
        return frozen

    def _ask(self, missing: Sequence[int]) -> None:
        """Asks for these files, if any, and raises Waiting."""
        if missing:
            for number in missing:
                self.storage.send(f"snapshot/{self.snapshot}#{number}")
            done = len(self.sources) - len(missing)
            raise NotReady(f"{done} of {len(self.sources)} files are checked", retry_after=ASK_AGAIN)

    def _read(self, number: int, lease: HeldLease, found: Iterable[str]) -> str:
        again = _repeated(number) in found
        quarantine = Quarantine(self.storage, self.snapshot, number)
        try:
            partial = check_file(
                self.sources,
                number,
                self.policy,
                self.plan,
                self.staging,
                without=RowSet.unpacked(self._bytes(_repeated(number))) if again else None,
                quarantine=None if again else quarantine.add,
                heartbeat=lease.check,
            )
            left = _Left(partial, quarantine.leave())
        except (LedgerConflict, NotFound):
            return "overwritten"  # which the step sees for itself
        except LeaseHeld:
            raise
        except Exception as error:
            if not isinstance(error, TemporaryError):
                log.exception("file %d of %s could not be checked", number, self.snapshot)
            self._leave(_fault(number), f"{type(error).__name__}: {error}"[:500].encode())
            self.ledger.hint(f"snapshot/{self.snapshot}")
            return "failed"
        lease.check()
        self._leave(_staged(number) if again else _checked(number), msgspec.msgpack.encode(left))
        return "staged again" if again else "checked"

    def _missing(self, found: Iterable[str]) -> list[int]:
        names = set(found)
        return [
            number
            for number in range(len(self.sources))
            if _checked(number) not in names or (_repeated(number) in names and _staged(number) not in names)
        ]

    def _raise_faults(self, found: Iterable[str]) -> None:
        """A file that could not be read is the step's fault on record, which counts them and asks again in time."""
        for number in range(len(self.sources)):
            if _fault(number) in found:
                told = self._bytes(_fault(number)).decode()
                self.storage.delete("work", self._folder + _fault(number))
                raise ServiceBusy(f"{self.sources[number].path} could not be checked: {told}")

    @property
    def _folder(self) -> str:
        return naming.work(self.snapshot, str(FORMAT), repr(self.policy), repr(self.plan))

    def _found(self) -> set[str]:
        return {blob.name.removeprefix(self._folder) for blob in self.storage.list("work", self._folder)}

    def _bytes(self, name: str) -> bytes:
        return self.storage.read("work", self._folder + name)[0]

    def _left(self, name: str) -> _Left:
        return _LEFT.decode(self._bytes(name))

    def _leave(self, name: str, data: bytes) -> None:
        with contextlib.suppress(LedgerConflict):  # somebody left the same before
            self.storage.create("work", self._folder + name, data)


def _checked(number: int) -> str:
    return f"{number:05d}.checked"


def _repeated(number: int) -> str:
    return f"{number:05d}.repeated"


def _staged(number: int) -> str:
    return f"{number:05d}.staged"


def _fault(number: int) -> str:
    return f"{number:05d}.fault"
