"""One event on its way to one webhook, and a single attempt to hand it over.

The broker decides when to try; here is what an attempt looks like on the wire and what its answer means.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import httpx

from local.eventgrid.schemas import CLOUD_EVENTS, EVENT_GRID, EventGridEvent, stamp
from local.eventgrid.subscriptions import Subscription

ORIGIN = "eventgrid.azure.net"
ANSWER_SECONDS = 30
_ACCEPTED = range(200, 205)
# Answers that mean it will never work, and what a dead letter says about them.
_HOPELESS = {
    400: "UndeliverableDueToHttpBadRequest",
    401: "UndeliverableDueToHttpUnauthorized",
    403: "UndeliverableDueToHttpForbidden",
    413: "UndeliverableDueToHttpRequestEntityTooLarge",
}
_OUTCOMES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "TimedOut",
    413: "RequestEntityTooLarge",
    429: "Busy",
    503: "Busy",
}


class DeliveryState(StrEnum):
    """Where a delivery stands; all but the first three are final."""

    PENDING = "pending"
    HELD = "held"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    DEAD_LETTERED = "dead_lettered"
    DROPPED = "dropped"  # given up, and no dead letter container
    LOST = "lost"  # by a fault
    UNSUBSCRIBED = "unsubscribed"


@dataclass(frozen=True)
class DeliveryAttempt:
    """What became of one attempt; without a status there was no answer."""

    at: str
    outcome: str
    seconds: float
    status: int | None = None

    @property
    def accepted(self) -> bool:
        """Whether the webhook has taken the event."""
        return self.status in _ACCEPTED

    @property
    def hopeless(self) -> str | None:
        """Why another attempt would be in vain, if it would."""
        return _HOPELESS.get(self.status or 0)


@dataclass(eq=False)
class Delivery:
    """An event for a subscription. `position`: file and place of the line in the access log that it came from."""

    topic: str
    event: EventGridEvent
    subscription: str
    position: tuple[int, int] | None = None
    state: DeliveryState = DeliveryState.PENDING
    attempts: list[DeliveryAttempt] = field(default_factory=list)
    published_at: str = field(default_factory=stamp)
    born: float = field(default_factory=time.monotonic)
    # Set to cut the pause before the next attempt short.
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def described(self) -> dict[str, Any]:
        """For `GET /deliveries`."""
        return {
            "id": self.event.id,
            "topic": self.topic,
            "type": self.event.type,
            "subject": self.event.subject,
            "subscription": self.subscription,
            "state": self.state,
            "published_at": self.published_at,
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "event": self.event.written_in(EVENT_GRID),
        }


def headers(subscription: Subscription, event_type: str) -> dict[str, str]:
    """What every request to a webhook carries."""
    return {
        "aeg-subscription-name": subscription.name.upper(),
        "aeg-event-type": event_type,
        "aeg-metadata-version": "1",
    }


async def attempt(client: httpx.AsyncClient, delivery: Delivery, subscription: Subscription) -> DeliveryAttempt:
    """Offer the event once and wait for the answer as long as the service would."""
    at, started = stamp(), time.monotonic()
    status = None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await client.post(
                subscription.endpoint,
                json=_body(delivery.event, subscription.schema),
                headers=_notification_headers(delivery, subscription),
            )
        status = answer.status_code
        outcome = "Delivered" if status in _ACCEPTED else _OUTCOMES.get(status, "GenericError")
    except TimeoutError:
        outcome = "TimedOut"
    except httpx.HTTPError as error:
        outcome = f"Aborted: {type(error).__name__}"
    return DeliveryAttempt(at, outcome, round(time.monotonic() - started, 3), status)


def _body(event: EventGridEvent, schema: str) -> Any:
    document = event.written_in(schema)
    # Event Grid's own schema always comes as an array; a single CloudEvent never does.
    return document if schema == CLOUD_EVENTS else [document]


def _notification_headers(delivery: Delivery, subscription: Subscription) -> dict[str, str]:
    found = headers(subscription, "Notification")
    found["aeg-delivery-count"] = str(len(delivery.attempts))
    found["aeg-output-event-id"] = delivery.event.id
    if subscription.schema == CLOUD_EVENTS:
        found["content-type"] = "application/cloudevents+json; charset=utf-8"
        found["aeg-metadata-version"] = "1.0"
        found["webhook-request-origin"] = ORIGIN
    else:
        found["aeg-data-version"] = delivery.event.data_version
    return found
