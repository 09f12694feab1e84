"""What somebody asks a snapshot or a dataset to do, on record in its row until it is done. Part of `rows`.

Frozen, without I/O. Times are seconds since 1970, UTC.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from shared.ledger.record import Struct


class Origin(StrEnum):
    """Where a request came from. What a person asks for is done as it is; all else is looked at once more."""

    PERSON = "person"
    TIMER = "timer"
    CALL = "call"
    SWEEP = "sweep"


# Who asked, in the rows of versions that had no origin.
_ORIGINS = {
    "timer": Origin.TIMER,
    "a question": Origin.CALL,
    "the sweep: its endpoint is gone": Origin.SWEEP,
}


class Request(Struct, frozen=True, kw_only=True):
    """What a person, a timer, a call or the sweep asks a dataset or a snapshot to do. `snapshot` is named where one of
    a dataset's is meant; `reason` is why, where somebody said so.

    `by` is whatever the caller says of itself, for people to read. `origin` is where it came from; whoever decides
    something looks at that alone. `confirmed_at`: when what did not come from a person was found to be right.
    """

    what: str
    by: str
    at: float
    snapshot: str = ""
    reason: str = ""
    origin: Origin = msgspec.field(default=None)  # type: ignore[assignment] # never left out when it is written
    confirmed_at: float = 0.0

    def __post_init__(self) -> None:
        if self.origin is None:
            msgspec.structs.force_setattr(self, "origin", _ORIGINS.get(self.by, Origin.PERSON))

    @property
    def wanted(self) -> tuple[str, str]:
        """What is asked for, whoever asks."""
        return self.what, self.snapshot
