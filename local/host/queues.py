"""Queue triggers: poll, run, then delete, release or poison; one QueueListener for each function.

A message is delivered at least once. It is deleted after its function and the outputs succeeded; after a
failure it becomes visible again (`visibilityTimeout`), and after `maxDequeueCount` deliveries it moves to
`<queue>-poison`.
"""

import asyncio
import contextlib
import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage

from local.host.errors import InvocationFailed
from local.host.functions import Function, QueueAddress
from local.host.invocations import Invoker, TriggerInput
from local.host.messages import TypedData
from local.host.queue_storage import Queues, Undecodable
from local.host.settings import QueueSettings
from local.host.visibility import VisibilityLease

log = logging.getLogger("host.queues")

_SHORTEST_PAUSE = 0.1


class QueueListener:
    """Serves one queue-triggered function; `run` polls until `stop`, messages run in tasks of their own."""

    def __init__(
        self, function: Function, queues: Queues, settings: QueueSettings, visibility: int, invoker: Invoker
    ) -> None:
        self._function = function
        self._queues = queues
        self._settings = settings
        self._visibility = visibility
        self._invoker = invoker
        self._address: QueueAddress = function.trigger["queue"]
        self._client = queues.client(self._address)
        self._wakened = asyncio.Event()
        self._ended = asyncio.Event()
        self._stopping = False
        self._readable = True
        self._running: set[asyncio.Task[None]] = set()
        queues.on_message(self._address, self._wakened.set)

    def stop(self) -> None:
        """Take no further message; `run` returns soon, running ones go on."""
        self._stopping = True
        self._wakened.set()
        self._ended.set()

    async def run(self) -> None:
        """Poll until stopped: at once while there are messages, at growing intervals when there are none."""
        pause = _SHORTEST_PAUSE
        while not self._stopping:
            self._wakened.clear()  # before the look, so that what arrives during it leads to another one
            batch = await self._receive()
            if batch and self._stopping:
                await asyncio.gather(*(self._release(message, message.pop_receipt, 0) for message in batch))
                return
            for message in batch:
                self._begin(message)
            await self._room()
            if not batch:
                await self._idle(pause)
            pause = _SHORTEST_PAUSE if batch else min(pause * 2, self._settings.max_polling_interval)

    async def finish(self) -> None:
        """Wait for the messages under way, up to their deletion."""
        if self._running:
            await asyncio.wait(self._running)

    def _begin(self, message: QueueMessage) -> None:
        task = asyncio.create_task(self._process(message))
        self._running.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._ended.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("a message in %s could not be served", self._address.name, exc_info=error)

    async def _room(self) -> None:
        """Wait until few enough messages are running for another batch."""
        while len(self._running) > self._settings.new_batch_threshold and not self._stopping:
            self._ended.clear()
            await self._ended.wait()

    async def _idle(self, pause: float) -> None:
        """Wait before the next look, unless this host itself puts a message there."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wakened.wait(), pause)

    async def _receive(self) -> list[QueueMessage]:
        """The next batch, hidden from others for a short time; empty if the queue cannot be read."""
        try:
            batch = await self._ask()
        except ResourceNotFoundError:
            return []  # the queue does not exist yet
        except AzureError as error:
            if self._readable:
                log.warning("queue %s cannot be read, trying on: %s", self._address.name, error)
            self._readable = False
            return []
        if not self._readable:
            log.info("queue %s can be read again", self._address.name)
        self._readable = True
        return batch

    async def _ask(self) -> list[QueueMessage]:
        """One request to the queue: the SDK's iterators would go on until it is empty."""
        pages = self._client.receive_messages(
            messages_per_page=self._settings.batch_size,
            visibility_timeout=self._visibility,
            retry_total=0,  # the next look is the retry
        ).by_page()
        async for page in pages:
            return [message async for message in page]
        return []

    async def _process(self, message: QueueMessage) -> None:
        """Serve one message to its end; if the queue fails meanwhile, it is delivered again."""
        try:
            if self._exhausted(message, self._settings.max_dequeue_count + 1):
                await self._poison(message, message.pop_receipt)  # each delivery before ended in a dead host
                return
            lease = VisibilityLease(self._client, message, self._visibility)
            lease.start()
            try:
                failed = await self._run(message)
            finally:
                receipt = await lease.stop()
            if receipt is not None:
                await self._settle(message, receipt, failed)
        except AzureError as error:
            log.warning("message %s in %s: %s", message.id, self._address.name, error)

    async def _run(self, message: QueueMessage) -> InvocationFailed | Undecodable | None:
        """Run the function on one message; what went wrong, if anything."""
        try:
            data = self._queues.decode(message.content)
            await self._invoker.run(self._function, TriggerInput(data, _metadata(message, data)))
        except (InvocationFailed, Undecodable) as failure:
            return failure
        return None

    async def _settle(self, message: QueueMessage, receipt: str, failed: InvocationFailed | Undecodable | None) -> None:
        if failed is None:
            await self._client.delete_message(message.id, receipt)
        elif isinstance(failed, Undecodable) or self._exhausted(message, self._settings.max_dequeue_count):
            log.warning("message %s: %s", message.id, failed)
            await self._poison(message, receipt)
        else:
            await self._release(message, receipt, int(self._settings.visibility_timeout))

    def _exhausted(self, message: QueueMessage, limit: int) -> bool:
        """Whether the message was delivered often enough; never in a poison queue, which has none itself."""
        return (message.dequeue_count or 0) >= limit and not self._address.name.endswith("-poison")

    async def _release(self, message: QueueMessage, receipt: str | None, seconds: int) -> None:
        # by id and receipt: given the message itself, the SDK would send its content once more
        await self._client.update_message(message.id, receipt, visibility_timeout=seconds)
        if seconds == 0:
            self._wakened.set()

    async def _poison(self, message: QueueMessage, receipt: str | None) -> None:
        """Copy the message to the poison queue as it is, then delete it; a crash in between leaves both."""
        poison = QueueAddress(self._address.connection, f"{self._address.name}-poison")
        await self._queues.send_raw(poison, message.content)
        await self._client.delete_message(message.id, receipt)
        log.error("message %s moved to queue %s", message.id, poison.name)


def _metadata(message: QueueMessage, data: TypedData) -> dict[str, Any]:
    times = {
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    return {
        "Id": message.id,
        "DequeueCount": message.dequeue_count,
        "PopReceipt": message.pop_receipt,
        "QueueTrigger": data.string or "",
        **{name: moment.astimezone(UTC).isoformat() for name, moment in times.items() if moment},
    }


def by_hand(text: str) -> TriggerInput:
    """What a queue function gets when somebody runs it by hand."""
    now = datetime.now(UTC)
    metadata = {
        "Id": str(uuid.uuid4()),
        "DequeueCount": 1,
        "PopReceipt": "",
        "QueueTrigger": text,
        "InsertionTime": now.isoformat(),
        "ExpirationTime": (now + timedelta(days=7)).isoformat(),
        "NextVisibleTime": now.isoformat(),
    }
    return TriggerInput(TypedData(string=text), metadata)
