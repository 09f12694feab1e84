"""Asks a webhook whether it wants the events, before a subscription to it goes live.

Event Grid's schema: a validation event whose code must come back, at once in the answer or later by a GET of the
validation address. CloudEvents: an OPTIONS request whose origin must be allowed.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

import httpx

from local.eventgrid.delivery import ANSWER_SECONDS, ORIGIN, headers
from local.eventgrid.errors import HandshakeFailed
from local.eventgrid.schemas import CLOUD_EVENTS, EventGridEvent
from local.eventgrid.subscriptions import Subscription

VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"


@dataclass(frozen=True)
class HandshakeResult:
    """Whether the webhook agreed already; if not, who presents the code later agrees for it."""

    agreed: bool
    code: str


async def shake_hands(client: httpx.AsyncClient, subscription: Subscription, callback: str) -> HandshakeResult:
    """Ask; HandshakeFailed if the webhook refuses or cannot be reached. `callback` is where a code can be sent."""
    code = secrets.token_hex(16)
    ask = _ask_cloud_events if subscription.schema == CLOUD_EVENTS else _ask_event_grid
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return HandshakeResult(await ask(client, subscription, f"{callback}?code={code}", code), code)
    except TimeoutError as error:
        raise HandshakeFailed(f"{subscription.endpoint} did not answer in {ANSWER_SECONDS} s") from error
    except httpx.HTTPError as error:
        raise HandshakeFailed(f"{subscription.endpoint} could not be reached: {error!r}") from error


async def _ask_event_grid(client: httpx.AsyncClient, subscription: Subscription, callback: str, code: str) -> bool:
    event = EventGridEvent(
        topic=subscription.topic,
        subject="",
        type=VALIDATION,
        data={"validationCode": code, "validationUrl": callback},
        data_version="2",
    )
    answer = await client.post(
        subscription.endpoint,
        json=[event.written_in(subscription.schema)],
        headers=headers(subscription, "SubscriptionValidation"),
    )
    if not answer.is_success:
        raise _refused(subscription, answer)
    try:
        returned = answer.json()
    except ValueError:
        return False
    return isinstance(returned, dict) and returned.get("validationResponse") == code


async def _ask_cloud_events(client: httpx.AsyncClient, subscription: Subscription, callback: str, _: str) -> bool:
    asked = {**headers(subscription, "SubscriptionValidation"), "webhook-request-origin": ORIGIN}
    asked["webhook-request-callback"] = callback
    answer = await client.options(subscription.endpoint, headers=asked)
    if not answer.is_success:
        raise _refused(subscription, answer)
    return answer.headers.get("webhook-allowed-origin") in (ORIGIN, "*")


def _refused(subscription: Subscription, answer: httpx.Response) -> HandshakeFailed:
    return HandshakeFailed(
        f"{subscription.endpoint} answered the validation request with {answer.status_code}: {answer.text[:200]}"
    )
