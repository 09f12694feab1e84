"""From a history that breaks a promise to a shorter one that breaks the same: choices are set back to the uneventful
one, in blocks and then one by one, while the promise stays broken."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.dice import Script
from tests.chaos.history import Verdict, play

_MOST_RUNS = 1500


def shrunk(verdict: Verdict, play_script: Callable[[int, Script], Verdict] = play) -> Verdict:
    """The shortest history found that breaks the same promise."""
    best, runs = verdict, 0
    size = max(1, len(best.choices) // 2)
    while size:
        at = 0
        while at < len(best.choices) and runs < _MOST_RUNS:
            kept = sorted(best.choices)
            left_out = set(kept[len(kept) - at - size : len(kept) - at] if at else kept[-size:])
            runs += 1
            tried = play_script(best.seed, {k: v for k, v in best.choices.items() if k not in left_out})
            if tried.promise == verdict.promise and len(tried.choices) < len(best.choices):
                best = tried
            else:
                at += size
        size //= 2
    return best
