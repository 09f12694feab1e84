"""A large snapshot, validated a part at a time by as many workers as there are: files, and ranges of large files.

The validate step asks for each part by a queue message (`part_requests`). Whoever gets the message checks that
part (`part_check`) and leaves what it found (`part_results`). Once all results are there, the step, under the
snapshot's lease, assembles them. So a pass that is cut off goes on where it was. The parts of a gzip file are asked for
one after the other: it can only be read from its beginning.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import NotReady, ServiceBusy, WorkerLost
from shared.snapshots.part_requests import ASK_AGAIN, PartRequest
from shared.snapshots.part_results import PartResults, checked, repeated, staged, troubled
from shared.snapshots.quarantine import quarantine_of
from shared.validation.freezing import Assembly

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from shared.ledger.fence import HeldLease
    from shared.snapshots.inputs import ValidationInputs
    from shared.validation import FrozenSnapshot
    from shared.validation.sources import Chunk


class FilesMissing(NotReady):
    """Some parts are not checked yet. `failed`: one of them could not be read when it was last tried."""

    def __init__(self, message: str, failed: bool) -> None:
        super().__init__(message, ASK_AGAIN)
        self.failed = failed


@dataclass(frozen=True, slots=True)
class DistributedValidation:
    """The validation of one snapshot by several workers, as the step sees it."""

    results: PartResults
    inputs: ValidationInputs
    parts: Sequence[Chunk]

    def assemble(self, lease: HeldLease, seconds: float) -> FrozenSnapshot:
        """Puts the results of all parts together. Raises FilesMissing while some are missing, and asks for them.

        `seconds`: how long the validation has taken so far. Raises ServiceBusy for a part that could not be read, and
        WorkerLost for one whose check ended its worker too often.
        """
        recorded, inputs, results = self.results.names(), self.inputs, self.results
        numbers = range(len(self.parts))
        self._ask([number for number in numbers if checked(number) not in recorded], recorded)
        found = [results.result(checked(number)) for number in numbers]
        assembly = Assembly(inputs.sources, self.parts, found, inputs.policy, inputs.plan, lease.check)
        again = assembly.repeated()
        for number, rows in again.items():
            if repeated(number) not in recorded:
                results.record_repeated(number, rows)
        self._ask([number for number in again if staged(number) not in recorded], recorded)
        lease.check()
        without = {number: results.result(staged(number)) for number in again}
        frozen = assembly.freeze(inputs.staging, seconds, without)
        self._quarantine(assembly, lease)
        return frozen

    def _quarantine(self, assembly: Assembly, lease: HeldLease) -> None:
        """Makes the quarantine of the snapshot of those of its parts, which do not know what comes before them."""
        if not self.inputs.policy.max_bad_percent:
            return
        quarantine = quarantine_of(self.results.storage, self.inputs.snapshot)
        for number, lines_before, bad in assembly.bad_rows():
            lease.check()
            quarantine.add_part(itertools.islice(self.results.read_bad_rows(number), bad), lines_before)
        quarantine.close()

    def _ask(self, missing: Sequence[int], recorded: Collection[str]) -> None:
        """Asks for these parts, if any, and raises FilesMissing; or what went wrong with one of them."""
        if not missing:
            return
        results = self.results
        troubles = {number: results.trouble(number) for number in missing if troubled(number) in recorded}
        if lost := [number for number, trouble in troubles.items() if trouble.is_hopeless]:
            for number in lost:  # a person may ask for them once more
                results.forget_trouble(number)
            part, trouble = self.parts[lost[0]], troubles[lost[0]]
            times = max(trouble.lost, trouble.unpacked)
            mend = "split the file, mend it, or upload it unpacked" if part.goes_on else "split the file, or mend it"
            raise WorkerLost(f"{_named(part)}: its check ended the worker {times} times; {mend}")
        new = [number for number, trouble in troubles.items() if trouble.failed > trouble.reported]
        for number in new:
            troubles[number].reported = troubles[number].failed
            results.put_trouble(number, troubles[number])
        if new:
            name, error = _named(self.parts[new[0]]), troubles[new[0]].error
            raise ServiceBusy(f"{name} could not be checked: {error}")
        waiting = {number for number in missing if self.parts[number].goes_on and checked(number - 1) not in recorded}
        for number in missing:
            if number not in waiting:
                PartRequest.new(self.inputs.snapshot, number, results.clock).send(results.storage)
        total, what = len(self.parts), "files" if len(self.parts) == len(self.inputs.sources) else "parts"
        failed = any(trouble.failed for trouble in troubles.values())
        raise FilesMissing(f"{total - len(missing)} of {total} {what} are checked", failed)


def _named(part: Chunk) -> str:
    """The file that a part is of, and which part of it."""
    if part.start == 0 and part.end is None:
        return part.source.path
    kinds = {"parquet": "row groups", "jsonl.gz": "bytes as stored"}
    unit = kinds.get(part.source.known_format or "", "bytes")
    return f"{part.source.path} ({unit} {part.start} to {'the end' if part.end is None else part.end})"
