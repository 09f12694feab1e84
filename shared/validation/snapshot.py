"""One pass over a snapshot: read, check, cut into splits, stage the training files, report.

Called by the validate step of the app (with blob storage behind every argument) and by the command line
(without staging). Nothing is committed here: `Frozen.commit` does that, once the caller knows that the
source is unchanged.

What it promises when repeated: same files, policy, seed and cuts give the same report (times aside),
digest, cuts and blocks. Memory does not grow with the size of a file, but for about 40 bytes a row that
find duplicates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.splits import SPLITS, Cuts, Shares, Split
from shared.validation.inspection import BadRow, Inspection
from shared.validation.policy import Policy
from shared.validation.report import Report
from shared.validation.shape import shape_of
from shared.validation.sources import Source
from shared.validation.staging import Staging

_ORDER: dict[Split | None, int] = {"test": 0, "validation": 1, "train": 2, None: 2}


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
    """Validate and stage a snapshot in one pass.

    Held-out files are read first, so that a dialogue found in both is taken from the training rows.
    `quarantine` gets the bad rows if the policy lets training go on without them. `heartbeat` is called at
    least once per megabyte read and per block staged; what it raises, and what openers and staging raise,
    comes through unchanged.
    """
    started = clock()
    ordered = sorted(sources, key=lambda source: _ORDER[source.split])
    inspection = Inspection(
        policy,
        seed=seed,
        cuts=cuts,
        shares=shares,
        given=[source.split for source in ordered if source.split],
        staging=staging,
        quarantine=quarantine if policy.max_bad_percent > 0 else None,
        heartbeat=heartbeat or (lambda: None),
    )
    for wrong in shape_of(ordered):
        inspection.misshapen(wrong)
    for source in ordered:
        inspection.read(source)
    outcome = inspection.finish()
    digest = inspection.digest(_groups(ordered))
    return Frozen(
        report=inspection.report(clock() - started),
        digest=digest,
        cuts=outcome.cuts,
        rows=outcome.rows,
        blocks=outcome.blocks,
    )


def _groups(ordered: Sequence[Source]) -> Iterator[tuple[str, int, int]]:
    """The runs of files that belong to one split: (its name, first file, file after the last)."""
    for split in ("test", "validation", "train"):
        at = [number for number, source in enumerate(ordered) if (source.split or "train") == split]
        if at:
            yield split, at[0], at[-1] + 1
