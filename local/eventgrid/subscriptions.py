"""A subscription: which events of a topic go to which webhook, in which schema, and what happens when that fails.

Made by `PUT /subscriptions/{name}`; kept in a file, so that a restarted broker goes on delivering.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from local.eventgrid.errors import BadSubscription, UnknownSubscription
from local.eventgrid.filters import AdvancedFilter
from local.eventgrid.schemas import EventGridEvent

# The service's own schedule, best effort there and exact here. The last one repeats.
SERVICE_DELAYS = (10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 10800.0, 21600.0, 43200.0)


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a failed delivery is tried again, and when it is given up: whichever limit comes first."""

    delays: tuple[float, ...] = SERVICE_DELAYS
    attempts: int = 30
    ttl_minutes: float = 1440

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 30:
            raise ValueError(f"attempts must be from 1 to 30, not {self.attempts}")
        if not 0 < self.ttl_minutes <= 1440:
            raise ValueError(f"ttl_minutes must be above 0 and at most 1440, not {self.ttl_minutes}")
        if not self.delays or min(self.delays) < 0:
            raise ValueError("delays must be a list of seconds, none below 0")

    def delay_after(self, attempts: int) -> float:
        """Seconds to wait after so many failed attempts."""
        return self.delays[min(attempts, len(self.delays)) - 1]


class DeadLetter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The blob container that takes what could not be delivered."""

    container: str


class Subscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked for, and whether the webhook has agreed to it (`state`)."""

    topic: str
    endpoint: str
    schema: Literal["EventGridSchema", "CloudEventSchemaV1_0"] = "EventGridSchema"
    included_event_types: tuple[str, ...] = ()
    subject_begins_with: str = ""
    subject_ends_with: str = ""
    advanced_filters: tuple[AdvancedFilter, ...] = ()
    retry: Retry = Retry()
    dead_letter: DeadLetter | None = None
    name: str = ""
    state: Literal["Succeeded", "AwaitingManualAction"] = "Succeeded"

    @property
    def shown(self) -> Subscription:
        """As it may be shown to anybody: without the query of its endpoint, which holds the key of the webhook."""
        base, query, _ = self.endpoint.partition("?")
        return msgspec.structs.replace(self, endpoint=f"{base}?..." if query else base)

    def may_want(self, topic: str, event_type: str, subject: str) -> bool:
        """Whether an event of which only this much is known could be wanted."""
        types = {included.lower() for included in self.included_event_types}
        return (
            self.topic == topic
            and (not types or event_type.lower() in types)
            and subject.lower().startswith(self.subject_begins_with.lower())
            and subject.lower().endswith(self.subject_ends_with.lower())
        )

    def wants(self, topic: str, event: EventGridEvent) -> bool:
        """Whether the event is to be delivered."""
        return (
            self.state == "Succeeded"
            and self.may_want(topic, event.type, event.subject)
            and all(condition.matches(event) for condition in self.advanced_filters)
        )


def read_subscription(body: bytes, name: str) -> Subscription:
    """A subscription as described by a caller."""
    try:
        described = msgspec.json.decode(body, type=Subscription)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BadSubscription(f"subscription {name}: {error}") from error
    return msgspec.structs.replace(described, name=name, state="Succeeded")


class Subscriptions:
    """All of them, by name, in memory and in one file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        known = msgspec.json.decode(file.read_bytes(), type=list[Subscription]) if file.exists() else []
        self._by_name = {subscription.name: subscription for subscription in known}

    def all(self) -> list[Subscription]:
        """Every one, oldest first."""
        return list(self._by_name.values())

    def find(self, name: str) -> Subscription | None:
        """The one of that name."""
        return self._by_name.get(name)

    def put(self, subscription: Subscription) -> None:
        """Add it, or replace the one of its name."""
        self._save({**self._by_name, subscription.name: subscription})

    def remove(self, name: str) -> None:
        """Forget it."""
        if name not in self._by_name:
            raise UnknownSubscription(f"there is no subscription {name!r}")
        self._save({known: one for known, one in self._by_name.items() if known != name})

    def _save(self, wanted: dict[str, Subscription]) -> None:
        """Written first: what the disk has no room for is not promised. Raises OSError, and nothing has changed."""
        partial = self._file.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(list(wanted.values()))))
        partial.replace(self._file)
        self._by_name = wanted
