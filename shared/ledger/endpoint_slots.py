"""How many datasets have an endpoint at once: `MAX_ENDPOINTS`, held exactly.

Called by the steps that release and wake a dataset, before anything is made for it. Which datasets have an endpoint
follows from the states of their rows. Between the check and the row's own write lies a moment in which a second dataset
could be let in as well: the small blob `ledger/endpoints.json`, written on condition of its ETag, bridges it. Taking a
slot twice is taking it once; nobody gives one back, because a slot of a dataset without an endpoint runs out by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from shared.config.settings import Settings
from shared.errors import NotFound
from shared.ledger.record import UNREADABLE, Struct
from shared.ledger.rows import Dataset
from shared.ledger.states import WITHOUT_ENDPOINT, DatasetState
from shared.ledger.storage import BlobStore, change_until_still, write_if_still
from shared.ledger.store import CONTAINER, Ledger

log = logging.getLogger(__name__)

BLOB = "endpoints.json"
# A row is written within the lease under which its slot was taken; so long (s) after it a slot counts by itself.
_BRIDGED = 120.0


class TakenSlots(Struct, frozen=True, kw_only=True):
    """When each dataset took its slot (UTC seconds), as far as its row may not show it."""

    taken: dict[str, float] = msgspec.field(default_factory=dict)


_DECODER = msgspec.json.Decoder(TakenSlots)


class EndpointSlots:
    """The slots of one installation. `clock` gives seconds since 1970, UTC; `limits` are the settings."""

    def __init__(self, storage: BlobStore, ledger: Ledger, clock: Callable[[], float], limits: Settings) -> None:
        self._storage, self._ledger, self._clock, self._limits = storage, ledger, clock, limits

    def take(self, row: Dataset) -> str:
        """Takes a slot for a dataset, or says why it may not have an endpoint now. One that has a slot keeps it."""
        why = ""

        def edit(kept: TakenSlots) -> TakenSlots:
            nonlocal why
            taken, most = self._holding(kept), self._limits.max_endpoints
            others = len(taken.keys() - {row.name})
            why = f"{others} other datasets have an endpoint and MAX_ENDPOINTS is {most}" if others >= most else ""
            return kept if why else TakenSlots(taken={**taken, row.name: self._clock()})

        change_until_still(self._read, edit, self._write)
        return why

    def _holding(self, kept: TakenSlots) -> dict[str, float]:
        """Who holds a slot: by the row, or because the row may not show it yet.

        A dataset that wakes is shown as waking before anybody looked whether it may: it holds what it has taken.
        """
        now = self._clock()
        states = {listed.key.removeprefix("dataset/"): listed.state for listed in self._ledger.list("dataset")}
        by_row = {
            name: kept.taken.get(name, now)
            for name, state in states.items()
            if state not in WITHOUT_ENDPOINT and (state != DatasetState.WAKING or name in kept.taken)
        }
        return by_row | {name: at for name, at in kept.taken.items() if at > now - _BRIDGED}

    def _write(self, slots: TakenSlots, etag: str) -> None:
        write_if_still(self._storage, CONTAINER, BLOB, msgspec.json.encode(slots), etag)

    def _read(self) -> tuple[TakenSlots, str]:
        """What is on record; nothing where it cannot be read, for the rows say most of it: it is written anew."""
        try:
            data, etag = self._storage.read(CONTAINER, BLOB)
        except NotFound:
            return TakenSlots(), ""
        try:
            return _DECODER.decode(data), etag
        except UNREADABLE as error:
            log.warning("%s/%s cannot be read and is written anew: %s", CONTAINER, BLOB, error)
            return TakenSlots(), etag
