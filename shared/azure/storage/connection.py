"""The two storage clients, each request of theirs bounded in time.

The SDK's own back-off waits 18 s before it asks again, which outlasts a lease of 20 s and the patience of whoever asked
for a page. Here a request is sent up to four times within a few seconds; what still fails is `ServiceBusy`, and the
ledger comes back to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

CONNECT_SECONDS, ANSWER_SECONDS = 3, 10
# Before a request is sent again (s), give or take as much again: many workers must not ask in step.
BACKOFF_SECONDS, JITTER_SECONDS = 0.4, 0.3
# An answer that is cut off or does not come has cost ANSWER_SECONDS already: it is waited for once more only.
TRIES: dict[str, int] = {"retry_total": 3, "retry_connect": 2, "retry_read": 1, "retry_status": 3}
# For what is asked every few seconds anyway, such as the renewal of a lease.
ONCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 2, "read_timeout": 3}


def connect(connection_string: str, **more: Any) -> tuple[BlobServiceClient, QueueServiceClient]:
    """Clients that sign with the key of a connection string. `more`: other options of both."""
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

    return (
        BlobServiceClient.from_connection_string(connection_string, **{**_options("blob"), **more}),
        QueueServiceClient.from_connection_string(connection_string, **{**_options("queue"), **more}),
    )


def connect_as(identity: TokenCredential, blobs: str, queues: str) -> tuple[BlobServiceClient, QueueServiceClient]:
    """Clients that sign in as this identity, at the addresses of the two services."""
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

    return (
        BlobServiceClient(blobs, identity, **_options("blob")),
        QueueServiceClient(queues, identity, **_options("queue")),
    )


def _options(service: str) -> dict[str, Any]:
    import azure.storage.blob
    import azure.storage.queue

    policies: dict[str, Any] = {"blob": azure.storage.blob.LinearRetry, "queue": azure.storage.queue.LinearRetry}
    return {
        "retry_policy": policies[service](backoff=BACKOFF_SECONDS, random_jitter_range=JITTER_SECONDS, **TRIES),
        "connection_timeout": CONNECT_SECONDS,
        "read_timeout": ANSWER_SECONDS,
    }
