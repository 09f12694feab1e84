"""Writes what could not be delivered into blobs, in the shape and under the names that the service uses.

At once; the service waits about five minutes. An event whose dead letter cannot be written is lost, as there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from local.eventgrid.delivery import Delivery
from local.eventgrid.schemas import CLOUD_EVENTS
from local.eventgrid.subscriptions import Subscription


class DeadLetters:
    """The containers with dead letters in one storage account."""

    def __init__(self, storage: str) -> None:
        self._service = BlobServiceClient.from_connection_string(storage)

    async def write(self, delivery: Delivery, subscription: Subscription, reason: str) -> None:
        """Write one letter into the subscription's container, which is created if it must be."""
        assert subscription.dead_letter is not None
        content = json.dumps([letter(delivery, subscription.schema, reason)])
        await asyncio.to_thread(self._upload, subscription.dead_letter.container, blob_name(subscription), content)

    def _upload(self, name: str, blob: str, content: str) -> None:
        container = self._service.get_container_client(name)
        try:
            container.upload_blob(blob, content)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):  # somebody else just did
                container.create_container()
            container.upload_blob(blob, content)

    async def read(self, containers: Iterable[str]) -> list[dict[str, Any]]:
        """Every letter in these containers, with the name of its blob."""
        return await asyncio.to_thread(lambda: [found for name in containers for found in self._read(name)])

    def _read(self, name: str) -> list[dict[str, Any]]:
        container = self._service.get_container_client(name)
        try:
            names = list(container.list_blob_names())
        except ResourceNotFoundError:
            return []
        return [{"blob": blob, "events": json.loads(container.download_blob(blob).readall())} for blob in names]


def blob_name(subscription: Subscription) -> str:
    """The subscription in capitals, then the hour, its numbers without leading zeros."""
    now = datetime.now(UTC)
    return f"{subscription.name.upper()}/{now.year}/{now.month}/{now.day}/{now.hour}/{uuid.uuid4()}.json"


def letter(delivery: Delivery, schema: str, reason: str) -> dict[str, Any]:
    """The event itself and why it could not be delivered; CloudEvents allow no capitals in attribute names."""
    last = delivery.attempts[-1] if delivery.attempts else None
    why: dict[str, Any] = {
        "deadLetterReason": reason,
        "deliveryAttempts": len(delivery.attempts),
        "lastDeliveryOutcome": last.outcome if last else None,
        "lastHttpStatusCode": last.status if last else None,
        "publishTime": delivery.published_at,
        "lastDeliveryAttemptTime": last.at if last else None,
    }
    if schema == CLOUD_EVENTS:
        why = {name.lower(): value for name, value in why.items()}
    return {**delivery.event.written_in(schema), **{name: value for name, value in why.items() if value is not None}}
