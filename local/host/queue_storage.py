"""The queues themselves: clients, message encoding and sending. Imported only if the app uses queues.

`invocations` writes outputs through `Queues.put`, `queues` reads with `Queues.client`. Whoever listens to a
queue that is written to is woken at once, as in Azure.
"""

import base64
import binascii
import contextlib
import json
from collections.abc import Callable

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from local.host.functions import QueueAddress
from local.host.messages import TypedData

# Keywords, since the asynchronous retry classes are not public; seconds 1 and 2 after a failure.
_RETRY = {"retry_total": 2, "initial_backoff": 1, "increment_base": 1, "random_jitter_range": 0}


class Undecodable(ValueError):
    """A message that is not what host.json's messageEncoding says."""


class Queues:
    """Clients by address, for one host; close() when done."""

    def __init__(self, base64_encoded: bool) -> None:
        self._base64 = base64_encoded
        self._clients: dict[QueueAddress, QueueClient] = {}
        self._listeners: dict[QueueAddress, Callable[[], None]] = {}

    def client(self, address: QueueAddress) -> QueueClient:
        """The client for a queue, which need not exist. It neither encodes nor decodes."""
        if address not in self._clients:
            self._clients[address] = QueueClient.from_connection_string(
                address.connection,
                address.name,
                retry_total=2,
                initial_backoff=1,
                connection_timeout=5,
                read_timeout=30,
            )
        return self._clients[address]

    def on_message(self, address: QueueAddress, wake: Callable[[], None]) -> None:
        """Have `wake` called whenever this host puts something into the queue."""
        self._listeners[address] = wake

    async def put(self, address: QueueAddress, value: TypedData) -> None:
        """Send what a queue output binding holds: one message, or one for each item of a list."""
        for text in self._texts(value):
            await self.send_raw(address, text)

    async def send_raw(self, address: QueueAddress, text: str) -> None:
        """Send an already encoded message, making the queue if it is missing."""
        client = self.client(address)
        try:
            await client.send_message(text)
        except ResourceNotFoundError:
            await _create(client)
            await client.send_message(text)
        if wake := self._listeners.get(address):
            wake()

    def decode(self, text: str) -> TypedData:
        """A received message for the runtime: text, or bytes if it is not UTF-8. Raises Undecodable."""
        if not self._base64:
            return TypedData(string=text)
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as wrong:
            raise Undecodable("the message is not base64 (see messageEncoding in host.json)") from wrong
        try:
            return TypedData(string=content.decode())
        except UnicodeDecodeError:
            return TypedData(bytes=content)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def _texts(self, output: TypedData) -> list[str]:
        value = output.value()
        if output.WhichOneof("data") == "json":
            parsed = json.loads(value)
            items = parsed if isinstance(parsed, list) else [parsed]
            return [self._encode(_text(item)) for item in items]
        return [self._encode(value if isinstance(value, str | bytes) else json.dumps(value))]

    def _encode(self, content: str | bytes) -> str:
        if self._base64:
            return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()
        return content if isinstance(content, str) else content.decode()


def _text(item: object) -> str:
    """An item of a queue output; a QueueMessage arrives as {"id", "body"}."""
    if isinstance(item, dict) and "body" in item:
        return str(item["body"])
    return item if isinstance(item, str) else json.dumps(item)


async def _create(client: QueueClient) -> None:
    with contextlib.suppress(ResourceExistsError):  # somebody else was faster
        await client.create_queue()
