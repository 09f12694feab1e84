"""The files of a snapshot, each checked and staged by itself, put together: what one pass over all of them would make.

Called by whoever hands the files to several workers. `check_file` may run anywhere, in any order, any number of times;
`Assembly` needs what each of them left. The one thing that a worker cannot know is whether a row was in an earlier file
too: an accepted snapshot with such rows has the files concerned staged once more without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from shared.chatdata.splits import SPLITS, Split, Waiting
from shared.validation.digests import RowSet
from shared.validation.inspection import BadRow, Room, inspect
from shared.validation.lineup import Lineup, within_limits
from shared.validation.partial import Partial
from shared.validation.parts import Part, whole
from shared.validation.policy import Policy
from shared.validation.shape import shape_of
from shared.validation.snapshot import Frozen, count_splits, fold_of
from shared.validation.sources import Source
from shared.validation.stager import Plan, Stager, writer
from shared.validation.staging import Staging


def check_file(
    sources: Sequence[Source],
    number: int,
    policy: Policy,
    plan: Plan,
    staging: Staging,
    *,
    without: RowSet | None = None,
    quarantine: Callable[[BadRow], None] | None = None,
    heartbeat: Callable[[], None] = lambda: None,
) -> Partial:
    """Check and stage one of the files, by its number in reading order; rows in `without` are not staged.

    The same file leaves the same partial and the same blocks. Errors of opener, heartbeat and staging come through.
    """
    stager = Stager(plan, policy, staging, beat=heartbeat, part=number, without=without or ())
    if any(shape_of(sources)):
        stager.stop()
    part = whole(sources)[number]
    partial = inspect(part, policy, stager=stager, quarantine=quarantine, heartbeat=heartbeat)
    if partial.fault:
        stager.stop()
    partial.staged = stager.leave()
    return partial


class Assembly:
    """What all files left, looked at together. Its report is that of one pass over all of them."""

    def __init__(
        self,
        sources: Sequence[Source],
        partials: Sequence[Partial],
        policy: Policy,
        plan: Plan,
        heartbeat: Callable[[], None] = lambda: None,
    ) -> None:
        self._partials, self._policy, self._plan = partials, policy, plan
        parts = whole(sources)
        left = dict(zip(parts, partials, strict=True))

        def again(part: Part, room: Room) -> Partial:
            return inspect(part, policy, heartbeat=heartbeat, room=room)

        self._fold = fold_of(sources, Lineup(within_limits(parts, policy, lambda part, _: left[part], again)), policy)
        self._cuts, self._rows = count_splits(self._fold, plan)
        self._fold.judge(self._rows["train"])

    def repeated(self) -> Mapping[int, RowSet]:
        """By file, the rows that must not be staged because an earlier file has them; nothing unless accepted."""
        if not self._fold.is_accepted:
            return {}
        return {part: self._fold.repeats[part] for part in self._fold.repeat_others}

    def freeze(self, staging: Staging, seconds: float, without: Mapping[int, Partial] | None = None) -> Frozen:
        """Stage the last rows, and report. `without`: what files left that were staged again, by number.

        Raises ValueError if what was staged is not what was counted.
        """
        rows, blocks = dict(self._rows), dict[Split, tuple[str, ...]](dict.fromkeys(SPLITS, ()))
        if self._fold.is_accepted:
            partials = {**dict(enumerate(self._partials)), **(without or {})}
            rows, blocks = self._stage([partials[part] for part in range(len(partials))], staging)
            if rows != self._rows:
                raise ValueError(f"staged {rows}, but counted {self._rows}: the files' partials do not fit together")
        return Frozen(self._fold.report(rows, seconds), self._fold.digest(), self._cuts, rows, blocks)

    def _stage(
        self, partials: Sequence[Partial], staging: Staging
    ) -> tuple[dict[Split, int], dict[Split, tuple[str, ...]]]:
        """Assign the rows that no file could assign by itself; all rows and blocks in the order of buckets."""
        writers = {split: writer(split, staging, part=len(partials)) for split in SPLITS}
        cutter = self._plan.cutter(lambda split, place, data: writers[split].add(place, data))
        left = [partial.staged for partial in partials]
        cutter.resume([Waiting(one.cut_rows, one.below, [(row.place, row.data) for row in one.held]) for one in left])
        cutter.finish()
        rows = {split: writers[split].rows + sum(one.rows.get(split, 0) for one in left) for split in SPLITS}
        blocks: dict[Split, tuple[str, ...]] = {}
        for split in SPLITS:
            by_bucket = zip(*(one.blocks[split] for one in left), writers[split].leave(), strict=True)
            blocks[split] = tuple(block for bucket in by_bucket for some in bucket for block in some)
        return rows, blocks
