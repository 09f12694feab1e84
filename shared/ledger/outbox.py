"""Notices: what people are told of, from the write that makes it true until every channel has taken it.

A notice is stored with what it tells of, in the same conditional write: a row has an `outbox`, and a blob that is no
row (a refused upload, a nightly report) names the channels in its metadata. So nothing is told that did not happen, and
what happened is told although the process that wrote it died at once. Each notice has an id of its own, the same at
every attempt. Called by the rows, the ledger, and whoever stores or sends notices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.ledger.record import Struct

# The metadata of a blob that is no row, while channels are to be told of it: their names, with commas between.
UNTOLD = "untold"
# So many notices wait in one row at most: a row must stay small. Each sweep takes them out.
MOST_IN_ROW = 100
# So much is told of a reason.
LONGEST_REASON = 500


class Notice(Struct, frozen=True, kw_only=True):
    """One thing that people are told of. `subject`: what it is about, such as `snapshot/<id>`. `at`: UTC seconds.

    `data` has the fields of its type (`notices.py`). `to`: the channels that have not taken it yet.
    """

    id: str
    type: str
    subject: str
    at: float
    data: dict[str, Any]
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of notices that were sent in order: the first `done` are over, of which `refused` were not wanted.

    `error`: why the next one was not taken; empty if all are over.
    """

    done: int
    refused: int = 0
    error: str = ""


class Channel(Protocol):
    """Where notices go: an Event Grid topic, a webhook. It raises nothing, and takes bounded time."""

    def send(self, source: str, notices: Sequence[Notice]) -> SendResult: ...


def left(notices: Sequence[Notice], over: Callable[[Notice, str], bool]) -> tuple[Notice, ...]:
    """The notices without the channels for which they are over; those that no channel waits for are gone."""
    found = (notice.but(to=tuple(name for name in notice.to if not over(notice, name))) for notice in notices)
    return tuple(notice for notice in found if notice.to)


def untold(channels: Sequence[str] | Mapping[str, object]) -> dict[str, str]:
    """The metadata of a new blob that these channels are to be told of; nothing where there is no channel."""
    return {UNTOLD: ",".join(channels)} if channels else {}


def channels_of(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The channels that are yet to be told of a blob, by its metadata."""
    return tuple(filter(None, metadata.get(UNTOLD, "").split(",")))
