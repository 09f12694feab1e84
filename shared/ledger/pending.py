"""Changes that Azure was asked for and that are not there yet. Kept in a row; used by every step that waits for Azure.

Azure may accept a write and carry it out minutes later, or fail, or never end. So each wait has a deadline, each repeat
is counted and comes later than the one before, and what Azure said of a failure is kept. `pursue` is called at each
poll until the change is there; a repeat of one poll counts the write once more at worst.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.errors import AzureFailed
from shared.ledger.record import Struct

# How often a change is asked for before it is given up.
WRITES = 5


class PendingWrite(Struct, frozen=True, kw_only=True):
    """What is wanted, since when, and how often it was asked for.

    `write_at`: no other write before that. `operation`: where Azure tells how the last write ended. `error`: what Azure
    said of the last one that failed.
    """

    what: str
    since: float
    writes: int = 0
    write_at: float = 0.0
    operation: str = ""
    error: str = ""

    def __str__(self) -> str:
        error = f": {self.error}" if self.error else ""
        return f"{self.what} (asked for {self.writes} times{error})"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a change may take in all, and the pause before it is asked for again; both in seconds."""

    limit: float
    pause: float


def pursue(
    pending: Mapping[str, PendingWrite],
    what: str,
    *,
    now: float,
    patience: Patience,
    changing: str,
    write: Callable[[], str],
    failure: Callable[[str], str],
) -> dict[str, PendingWrite]:
    """Waits for a change that is not there yet, or asks for it (again). Returns all that is pending then.

    `changing`: the state in which Azure is busy with it, or nothing: then a write made before has failed. `write` asks
    for it and returns where Azure tells of it; `failure` reads there what went wrong. Raises AzureFailed when it was
    asked for WRITES times in vain, or took longer than the limit.
    """
    found = pending.get(what) or PendingWrite(what=what, since=now)
    late = now - found.since > patience.limit
    if changing:
        if late:
            raise AzureFailed(f"{found}: it is still {changing} after {patience.limit / 60:.0f} minutes")
        return {**pending, what: found}
    if found.writes and (error := failure(found.operation)):
        found = found.but(error=error)
    if found.writes >= WRITES or (late and found.writes):
        raise AzureFailed(f"{found}: Azure accepted it and did not carry it out")
    if now < found.write_at:
        return {**pending, what: found}
    operation, write_at = write(), now + patience.pause * 2**found.writes
    return {**pending, what: found.but(writes=found.writes + 1, operation=operation, write_at=write_at)}


def reached(pending: Mapping[str, PendingWrite], what: str) -> dict[str, PendingWrite]:
    """What is pending once this is there."""
    return {name: found for name, found in pending.items() if name != what}
