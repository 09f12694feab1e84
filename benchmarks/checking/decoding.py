"""Validation of parquet beside Arrow's own decoding of the same columns: CPU of one process and thread, in pairs.

A pair is one decoding and one validation right after it, so that a busy machine slows down both; what is told is the
median of their ratios.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.checking.contenders import arrow
from shared.chatdata.splits import Split
from shared.validation import Policy, freeze, local_source


class _Nowhere:
    """Training files that nobody keeps."""

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        """Forget a block."""

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        """Forget a file."""


def compare(path: Path, rounds: int) -> None:
    """The file as it is, in row groups of 1,000 rows, and with all its rows in one."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    one = path.with_name("one-group.parquet")
    pq.write_table(pq.read_table(path), one)
    found = {name: _ratios(file, rounds) for name, file in {"groups of 1,000 rows": path, "one group": one}.items()}
    print(f"\nparquet, {path.stat().st_size / 1e6:.0f} MB, CPU as times of Arrow's decoding, {rounds} pairs\n")
    print(f"| what | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for way in next(iter(found.values())):
        print(f"| {way} | {' | '.join(f'{ratios[way]:.2f}' for ratios in found.values())} |")


def _ratios(path: Path, rounds: int) -> dict[str, float]:
    decode, source = arrow(), local_source(path)
    ways: dict[str, Callable[[], object]] = {
        "structural rules": partial(freeze, [source], Policy(meaning=False)),
        "all rules": partial(freeze, [source], Policy()),
        "all rules, and staged": partial(freeze, [source], Policy(), staging=_Nowhere()),
    }
    pairs: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, check in ways.items():
            ratio = 1 / _seconds(partial(decode, str(path))) * _seconds(check)
            if number:  # the first time, modules are loaded
                pairs[way].append(ratio)
    return {way: statistics.median(ratios) for way, ratios in pairs.items()}


def _seconds(act: Callable[[], object]) -> float:
    started = time.process_time()
    act()
    return time.process_time() - started
