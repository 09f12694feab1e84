"""Notices that a channel has not taken yet, in one blob of the ledger: how many wait, since when, and what is wrong.

Filled and emptied by `publish`, read by health, the status routes and the doctor. It is bounded: of more than 1000 the
oldest are dropped, and counted. A repeat adds no notice twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from shared.ledger.outbox import Notice
from shared.ledger.record import Struct
from shared.ledger.storage import change_record, read_record
from shared.ledger.store import CONTAINER
from shared.operations.times import shown_time

if TYPE_CHECKING:
    from shared.runtime import Services

BLOB = "_outbox.json"
MOST_WAITING = 1000


class ChannelTrouble(Struct, frozen=True, kw_only=True):
    """Why a channel takes nothing at the moment, and since when (UTC seconds)."""

    since: float
    error: str


class Backlog(Struct, frozen=True, kw_only=True):
    """What waits, oldest first; what is wrong with which channel; and how many notices were given up so far.

    `dropped`: there were too many; `refused`: a webhook did not want them.
    """

    waiting: tuple[Notice, ...] = ()
    troubles: dict[str, ChannelTrouble] = msgspec.field(default_factory=dict)
    dropped: int = 0
    refused: int = 0


_BACKLOG = msgspec.json.Decoder(Backlog)


def on_record(services: Services) -> Backlog:
    """The backlog as it is. Raises Damaged."""
    return read_record(services.storage, CONTAINER, BLOB, _BACKLOG, Backlog())[0]


def change(services: Services, edit: Callable[[Backlog], Backlog]) -> Backlog:
    """Edits the backlog until no other write came between; `edit` may be applied more than once. Raises Damaged."""
    return change_record(services.storage, CONTAINER, BLOB, _BACKLOG, Backlog(), edit)


def with_added(known: Backlog, notices: Iterable[Notice]) -> Backlog:
    """The backlog with these as well, each once."""
    there = {notice.id for notice in known.waiting}
    added = sorted((*known.waiting, *(one for one in notices if one.id not in there)), key=lambda one: one.at)
    dropped = max(0, len(added) - MOST_WAITING)
    more: Backlog = known.but(waiting=tuple(added[dropped:]), dropped=known.dropped + dropped)
    return more


def shown(services: Services) -> dict[str, Any] | None:
    """What waits and why, for people; None where all is told. Raises Damaged."""
    known = on_record(services)
    if not (known.waiting or known.troubles):
        return None
    return {
        "waiting": len(known.waiting),
        "oldest": shown_time(known.waiting[0].at) if known.waiting else None,
        "dropped": known.dropped,
        "refused": known.refused,
        "failing": {
            name: {"since": shown_time(trouble.since), "error": trouble.error}
            for name, trouble in sorted(known.troubles.items())
        },
    }
