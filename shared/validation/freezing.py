"""One pass over a snapshot: read, check, cut into splits, stage the training files, report.

Called by the validate step of the app (with blob storage behind every argument) and by the command line
(without staging). Nothing is committed here: `FrozenSnapshot.commit` does that, once the caller knows that the
source is unchanged.

What it promises when repeated: same files, policy, seed and cuts give the same report (times aside),
digest, cuts and blocks. Memory does not grow with the size of a file, but for the 28 bytes a row that find
duplicates (twice that while staging).

Several workers share the work of one snapshot by `check_chunk`, which may run anywhere, in any order, any number of
times; `Assembly` puts together what each of them left. The one thing that a worker cannot know is whether a row was in
an earlier chunk too: an accepted snapshot with such rows has the chunks concerned staged once more without them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.chatdata.splits import SPLITS, Cuts, Shares, Split, SuspendedCut, places_of
from shared.validation.chunks import Allowance, ChunkResult, whole_files, with_known_text
from shared.validation.digests import RowSet
from shared.validation.fold import Fold
from shared.validation.inspect import BadRow, inspect_chunk
from shared.validation.policy import Policy
from shared.validation.report import ValidationReport
from shared.validation.results import OrderedResults, within_limits
from shared.validation.sources import Chunk, Source, listing_problems
from shared.validation.stage import SplitPlan, Stager, Staging, writer
from shared.validation.zipped import ZippedText


@dataclass(frozen=True, slots=True)
class FrozenSnapshot:
    """What one pass made of a snapshot. Blocks are staged, not committed."""

    report: ValidationReport
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
) -> FrozenSnapshot:
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
    if stager and any(listing_problems(sources)):
        stager.stop()

    def inspect_first(chunk: Chunk, room: Allowance) -> ChunkResult:
        result = inspect_chunk(chunk, policy, stager=stager, quarantine=quarantine, heartbeat=beat, room=room)
        if result.fault and stager:
            stager.stop()
        return result

    counted = within_limits(whole_files(sources), policy, inspect_first, inspect_first)
    fold = fold_of(sources, OrderedResults(counted), policy)
    now, rows = (stager.cut(), stager.rows) if stager and stager.is_complete else count_splits(fold, plan)
    fold.judge(rows["train"])
    if stager and not fold.is_accepted:
        stager.stop()
    blocks = stager.blocks() if stager else dict.fromkeys(SPLITS, ())
    return FrozenSnapshot(fold.report(rows, clock() - started), fold.digest(), now, rows, blocks)


def plan_of(sources: Sequence[Source], seed: int, cuts: Cuts, shares: Shares) -> SplitPlan:
    """How a snapshot of these files is cut."""
    return SplitPlan(seed, cuts, shares, tuple(source.split for source in sources if source.split))


def fold_of(sources: Sequence[Source], ordered: OrderedResults, policy: Policy) -> Fold:
    """The fold of a snapshot, which knows what is wrong with its list of files."""
    fold = Fold(ordered, policy)
    for wrong in listing_problems(sources):
        fold.add(wrong.rule, wrong.found, wrong.expected, wrong.source)
    return fold


def count_splits(fold: Fold, plan: SplitPlan) -> tuple[Cuts, dict[Split, int]]:
    """The cuts, and how many rows each training file would have."""
    rows = {split: 0 if split == "train" else fold.distinct(split) for split in SPLITS}

    def emit(split: Split, place: float, data: bytes) -> None:
        rows[split] += 1

    cutter = plan.cutter(emit)
    for digests in fold.train_digests():
        for split, sure in cutter.add_places(places_of(digests, plan.seed)).items():
            rows[split] += sure
    return cutter.finish(), rows


def check_chunk(
    sources: Sequence[Source],
    chunk: Chunk,
    number: int,
    policy: Policy,
    plan: SplitPlan,
    staging: Staging,
    *,
    without: RowSet | None = None,
    quarantine: Callable[[BadRow], None] | None = None,
    heartbeat: Callable[[], None] = lambda: None,
    text: ZippedText | None = None,
) -> ChunkResult:
    """Check and stage one of the chunks that the files were cut into: the chunk of this number in reading order.

    Rows in `without` are not staged. `text`: the gzip file that the chunk is of, as the chunk before left it; it stays
    open. The same chunk leaves the same result and the same blocks. Errors of opener, heartbeat and staging come
    through.
    """
    stager = Stager(plan, policy, staging, beat=heartbeat, chunk=number, without=without or ())
    if any(listing_problems(sources)):
        stager.stop()
    result = inspect_chunk(chunk, policy, stager=stager, quarantine=quarantine, heartbeat=heartbeat, text=text)
    if result.fault:
        stager.stop()
    result.staged = stager.leave()
    return result


class Assembly:
    """What all chunks left, looked at together. Its report is that of one pass over all of them."""

    def __init__(
        self,
        sources: Sequence[Source],
        chunks: Sequence[Chunk],
        results: Sequence[ChunkResult],
        policy: Policy,
        plan: SplitPlan,
        heartbeat: Callable[[], None] = lambda: None,
    ) -> None:
        self._results, self._policy, self._plan = results, policy, plan
        chunks = with_known_text(chunks, results)
        left = dict(zip(chunks, results, strict=True))
        number_of = {chunk: number for number, chunk in enumerate(chunks)}
        self._counted: list[int] = []

        def noted(chunk: Chunk, _: Allowance) -> ChunkResult:
            self._counted.append(number_of[chunk])
            return left[chunk]

        def again(chunk: Chunk, room: Allowance) -> ChunkResult:
            return inspect_chunk(chunk, policy, heartbeat=heartbeat, room=room)

        self._ordered = OrderedResults(within_limits(chunks, policy, noted, again))
        self._fold = fold_of(sources, self._ordered, policy)
        self._cuts, self._rows = count_splits(self._fold, plan)
        self._fold.judge(self._rows["train"])

    def repeated(self) -> Mapping[int, RowSet]:
        """By chunk, the rows that must not be staged because an earlier chunk has them; nothing unless accepted."""
        if not self._fold.is_accepted:
            return {}
        return {chunk: self._fold.repeats[chunk] for chunk in self._fold.repeat_others}

    def bad_rows(self) -> Iterator[tuple[int, int, int]]:
        """Of each chunk with bad rows: its number, how many lines of its file come before it, and how many are bad."""
        for at, result in self._ordered:
            if result.bad:
                yield self._counted[at], self._ordered.row(at, 0), result.bad

    def freeze(
        self, staging: Staging, seconds: float, without: Mapping[int, ChunkResult] | None = None
    ) -> FrozenSnapshot:
        """Stage the last rows, and report. `without`: what chunks left that were staged again, by number.

        Raises ValueError if what was staged is not what was counted.
        """
        rows, blocks = dict(self._rows), dict[Split, tuple[str, ...]](dict.fromkeys(SPLITS, ()))
        if self._fold.is_accepted:
            results = {**dict(enumerate(self._results)), **(without or {})}
            rows, blocks = self._stage([results[chunk] for chunk in range(len(results))], staging)
            if rows != self._rows:
                raise ValueError(
                    f"staged {rows}, but counted {self._rows}: the results of the chunks do not fit together"
                )
        return FrozenSnapshot(self._fold.report(rows, seconds), self._fold.digest(), self._cuts, rows, blocks)

    def _stage(
        self, results: Sequence[ChunkResult], staging: Staging
    ) -> tuple[dict[Split, int], dict[Split, tuple[str, ...]]]:
        """Assign the rows that no chunk could assign by itself; all rows and blocks in the order of buckets."""
        writers = {split: writer(split, staging, chunk=len(results)) for split in SPLITS}
        cutter = self._plan.cutter(lambda split, place, data: writers[split].add(place, data))
        left = [result.staged for result in results]
        cutter.resume(
            [SuspendedCut(one.cut_rows, one.below, [(row.place, row.data) for row in one.held]) for one in left]
        )
        cutter.finish()
        rows = {split: writers[split].rows + sum(one.rows.get(split, 0) for one in left) for split in SPLITS}
        blocks: dict[Split, tuple[str, ...]] = {}
        for split in SPLITS:
            by_bucket = zip(*(one.blocks[split] for one in left), writers[split].leave(), strict=True)
            blocks[split] = tuple(block for bucket in by_bucket for some in bucket for block in some)
        return rows, blocks
