"""Good rows on their way into the training files: each dialogue once, cut into the splits, as lines of JSON.

Blocks are named by part and content, so a part that is read twice stages the same blocks again. Rows that only the
whole snapshot can assign (the few that a top-up may move) are left to the fold.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.chatdata.splits import SPLITS, Cuts, Cutter, Shares, Split, place_of
from shared.validation.digests import Seen
from shared.validation.partial import HeldRow, Staged
from shared.validation.policy import Policy
from shared.validation.staging import BlockWriter, Staging
from shared.validation.turns import Dialogue

TRAIN_BUFFER = 24 * 2**20
HELD_OUT_BUFFER = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows of one snapshot are cut: the dataset's seed and cuts, and the splits that were dropped."""

    seed: int = 0
    cuts: Cuts = field(default_factory=Cuts)
    shares: Shares = field(default_factory=Shares)
    given: tuple[Split, ...] = ()

    def cutter(self, emit: Callable[[Split, float, bytes], None]) -> Cutter:
        """A cutter by this plan."""
        return Cutter(emit, self.cuts, self.shares, self.given)


class Stager:
    """Stages good rows: those of a whole snapshot, or those of one part of it."""

    def __init__(
        self,
        plan: Plan,
        policy: Policy,
        staging: Staging,
        *,
        beat: Callable[[], None] = lambda: None,
        part: int = 0,
        without: Container[int] = (),
    ) -> None:
        self._plan, self._policy, self._without = plan, policy, without
        self._seen = Seen()
        self._writers = {name: writer(name, _Beating(staging, beat), part) for name in SPLITS}
        self._cutter = plan.cutter(self._write)
        self._stopped = False

    def _write(self, split: Split, place: float, data: bytes) -> None:
        self._writers[split].add(place, data)

    def add(self, digest: bytes, dialogue: Dialogue, split: Split | None, row: int) -> None:
        """Take a good row of a file of this split; a dialogue that was there before is not staged again."""
        if self._stopped or row in self._without or not self._seen.add(digest):
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

    def leave(self) -> Staged:
        """Stage what is in memory of a part, and hand over the rows that only the whole snapshot can assign."""
        if self._stopped:
            return Staged()
        waiting = self._cutter.suspend()
        buckets = {split: self._writers[split].leave() for split in SPLITS}
        return Staged(self.rows, buckets, waiting.rows, waiting.below, [HeldRow(*row) for row in waiting.held])


class _Beating:
    """Staging with a heartbeat."""

    def __init__(self, staging: Staging, beat: Callable[[], None]) -> None:
        self._staging, self._beat = staging, beat

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        self._beat()
        self._staging.stage(split, block_id, data)

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        raise NotImplementedError("a pass never commits")


def writer(split: Split, staging: Staging, part: int) -> BlockWriter:
    """A writer with the buffer and buckets of a split."""
    if split == "train":
        return BlockWriter(split, staging, buffer=TRAIN_BUFFER, buckets=16, part=part)
    return BlockWriter(split, staging, buffer=HELD_OUT_BUFFER, buckets=4, part=part)


def line_of(dialogue: Dialogue, policy: Policy) -> bytes:
    """A dialogue as a line of a training file."""
    turns = [{"content": text, "role": role} for role, text in zip(dialogue.roles, dialogue.contents, strict=True)]
    if policy.system_turns == "fold" and dialogue.roles[0] == "system":
        turns = folded(turns)
    return b'{"messages":' + orjson.dumps(turns) + b"}\n"


def folded(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the leading system turn before the first user turn, an empty line between."""
    system, user, *rest = turns
    return [{"content": f"{system['content']}\n\n{user['content']}", "role": user["role"]}, *rest]
