"""When a snapshot that arrives among many others is checked: fair to everybody else who uploads.

Whoever may upload may upload a thousand files at once. All of them are taken in, but those beyond a handful are
checked one by one, some time apart, so that an upload that comes after them finds the workers free. Called when a
snapshot is recorded. Each process counts what it received itself; after a restart it begins anew.
"""

from __future__ import annotations

import weakref
from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.ledger.store import Ledger

# What arrived within so many seconds arrived at once.
WINDOW = 60.0
# So many of one dataset, and of all datasets that were never released, are checked without delay ...
MOST_OF_DATASET, MOST_NEW = 3, 20
# ... and each one beyond them so many seconds later than the one before. Of a dataset those cost a step each, no pass
# over their rows, because the newest takes their place.
GAP_OF_DATASET, GAP_NEW = 0.25, 0.5
_NEW = ""


class ArrivalPace:
    """The arrivals of the last minute, by dataset and of new datasets together."""

    def __init__(self) -> None:
        self._arrivals: dict[str, deque[float]] = defaultdict(deque)

    def delay(self, dataset: str, is_new: bool, now: float) -> float:
        """Seconds until a snapshot that arrives now is checked. `is_new`: nothing of its dataset was ever released."""
        beyond = self._count(dataset, now) - MOST_OF_DATASET
        delay = max(0.0, beyond * GAP_OF_DATASET)
        if is_new:
            delay = max(delay, (self._count(_NEW, now) - MOST_NEW) * GAP_NEW)
        return delay

    def _count(self, key: str, now: float) -> int:
        """How many arrived within the window, this one included."""
        if len(self._arrivals) > 10_000:  # of datasets that are not heard of any more
            self._arrivals = defaultdict(deque, {k: v for k, v in self._arrivals.items() if v[-1] > now - WINDOW})
        arrivals = self._arrivals[key]
        arrivals.append(now)
        while arrivals[0] <= now - WINDOW:
            arrivals.popleft()
        return len(arrivals)


_PACES: weakref.WeakKeyDictionary[Ledger, ArrivalPace] = weakref.WeakKeyDictionary()


def pace_of(ledger: Ledger) -> ArrivalPace:
    """The pace of this process: its ledger is made once."""
    return _PACES.setdefault(ledger, ArrivalPace())
