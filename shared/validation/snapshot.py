"""One pass over a snapshot: read, check, cut into splits, stage the training files, report.

Called by the validate step of the app (with blob storage behind every argument) and by the command line
(without staging). Nothing is committed here: `Frozen.commit` does that, once the caller knows that the
source is unchanged.

What it promises when repeated: same files, policy, seed and cuts give the same report (times aside),
digest, cuts and blocks. Memory does not grow with the size of a file, but for the 28 bytes a row that find
duplicates (twice that while staging).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.chatdata.splits import SPLITS, Cuts, Shares, Split, place_of
from shared.validation.fold import Fold
from shared.validation.inspection import BadRow, Room, inspect
from shared.validation.lineup import Lineup, within_limits
from shared.validation.partial import Partial
from shared.validation.parts import Part, whole
from shared.validation.policy import Policy
from shared.validation.report import Report
from shared.validation.shape import shape_of
from shared.validation.sources import Source
from shared.validation.stager import Plan, Stager
from shared.validation.staging import Staging


@dataclass(frozen=True, slots=True)
class Frozen:
    """What one pass made of a snapshot. Blocks are staged, not committed."""

    report: Report
    digest: str
    """SHA-256 of the content: the same for the same rows in any order, file format and sharding."""
    cuts: Cuts
    """To be stored with the dataset, if the snapshot is accepted."""
    rows: Mapping[Split, int]
    blocks: Mapping[Split, tuple[str, ...]]

    def commit(self, staging: Staging) -> None:
        """Make the training files. Repeating it is harmless."""
        if not self.report.accepted:
            raise ValueError(f"a rejected snapshot is never committed: {self.report.summary}")
        for split in SPLITS:
            staging.commit(split, self.blocks[split])


def freeze(
    sources: Sequence[Source],
    policy: Policy,
    *,
    seed: int = 0,
    cuts: Cuts = Cuts(),  # noqa: B008 - a frozen value
    shares: Shares = Shares(),  # noqa: B008 - a frozen value
    staging: Staging | None = None,
    quarantine: Callable[[BadRow], None] | None = None,
    heartbeat: Callable[[], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Frozen:
    """Validate and stage a snapshot in one pass, in this process.

    Held-out files are read first, so that a dialogue found in both is taken from the training rows.
    `quarantine` gets the bad rows if the policy lets training go on without them. `heartbeat` is called at
    least once per megabyte read and per block staged; what it raises, and what openers and staging raise,
    comes through unchanged.
    """
    started = clock()
    beat = heartbeat or (lambda: None)
    plan = plan_of(sources, seed, cuts, shares)
    stager = Stager(plan, policy, staging, beat=beat) if staging else None
    if stager and any(shape_of(sources)):
        stager.stop()

    def inspected(part: Part, room: Room) -> Partial:
        partial = inspect(part, policy, stager=stager, quarantine=quarantine, heartbeat=beat, room=room)
        if partial.fault and stager:
            stager.stop()
        return partial

    counted = within_limits(whole(sources), policy, inspected, inspected)
    fold = fold_of(sources, Lineup(counted), policy)
    now, rows = (stager.cut(), stager.rows) if stager and stager.is_complete else count_splits(fold, plan)
    fold.judge(rows["train"])
    if stager and not fold.is_accepted:
        stager.stop()
    blocks = stager.blocks() if stager else dict.fromkeys(SPLITS, ())
    return Frozen(fold.report(rows, clock() - started), fold.digest(), now, rows, blocks)


def plan_of(sources: Sequence[Source], seed: int, cuts: Cuts, shares: Shares) -> Plan:
    """How a snapshot of these files is cut."""
    return Plan(seed, cuts, shares, tuple(source.split for source in sources if source.split))


def fold_of(sources: Sequence[Source], lineup: Lineup, policy: Policy) -> Fold:
    """The fold of a snapshot, which knows what is wrong with its list of files."""
    fold = Fold(lineup, policy)
    for wrong in shape_of(sources):
        fold.add(wrong.rule, wrong.found, wrong.expected, wrong.source)
    return fold


def count_splits(fold: Fold, plan: Plan) -> tuple[Cuts, dict[Split, int]]:
    """The cuts, and how many rows each training file would have."""
    rows = {split: 0 if split == "train" else fold.distinct(split) for split in SPLITS}

    def emit(split: Split, place: float, data: bytes) -> None:
        rows[split] += 1

    cutter = plan.cutter(emit)
    for digests in fold.train_digests():
        sure = cutter.add_places([place_of(digest, plan.seed) for digest in digests])
        rows["train"] += sure  # not in one line: the cutter emits rows of its own meanwhile
    return cutter.finish(), rows
