"""Good rows on their way into the training files: each dialogue once, cut into the splits, as lines of JSON.

Blocks are named by chunk and content, so a chunk that is read twice stages the same blocks again. Rows that only the
whole snapshot can assign (the few that a top-up may move) are left to the fold.

The target is the caller's (`Staging`): block blobs in the app, a dictionary in tests. Rows of a split come out in the
order of their seeded hash: they are gathered in buckets by hash prefix, and each full bucket is sorted and staged as
one block; blocks are put in order at commit. So within a bucket larger than its buffer, order is by block. What it
promises when repeated: the same rows in the same order give the same block ids with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Protocol

import orjson
import xxhash

from shared.chatdata.splits import SPLITS, Cuts, Cutter, Shares, Split, place_of
from shared.chatdata.templates import fold_system_turn
from shared.validation.chunks import StagedBlocks, UndecidedRow
from shared.validation.dialogues import Dialogue
from shared.validation.digests import DigestSet
from shared.validation.policy import Policy

_ROW_OVERHEAD = 160  # what Python adds to a small row held in a list


TRAIN_BUFFER = 24 * 2**20


HELD_OUT_BUFFER = 4 * 2**20


class Staging(Protocol):
    """Where blocks go. Both calls may be repeated; `stage` overwrites a block of the same id."""

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        """Keep a block, uncommitted."""
        ...

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        """Make the split's file of these blocks, in this order (none: an empty file)."""
        ...


class BlockWriter:
    """Writes one split's rows through a bounded buffer."""

    def __init__(self, split: Split, staging: Staging, *, buffer: int, buckets: int, chunk: int = 0) -> None:
        self._split, self._staging, self._chunk = split, staging, chunk
        self._budget = buffer
        self._buckets: list[list[tuple[float, bytes]]] = [[] for _ in range(buckets)]
        self._sizes = [0] * buckets
        self._held = 0
        self._staged: list[list[str]] = [[] for _ in range(buckets)]
        self.rows = 0

    def add(self, place: float, data: bytes) -> None:
        """Take one row: a line of JSON with its line feed."""
        bucket = int(place * len(self._buckets))
        size = len(data) + _ROW_OVERHEAD
        self._buckets[bucket].append((place, data))
        self._sizes[bucket] += size
        self._held += size
        self.rows += 1
        if self._held > self._budget:
            self._flush([self._sizes.index(max(self._sizes))])

    def _flush(self, buckets: list[int]) -> None:
        """Stage neighbouring buckets as one block, which belongs to the first of them."""
        rows = sorted(row for bucket in buckets for row in self._buckets[bucket])
        if rows:
            home = self._staged[buckets[0]]
            content = b"".join([data for _, data in rows])
            # All ids of a blob must have one length. With the content in its id, a block is never mistaken for another.
            block = f"{buckets[0]:02d}-{self._chunk:05d}-{len(home):05d}-{xxhash.xxh3_64_hexdigest(content)}"
            home.append(block)
            self._staging.stage(self._split, block, content)
        for bucket in buckets:
            self._held -= self._sizes[bucket]
            self._buckets[bucket], self._sizes[bucket] = [], 0

    def finish(self) -> tuple[str, ...]:
        """Stage the rest and return the blocks in their order."""
        return tuple(block for blocks in self.leave() for block in blocks)

    def leave(self) -> list[list[str]]:
        """Stage the rest, small neighbours together, and return the blocks by bucket."""
        group: list[int] = []
        size = 0
        most = self._budget // 4
        for bucket, staged in enumerate(self._staged):
            if group and (staged or size + self._sizes[bucket] > most):
                self._flush(group)
                group, size = [], 0
            group.append(bucket)
            size += self._sizes[bucket]
        self._flush(group)
        return self._staged


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How the rows of one snapshot are cut: the dataset's seed and cuts, and the splits that were dropped."""

    seed: int = 0
    cuts: Cuts = field(default_factory=Cuts)
    shares: Shares = field(default_factory=Shares)
    given: tuple[Split, ...] = ()

    def cutter(self, emit: Callable[[Split, float, bytes], None]) -> Cutter:
        """A cutter by this plan."""
        return Cutter(emit, self.cuts, self.shares, self.given)


class Stager:
    """Stages good rows: those of a whole snapshot, or those of one chunk of it."""

    def __init__(
        self,
        plan: SplitPlan,
        policy: Policy,
        staging: Staging,
        *,
        beat: Callable[[], None] = lambda: None,
        chunk: int = 0,
        without: Container[int] = (),
    ) -> None:
        self._plan, self._policy, self._without = plan, policy, without
        self._digests = DigestSet()
        self._writers = {name: writer(name, _Beating(staging, beat), chunk) for name in SPLITS}
        self._cutter = plan.cutter(self._write)
        self._stopped = False

    def _write(self, split: Split, place: float, data: bytes) -> None:
        self._writers[split].add(place, data)

    def add(self, digest: bytes, dialogue: Dialogue, split: Split | None, row: int) -> None:
        """Take a good row of a file of this split; a dialogue that was there before is not staged again."""
        if self._stopped or row in self._without or not self._digests.add(digest):
            return
        place, data = place_of(digest, self._plan.seed), line_of(dialogue, self._policy)
        if split in ("test", "validation"):
            self._write(split, place, data)
        else:
            self._cutter.add(place, data)

    def stop(self) -> None:
        """The snapshot is known to be refused: further blocks would be in vain."""
        self._stopped = True

    @property
    def is_complete(self) -> bool:
        """Whether all good rows were taken."""
        return not self._stopped

    def cut(self) -> Cuts:
        """Assign the last rows of a whole snapshot; the cuts now in force."""
        return self._cutter.finish()

    @property
    def rows(self) -> dict[Split, int]:
        """Rows by split."""
        return {split: self._writers[split].rows for split in SPLITS}

    def blocks(self) -> dict[Split, tuple[str, ...]]:
        """Stage what is still in memory; all blocks in their order."""
        return {split: () if self._stopped else self._writers[split].finish() for split in SPLITS}

    def leave(self) -> StagedBlocks:
        """Stage what is in memory of a chunk, and hand over the rows that only the whole snapshot can assign."""
        if self._stopped:
            return StagedBlocks()
        waiting = self._cutter.suspend()
        buckets = {split: self._writers[split].leave() for split in SPLITS}
        return StagedBlocks(
            self.rows, buckets, waiting.rows, waiting.below, [UndecidedRow(*row) for row in waiting.held]
        )


class _Beating:
    """Staging with a heartbeat."""

    def __init__(self, staging: Staging, beat: Callable[[], None]) -> None:
        self._staging, self._beat = staging, beat

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        self._beat()
        self._staging.stage(split, block_id, data)

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        raise NotImplementedError("a pass never commits")


def writer(split: Split, staging: Staging, chunk: int) -> BlockWriter:
    """A writer with the buffer and buckets of a split."""
    if split == "train":
        return BlockWriter(split, staging, buffer=TRAIN_BUFFER, buckets=16, chunk=chunk)
    return BlockWriter(split, staging, buffer=HELD_OUT_BUFFER, buckets=4, chunk=chunk)


def line_of(dialogue: Dialogue, policy: Policy) -> bytes:
    """A dialogue as a line of a training file."""
    turns = [{"content": text, "role": role} for role, text in zip(dialogue.roles, dialogue.contents, strict=True)]
    if policy.system_turns == "fold" and dialogue.roles[0] == "system":
        turns = fold_system_turn(turns)
    return b'{"messages":' + orjson.dumps(turns) + b"}\n"
