"""Every choice of a history, made by seed, kept in order, and replayed or calmed one by one.

The choice 0 is always the uneventful one: nothing fails, nobody is interrupted, what is next comes next. So a history
whose choices are mostly 0 is a short story, and shrinking a failing one means setting choices to 0.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Mapping, Sequence
from itertools import accumulate

type Script = Mapping[tuple[int, int], int]


class Dice:
    """Rolls by seed, or (with a `script`) the choices of an earlier history; all others are 0.

    A choice is known by the move it was made in and its number there, so that leaving one out moves few others.
    """

    def __init__(self, seed: int, script: Script | None = None) -> None:
        self._random = random.Random(seed)
        self._script = script
        self._move = self._number = 0
        self.eventful: dict[tuple[int, int], int] = {}
        self.calm = False
        self.kind = False

    def next_move(self) -> None:
        """A new move begins."""
        self._move, self._number = self._move + 1, 0

    def roll(self, upto: Sequence[float]) -> int:
        """One of `len(upto)` choices; `upto` are the accumulated weights. Once calm, always 0."""
        return 0 if self.calm else self.fate(upto)

    def fate(self, upto: Sequence[float]) -> int:
        """The same for how a job, a deployment or a model turns out, which may be badly when all is calm, too.

        While the dice are `kind`, it is always well.
        """
        if self.kind:
            return 0
        self._number += 1
        at = (self._move, self._number)
        if self._script is None:
            chosen = bisect.bisect_right(upto, self._random.random() * upto[-1], hi=len(upto) - 1)
        else:
            chosen = min(self._script.get(at, 0), len(upto) - 1)
        if chosen:
            self.eventful[at] = chosen
        return chosen

    def pick[T](self, items: Sequence[T]) -> T:
        """One of the items, each as likely; the first one is the uneventful choice."""
        return items[self.roll(range(1, len(items) + 1))]


def weights(*given: float) -> tuple[float, ...]:
    """Accumulated weights, as `Dice.roll` wants them."""
    return tuple(accumulate(given))
