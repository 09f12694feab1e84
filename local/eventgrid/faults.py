"""What deliveries shall suffer on request: what Event Grid does to its subscribers on a bad day, made to order."""

from __future__ import annotations

import re

import msgspec

from local.eventgrid.errors import BadSubscription
from local.eventgrid.schemas import EventGridEvent


class DeliveryFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One set of faults; `PUT /faults` replaces the set before it. Applies to what is published from then on."""

    # So many extra deliveries of each event.
    duplicate: int = 0
    delay_seconds: float = 0
    # The events of a short while are delivered one after the other, newest first.
    reorder: bool = False
    # Event types, or regular expressions found in an event's type or subject: such events are lost.
    drop: tuple[str, ...] = ()
    # Keep everything until `POST /release`.
    hold: bool = False
    # Only for these topics; empty: for all.
    topics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in self.drop:
            re.compile(pattern)

    def on(self, topic: str) -> DeliveryFaults:
        """The faults that events of the topic suffer."""
        return self if not self.topics or topic in self.topics else NONE

    def loses(self, event: EventGridEvent) -> bool:
        """Whether the event gets lost."""
        return any(re.search(pattern, text) for pattern in self.drop for text in (event.type, event.subject))


NONE = DeliveryFaults()


def read_faults(body: bytes) -> DeliveryFaults:
    """Faults as described by a caller."""
    try:
        return msgspec.json.decode(body, type=DeliveryFaults)
    except (msgspec.ValidationError, msgspec.DecodeError, re.error) as error:
        raise BadSubscription(f"faults: {error}") from error
