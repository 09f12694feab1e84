"""What the checks of a snapshot's parts left, in `work/<snapshot>/<plan>/`: results, and what went wrong so far.

The folder's name is a hash of the policy, the cuts and the size of parts under which the parts were read, so results
found under others are never mixed in. Results are written create-only: a part that is checked twice counts once.
Called by the step that assembles them, and by whoever checks a part.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from shared import naming
from shared.errors import LedgerConflict, NotFound
from shared.snapshots.quarantine import Quarantine
from shared.validation.chunks import ChunkResult, cut_into_chunks, in_reading_order, is_cut_by_groups, row_groups
from shared.validation.digests import RowSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from shared.azure.storage import Storage
    from shared.snapshots.inputs import ValidationInputs
    from shared.validation.sources import Chunk

CONTAINER = "work"
# Results are relied on for so long (s): Azure deletes the blocks that they name a week after they were staged.
RESULTS_LIVE = 6 * 86_400
# A part whose check ended its worker so often is not tried again, nor one that so many workers did not even come to.
MOST_LOST, MOST_UNPACKED = 5, 25
# To be raised when what results mean changes: then parts that an older version checked are checked once more.
FORMAT = 4
_CHECKED, _STAGED, _BAD = ".checked", ".staged", ".bad"
_ROW_GROUPS = "row-groups"
_RESULT = msgspec.msgpack.Decoder(ChunkResult)
_COUNTS = msgspec.json.Decoder(list[int])


class Trouble(msgspec.Struct):
    """What went wrong with one part so far: how often it `failed`, how often its worker was `lost`, the last `error`.

    `begun`: a worker is at it, or was lost. `unpacked`: how often a worker began to unpack what comes before it in a
    gzip file; that one was lost at this says nothing of the part. `done`: so many results of any part were on record
    when it was last begun. `reported`: so many failures were raised as faults of the step.
    """

    failed: int = 0
    lost: int = 0
    begun: bool = False
    unpacked: int = 0
    done: int = 0
    reported: int = msgspec.field(default=0, name="told")
    error: str = ""

    @property
    def is_hopeless(self) -> bool:
        """Whether it is not tried again."""
        return self.lost >= MOST_LOST or self.unpacked >= MOST_UNPACKED

    @property
    def had_worker(self) -> bool:
        """Whether a worker was lost at this part or on the way to it, or is at it now."""
        return self.begun or self.lost > 0 or self.unpacked > 0

    def begin(self, done: int) -> None:
        """A worker begins, with so many results on record: one that had begun before it was lost.

        That counts only in a row. While others get on, it may well be that workers are ended from outside, whatever
        they are at; and who is really to blame is left over in the end.
        """
        self.lost = min(self.lost + self.begun, MOST_LOST)
        if done > self.done:
            self.lost = self.unpacked = 0
        self.begun, self.done = False, done


_TROUBLE = msgspec.json.Decoder(Trouble)


def checked(number: int) -> str:
    """The result of a part."""
    return f"{number:05d}{_CHECKED}"


def repeated(number: int) -> str:
    """The rows of a part that earlier parts have, so that it is to be staged once more without them."""
    return f"{number:05d}.repeated"


def staged(number: int) -> str:
    """The result of a part that was staged once more."""
    return f"{number:05d}{_STAGED}"


def results_in(recorded: Iterable[str]) -> int:
    """How many of these names are those of results."""
    return sum(name.endswith((_CHECKED, _STAGED)) for name in recorded)


def troubled(number: int) -> str:
    """What went wrong with a part."""
    return f"{number:05d}.trouble"


def _bad(number: int) -> str:
    return f"{number:05d}{_BAD}"


@dataclass(frozen=True, slots=True)
class PartResults:
    """What is on record of the parts of one snapshot, under one plan. `clock` gives seconds since 1970, UTC."""

    storage: Storage
    folder: str
    clock: Callable[[], float]

    def names(self) -> set[str]:
        """The names of all that is recorded, but for what is too old to be relied on, which is deleted."""
        oldest, names = self.clock() - RESULTS_LIVE, set()
        for blob in self.storage.list(CONTAINER, self.folder):
            if blob.uploaded_at > oldest:
                names.add(blob.name.removeprefix(self.folder))
            elif not blob.name.endswith(_BAD):  # which goes with all else, after the result that needs it
                self.storage.delete(CONTAINER, blob.name)
        return names

    def result(self, name: str) -> ChunkResult:
        """What a check left. Raises NotFound."""
        return _RESULT.decode(self._read(name))

    def record(self, name: str, result: ChunkResult) -> None:
        """Records what a check left, unless another worker did so before."""
        self._create(name, msgspec.msgpack.encode(result))

    def repeated_rows(self, number: int) -> RowSet:
        """The rows of a part that earlier parts have. Raises NotFound."""
        return RowSet.unpacked(self._read(repeated(number)))

    def record_repeated(self, number: int, rows: RowSet) -> None:
        """Records the rows of a part that earlier parts have; a repeat changes nothing."""
        self._create(repeated(number), rows.packed())

    def trouble(self, number: int) -> Trouble:
        """What went wrong with a part so far."""
        try:
            return _TROUBLE.decode(self._read(troubled(number)))
        except NotFound:
            return Trouble()

    def put_trouble(self, number: int, trouble: Trouble) -> None:
        """Records what went wrong with a part."""
        self.storage.put(CONTAINER, self.folder + troubled(number), msgspec.json.encode(trouble))

    def forget_trouble(self, number: int) -> None:
        """Begins anew for a part that is done, or that a person asks for once more."""
        self.storage.delete(CONTAINER, self.folder + troubled(number))

    def row_groups(self, count: Callable[[], list[int]]) -> list[int]:
        """How many row groups the large parquet files have: counted once, and on record from then on."""
        try:
            return _COUNTS.decode(self._read(_ROW_GROUPS))
        except NotFound:
            counts = count()
            self._create(_ROW_GROUPS, msgspec.json.encode(counts))
            return counts

    def bad_rows_of(self, number: int) -> Quarantine:
        """The bad rows of a part, with their numbers in that part: the step knows what comes before it."""
        return Quarantine(self.storage, CONTAINER, self.folder + _bad(number))

    def read_bad_rows(self, number: int) -> Iterator[bytes]:
        """The lines of `bad_rows_of`, in their order."""
        name = self.folder + _bad(number)
        with self.storage.open(CONTAINER, name, self.storage.head(CONTAINER, name).etag) as file:
            yield from file

    def _read(self, name: str) -> bytes:
        return self.storage.read(CONTAINER, self.folder + name)[0]

    def _create(self, name: str, data: bytes) -> None:
        with contextlib.suppress(LedgerConflict):  # another worker recorded the same before
            self.storage.create(CONTAINER, self.folder + name, data)


def results_of(storage: Storage, inputs: ValidationInputs, clock: Callable[[], float]) -> PartResults:
    """What is on record of these inputs."""
    conditions = str(FORMAT), repr(inputs.policy), repr(inputs.plan), str(inputs.part_bytes)
    return PartResults(storage, naming.work(inputs.snapshot, *conditions), clock)


def parts_of(inputs: ValidationInputs, results: PartResults) -> Sequence[Chunk]:
    """The parts that several workers check, in reading order: always the same for the same files.

    One file is opened for each large parquet file, and only by the first who asks.
    """
    large = [source for source in in_reading_order(inputs.sources) if is_cut_by_groups(source, inputs.part_bytes)]
    counts = results.row_groups(lambda: [row_groups(source) for source in large]) if large else []
    of_source = dict(zip((source.path for source in large), counts, strict=True))
    return list(cut_into_chunks(inputs.sources, inputs.part_bytes, lambda source: of_source[source.path], zipped=True))


def forget_results(storage: Storage, snapshot: str) -> None:
    """Deletes all results of a snapshot: what they staged is gone, so the files have to be read again."""
    storage.delete_all(CONTAINER, snapshot)
