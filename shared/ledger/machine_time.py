"""How long machines ran for somebody: of a deployment, or of a training job. It is what money is counted from.

Frozen, without I/O. A dataset's row has those that run, and those that ended until they are in the month's record.
"""

from __future__ import annotations

from typing import Literal

from shared.ledger.record import Struct

HOUR = 3600.0


class MachineTime(Struct, frozen=True, kw_only=True):
    """So many machines of one size, from `began` to `ended` (UTC seconds; 0: they run). `name`: deployment or job.

    `price` is that of one machine's hour when the time was put on record; None: it was not known then.
    """

    what: Literal["endpoint", "training"]
    name: str
    snapshot: str
    size: str
    machines: int
    began: float
    ended: float = 0.0
    price: float | None = None

    @property
    def key(self) -> str:
        """Names this time among all of a dataset. A job runs once; a deployment comes up again after a sleep."""
        if self.what == "training":
            return f"{self.what}/{self.name}"
        return f"{self.what}/{self.name}@{self.began:.3f}"

    def hours(self, since: float, until: float) -> float:
        """The hours of all its machines together between two times; of one that runs, all until then."""
        return max(0.0, min(self.ended or until, until) - max(self.began, since)) / HOUR * self.machines
