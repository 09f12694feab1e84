"""Keeping a queue message to ourselves while its function runs.

The message is hidden for a short time only, so that it comes back soon if this process dies, and hidden again
and again while we live. `queues` uses one VisibilityLease for each message.
"""

import asyncio
import logging

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

log = logging.getLogger("host.queues")


class VisibilityLease:
    """Renews one message's invisibility every third of `seconds`, from start() to stop()."""

    def __init__(self, client: QueueClient, message: QueueMessage, seconds: int) -> None:
        self._client = client
        self._message = message
        self._seconds = seconds
        self._receipt: str | None = message.pop_receipt
        self._ended = asyncio.Event()
        self._renewals: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._renewals = asyncio.create_task(self._renew())

    async def stop(self) -> str | None:
        """End the renewals; the receipt to delete or release the message with, None if it was lost.

        A renewal under way is waited for: cutting it off would lose the receipt it brings.
        """
        self._ended.set()
        if self._renewals:
            await self._renewals
        return self._receipt

    async def _renew(self) -> None:
        while self._receipt is not None and not await self._pause():
            try:
                renewed = await self._client.update_message(
                    self._message.id, self._receipt, visibility_timeout=self._seconds
                )
                self._receipt = renewed.pop_receipt
            except ResourceNotFoundError:  # also what a receipt that was overtaken gets
                log.warning("message %s was taken by another reader while it ran here", self._message.id)
                self._receipt = None
            except AzureError as error:
                log.warning("message %s could not be kept hidden, trying again: %s", self._message.id, error)

    async def _pause(self) -> bool:
        """Wait until the next renewal is due; whether the lease has ended instead."""
        try:
            await asyncio.wait_for(self._ended.wait(), self._seconds / 3)
        except TimeoutError:
            return False
        return True
