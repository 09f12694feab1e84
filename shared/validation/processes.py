"""The same pass in several processes, for the command line: one a core, over pieces of the files.

Pieces are many more than processes, so that a busy core costs little. Only partials travel between processes, a few
dozen bytes a row. What a process raises comes out here.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

from shared.chatdata.splits import Cuts, Shares
from shared.validation.inspection import Room, inspect
from shared.validation.lines import CHUNK
from shared.validation.lineup import Lineup, within_limits
from shared.validation.partial import Partial
from shared.validation.parts import Part, pieces
from shared.validation.policy import Policy
from shared.validation.report import Report
from shared.validation.snapshot import count_splits, fold_of, freeze, plan_of
from shared.validation.sources import Source

WORTH_IT = 24 * 2**20  # bytes: below, starting processes takes longer than reading
PIECE = 16 * 2**20


def check(
    sources: Sequence[Source],
    policy: Policy,
    *,
    processes: int | None = None,
    piece: int = PIECE,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Validate files on disk. `progress` hears how many bytes were read since it was last told.

    The report is the same (times aside) for any number of processes and size of pieces.
    """
    started = time.perf_counter()
    parts = list(pieces(sources, piece))
    workers = min(processes or _cores(), len(parts))
    if workers < 2 or (processes is None and sum(source.size for source in sources) < WORTH_IT):
        return freeze(sources, policy, heartbeat=lambda: progress(CHUNK)).report
    _load_for(parts)
    with ProcessPoolExecutor(workers, mp_context=_context()) as pool:
        found = {part: pool.submit(inspect, part, policy) for part in parts}

        def inspected(part: Part, room: Room) -> Partial:
            progress(piece)
            return found.pop(part).result()

        def again(part: Part, room: Room) -> Partial:
            return inspect(part, policy, room=room)

        lineup = Lineup(within_limits(parts, policy, inspected, again))
        pool.shutdown(wait=False, cancel_futures=True)
    fold = fold_of(sources, lineup, policy)
    _, rows = count_splits(fold, plan_of(sources, 0, Cuts(), Shares()))
    fold.judge(rows["train"])
    return fold.report(rows, time.perf_counter() - started)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load_for(parts: Sequence[Part]) -> None:
    """Import once what every forked process would import by itself."""
    import numpy  # noqa: F401

    if any(part.source.known_format == "parquet" for part in parts):
        import pyarrow.compute  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: F401


def _context() -> multiprocessing.context.BaseContext:
    """Forked processes start in a tenth of the time, and share what was imported."""
    return multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
