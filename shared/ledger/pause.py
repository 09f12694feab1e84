"""That a dataset begins nothing that costs money, until a person says otherwise. Part of a dataset's row.

Frozen, without I/O. Times are seconds since 1970, UTC.
"""

from __future__ import annotations

from shared.ledger.record import Struct


class DatasetPause(Struct, frozen=True, kw_only=True):
    """Who paused a dataset, when and why."""

    by: str
    at: float
    reason: str = ""

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"paused by {self.by}{why}"
