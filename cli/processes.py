"""The same pass in several processes, for the command line: one a core, over pieces of the files.

Pieces are many more than processes, so that a busy core costs little. Only results travel between processes, a few
dozen bytes a row. What a process raises comes out here.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

from shared.chatdata.splits import Cuts, Shares
from shared.validation.chunks import Allowance, ChunkResult, cut_into_chunks
from shared.validation.freezing import count_splits, fold_of, freeze, plan_of
from shared.validation.inspect import inspect_chunk
from shared.validation.lines import READ_SIZE
from shared.validation.policy import Policy
from shared.validation.report import ValidationReport
from shared.validation.results import OrderedResults, within_limits
from shared.validation.sources import Chunk, Source

WORTH_IT = 24 * 2**20  # bytes: below, starting processes takes longer than reading
PIECE = 16 * 2**20


def check(
    sources: Sequence[Source],
    policy: Policy,
    *,
    processes: int | None = None,
    piece: int = PIECE,
    progress: Callable[[int], None] = lambda _: None,
) -> ValidationReport:
    """Validate files on disk. `progress` hears how many bytes were read since it was last told.

    The report is the same (times aside) for any number of processes and size of pieces.
    """
    started = time.perf_counter()
    chunks = list(cut_into_chunks(sources, piece))
    workers = min(processes or _cores(), len(chunks))
    if workers < 2 or (processes is None and sum(source.size for source in sources) < WORTH_IT):
        return freeze(sources, policy, heartbeat=lambda: progress(READ_SIZE)).report
    _load_for(chunks)
    with ProcessPoolExecutor(workers, mp_context=_context()) as pool:
        found = {chunk: pool.submit(inspect_chunk, chunk, policy) for chunk in chunks}

        def inspect_first(chunk: Chunk, room: Allowance) -> ChunkResult:
            progress(piece)
            return found.pop(chunk).result()

        def again(chunk: Chunk, room: Allowance) -> ChunkResult:
            return inspect_chunk(chunk, policy, room=room)

        ordered = OrderedResults(within_limits(chunks, policy, inspect_first, again))
        pool.shutdown(wait=False, cancel_futures=True)
    fold = fold_of(sources, ordered, policy)
    _, rows = count_splits(fold, plan_of(sources, 0, Cuts(), Shares()))
    fold.judge(rows["train"])
    return fold.report(rows, time.perf_counter() - started)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load_for(chunks: Sequence[Chunk]) -> None:
    """Import once what every forked process would import by itself."""
    import numpy  # noqa: F401

    if any(chunk.source.known_format == "parquet" for chunk in chunks):
        import pyarrow.compute  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: F401


def _context() -> multiprocessing.context.BaseContext:
    """Forked processes start in a tenth of the time, and share what was imported."""
    return multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
