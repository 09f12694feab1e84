"""Where notices go: an Event Grid topic and a webhook, if the settings name them. Each event is a CloudEvent 1.0.

Made once per process by `runtime`; used by `operations.publish`. Sending raises nothing: it says how far it came and
why it went no further. One call sends nothing twice, and each request takes bounded time; whoever sends again sends the
same ids, so that a receiver can tell.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from shared.config.groups.values import is_unread
from shared.errors import DENIED
from shared.ledger.outbox import SendResult

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.pipeline.transport import RequestsTransport
    from azure.eventgrid import EventGridPublisherClient

    from shared.config.settings import Settings
    from shared.ledger.outbox import Channel, Notice

log = logging.getLogger(__name__)

TOPIC, WEBHOOK = "topic", "webhook"
# Given with each request: the publisher does not hand its own options on to the client it wraps.
_SECONDS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 5}
# The answers that say of an event itself that it is not wanted; Event Grid gives such an event up, too.
_NOT_WANTED = (400, 413, 422)
# How a secret is written that is given in base64 (https://www.standardwebhooks.com).
_BASE64 = "whsec_"


def channels(settings: Settings, credential: TokenCredential) -> dict[str, Channel]:
    """Who is told, by name: what the settings name."""
    found: dict[str, Channel] = {}
    if settings.notify_topic:
        key = settings.notify_key.get_secret_value() if settings.notify_key else ""
        found[TOPIC] = TopicChannel(settings.notify_topic, key, credential)
    if settings.notify_webhook and settings.notify_webhook_secret:
        secret = settings.notify_webhook_secret
        signs_with = "" if is_unread(secret) else secret.get_secret_value()
        found[WEBHOOK] = WebhookChannel(settings.notify_webhook.get_secret_value(), signs_with)
    return found


def cloud_event(source: str, notice: Notice) -> dict[str, Any]:
    """A notice as a CloudEvent, structured; `source` is the installation that tells."""
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": source,
        "type": notice.type,
        "subject": notice.subject,
        "time": datetime.fromtimestamp(notice.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": notice.data,
    }


class TopicChannel:
    """An Event Grid topic that takes CloudEvents. With `key` it signs with that, else with the app's identity."""

    def __init__(self, topic: str, key: str, credential: TokenCredential) -> None:
        self._topic, self._key, self._credential = topic, key, credential

    def send(self, source: str, notices: Sequence[Notice]) -> SendResult:
        """All in one request: the topic takes all or none."""
        from azure.core.messaging import CloudEvent

        events: list[Any] = [CloudEvent.from_dict(cloud_event(source, notice)) for notice in notices]
        try:
            self._client.send(events, retry_total=0, **_SECONDS)
        except Exception as error:  # noqa: BLE001 - see the module's text
            return SendResult(0, error=_why_not_sent(error))
        return SendResult(len(notices))

    @cached_property
    def _client(self) -> EventGridPublisherClient:
        from azure.core.credentials import AzureKeyCredential
        from azure.eventgrid import EventGridPublisherClient

        access: Any = AzureKeyCredential(self._key) if self._key else self._credential
        return EventGridPublisherClient(self._topic, access)


class WebhookChannel:
    """An address that gets each event in a request of its own, signed as https://www.standardwebhooks.com says.

    No redirect is followed, and nothing of an answer is read but its status.
    """

    def __init__(self, address: str, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._address, self._key, self._clock = address, signing_key(secret), clock

    def send(self, source: str, notices: Sequence[Notice]) -> SendResult:
        """One after the other, until one is not taken; none where the secret could not be read."""
        if not self._key:
            return SendResult(0, error="NOTIFY_WEBHOOK_SECRET is in a vault that the platform could not read")
        refused = 0
        for done, notice in enumerate(notices):
            body = msgspec.json.encode(cloud_event(source, notice))
            try:
                status = self._post(notice.id, body)
            except Exception as error:  # noqa: BLE001 - see the module's text
                return SendResult(done, refused, type(error).__name__)
            if status in _NOT_WANTED:
                refused += 1
                log.warning("the webhook does not want %s of %s: HTTP %d", notice.type, notice.subject, status)
            elif not 200 <= status < 300:
                return SendResult(done, refused, f"HTTP {status}")
        return SendResult(len(notices), refused)

    def _post(self, name: str, body: bytes) -> int:
        from azure.core.rest import HttpRequest

        headers = {"Content-Type": "application/cloudevents+json; charset=utf-8", **self._signed(name, body)}
        response = self._transport.send(
            HttpRequest("POST", self._address, headers=headers, content=body), stream=True, **_SECONDS
        )
        response.close()
        return int(response.status_code)

    def _signed(self, name: str, body: bytes) -> dict[str, str]:
        sent = str(int(self._clock()))
        return {
            "webhook-id": name,
            "webhook-timestamp": sent,
            "webhook-signature": signature(self._key, name, sent, body),
        }

    @cached_property
    def _transport(self) -> RequestsTransport:
        from azure.core.pipeline.transport import RequestsTransport

        transport = RequestsTransport()
        transport.open()
        return transport


def signature(key: bytes, name: str, sent: str, body: bytes) -> str:
    """The header `webhook-signature` for an event of this id that is sent at this time."""
    digest = hmac.digest(key, b"%s.%s.%s" % (name.encode(), sent.encode(), body), hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def signing_key(secret: str) -> bytes:
    """The key that a secret stands for: base64 behind `whsec_`, else its own characters."""
    if secret.startswith(_BASE64):
        try:
            return base64.b64decode(secret.removeprefix(_BASE64), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def _why_not_sent(error: Exception) -> str:
    """What kind of error it was, with what is missing where the topic refused."""
    name, status = type(error).__name__, getattr(error, "status_code", None)
    if status == 400:
        return f"{name}: HTTP 400; the topic's input schema has to be CloudEventSchemaV1_0"
    if status in (401, 403):
        return f"{name}: {DENIED} send to it: it needs the role EventGrid Data Sender on the topic, or a NOTIFY_KEY"
    return f"{name}: HTTP {status}" if status else name
