"""Telling others: every state change as an event on an Event Grid topic, if the setting names one.

For people who want a mail, a chat message or their own automation when a model goes live. A notification is a courtesy:
when the topic does not take it, the step has happened all the same.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.eventgrid import EventGridPublisherClient

    from shared.config.settings import Settings
    from shared.ledger.engine import Notify

log = logging.getLogger(__name__)

EVENT_TYPE = "Droptune.StateChanged"
# Given with each request: the publisher does not hand its own options on to the client it wraps.
_ONCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 5}


def teller(settings: Settings, credential: Callable[[], Any]) -> Notify:
    """A function that takes (key, state before, state after, reason) and tells the topic; or does nothing."""
    if not settings.notify_topic:
        return lambda key, before, after, reason: None
    return _Teller(
        settings.notify_topic, settings.notify_key.get_secret_value() if settings.notify_key else "", credential
    )


class _Teller:
    def __init__(self, topic: str, key: str, credential: Callable[[], Any]) -> None:
        self._topic, self._key, self._credential = topic, key, credential

    def __call__(self, key: str, before: str, after: str, reason: str) -> None:
        from azure.eventgrid import EventGridEvent

        data = {"key": key, "from": before, "to": after, "reason": reason}
        event = EventGridEvent(subject=key, event_type=EVENT_TYPE, data=data, data_version="1")
        try:
            _client(self._topic, self._key, self._credential).send(event, **_ONCE)
        except Exception as error:  # noqa: BLE001 - see the module's text
            log.warning("the topic was not told that %s is %s: %s", key, after, type(error).__name__)


@cache
def _client(topic: str, key: str, credential: Callable[[], Any]) -> EventGridPublisherClient:
    from azure.core.credentials import AzureKeyCredential
    from azure.eventgrid import EventGridPublisherClient

    access: Any = AzureKeyCredential(key) if key else credential()
    return EventGridPublisherClient(topic, access)
