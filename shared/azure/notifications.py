"""Notifications: every state change as an event on an Event Grid topic, if the setting names one.

For people who want a mail, a chat message or their own automation when a model goes live. A notification is a courtesy:
when the topic does not take it, the step has happened all the same. It is sent once, in bounded time.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.errors import DENIED

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.eventgrid import EventGridPublisherClient

    from shared.config.settings import Settings
    from shared.ledger.engine import Notify

log = logging.getLogger(__name__)

EVENT_TYPE = "Droptune.StateChanged"
# Given with each request: the publisher does not hand its own options on to the client it wraps.
_ONCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 5}


def notifier(settings: Settings, credential: TokenCredential) -> Notify:
    """What tells the topic of the settings of each change; without a topic it tells nobody."""
    if not settings.notify_topic:
        return silent
    key = settings.notify_key.get_secret_value() if settings.notify_key else ""
    return TopicNotifier(settings.notify_topic, key, credential)


def silent(key: str, before: str, after: str, reason: str) -> None:
    """Tells nobody."""


class TopicNotifier:
    """Tells one topic. With `key` it signs with that, else with the app's identity."""

    def __init__(self, topic: str, key: str, credential: TokenCredential) -> None:
        self._topic, self._key, self._credential = topic, key, credential

    def __call__(self, key: str, before: str, after: str, reason: str) -> None:
        """One event; whatever goes wrong is logged and stops nothing."""
        from azure.eventgrid import EventGridEvent

        data = {"key": key, "from": before, "to": after, "reason": reason}
        event = EventGridEvent(subject=key, event_type=EVENT_TYPE, data=data, data_version="1")
        try:
            self._client.send(event, **_ONCE)
        except Exception as error:  # noqa: BLE001 - see the module's text
            log.warning("the topic was not told that %s is %s: %s", key, after, _why(error))

    @cached_property
    def _client(self) -> EventGridPublisherClient:
        from azure.core.credentials import AzureKeyCredential
        from azure.eventgrid import EventGridPublisherClient

        access: Any = AzureKeyCredential(self._key) if self._key else self._credential
        return EventGridPublisherClient(self._topic, access)


def _why(error: Exception) -> str:
    """What kind of error it was, with what is missing where the topic refused."""
    name = type(error).__name__
    if getattr(error, "status_code", None) not in (401, 403):
        return name
    return f"{name}: {DENIED} send to it: it needs the role EventGrid Data Sender on the topic, or a NOTIFY_KEY"
