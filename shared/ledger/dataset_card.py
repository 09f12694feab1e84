"""The card of a dataset: what only a list for people tells of it. It lies in the metadata of the row's blob.

Called by whoever writes a row, and by the list of datasets, which reads no row. It is made of the row alone, so writing
it again writes the same.
"""

from __future__ import annotations

import msgspec

from shared.ledger.cards import LONGEST
from shared.ledger.machine_time import MachineTime
from shared.ledger.parts import live_reason
from shared.ledger.record import Struct, cut, from_metadata
from shared.ledger.rows import Dataset
from shared.ledger.uptime import Machines, timed, up_since

# So many times that ended are told: with the names of deployments it all fits into the 8 KB of a blob's metadata.
_MOST_ENDED = 4


class DatasetCard(Struct, frozen=True, kw_only=True):
    """What a list tells of a dataset beside its state. Times are UTC seconds.

    `machine_time`: its deployments that run, and the newest of those that ended and are on no record yet.
    """

    reason: str = ""
    waiting: str = ""
    fault: str = ""
    requested: str = ""
    traffic: dict[str, int] = msgspec.field(default_factory=dict)
    last_asked_at: float = 0.0
    up_since: float = 0.0
    paused: bool = False
    live_reason: str = ""
    machine_time: tuple[MachineTime, ...] = ()

    @property
    def running(self) -> tuple[MachineTime, ...]:
        """Its deployments that run."""
        return tuple(one for one in self.machine_time if not one.ended)


_CARD = msgspec.json.Decoder(DatasetCard)


def dataset_card(row: Dataset) -> DatasetCard:
    """The card of a row."""
    return DatasetCard(
        reason=cut(row.reason, LONGEST),
        waiting=cut(row.waiting, LONGEST),
        fault=cut(str(row.fault), LONGEST) if row.fault else "",
        requested=row.requested.what if row.requested else "",
        traffic=dict(row.traffic),
        last_asked_at=row.last_asked_at,
        up_since=up_since(row),
        paused=row.pause is not None,
        live_reason=cut(live_reason(row), LONGEST // 2),
        machine_time=_newest(timed(row, row, row.since, Machines()).machine_time),
    )


def _newest(times: tuple[MachineTime, ...]) -> tuple[MachineTime, ...]:
    ended = [one for one in times if one.ended]
    return (*(one for one in times if not one.ended), *ended[-_MOST_ENDED:])


def read_dataset_card(text: str) -> DatasetCard:
    """The card in a metadata value; an empty one where there is none, or somebody damaged it."""
    return from_metadata(text, _CARD) or DatasetCard()
