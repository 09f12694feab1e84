"""`python -m tests.chaos`: many histories, or one.

python -m tests.chaos                      as many as `make nightly` plays
python -m tests.chaos --seeds 100000       the long mode
python -m tests.chaos --seed 4711          one history, told; a failing one is made as short as possible first
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.chaos.history import Verdict, play
from tests.chaos.shrinking import shrunk

BASE = 20_261_101
SEEDS = 2000


def main() -> int:
    """0 when every history kept its promises."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Seeded histories of the whole app.")
    parser.add_argument("--seed", type=int, help="tell the history of this seed")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many histories")
    parser.add_argument("--start", type=int, default=BASE, help="the first seed")
    parser.add_argument("--as-it-was", action="store_true", help="with --seed: do not shorten a failing history")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failing history")
    given = parser.parse_args()
    if given.seed is not None:
        return one(given.seed, given.as_it_was)
    return many(range(given.start, given.start + given.seeds), given.keep_going)


def one(seed: int, as_it_was: bool) -> int:
    """Tells one history."""
    verdict = play(seed)
    if verdict.broken and not as_it_was:
        print(f"{len(verdict.choices)} eventful choices; looking for fewer ...", file=sys.stderr)
        verdict = shrunk(verdict)
    print(told(verdict))
    return 1 if verdict.broken else 0


def many(seeds: range, keep_going: bool) -> int:
    """Runs histories; stops at the first that fails, or counts the promises that are broken."""
    started, found, first = time.perf_counter(), Counter[str](), dict[str, int]()
    for seed in seeds:
        verdict = play(seed)
        if verdict.broken:
            found[verdict.promise] += 1
            first.setdefault(verdict.promise, seed)
            if not keep_going:
                print(told(shrunk(verdict)))
                return 1
    for promise, count in found.most_common():
        print(f"{count:6} x  --seed {first[promise]}  {promise}")
    print(f"{len(seeds)} histories, {found.total()} broke a promise, {time.perf_counter() - started:.0f} s")
    return 1 if found else 0


def told(verdict: Verdict) -> str:
    """A history in words."""
    lines = [str(line) for line in verdict.lines]
    end = [f"BROKEN: {promise}" for promise in verdict.broken] or ["every promise was kept"]
    return "\n".join([*lines, *end, f"replay: python -m tests.chaos --seed {verdict.seed}"])


if __name__ == "__main__":
    sys.exit(main())
