"""Makes what a deployment would make in Azure: containers, the queue, and the two event subscriptions.

Called by `Cloud` once all parts are ready. Repeated: finds what it made.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any
from urllib.parse import urlencode

import httpx
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local.wiring import Wiring

CONTAINERS = (
    *("snapshots", "frozen", "reports", "quarantine", "evaluations", "ledger", "locks", "work"),
    *("azureml", "deadletters"),
)
QUEUE = "due"
# The service's first pauses, shortened: nobody waits minutes for a local retry.
RETRY = {"delays": [1, 2, 5, 10, 30, 60]}
SUBSCRIPTIONS: dict[str, dict[str, Any]] = {
    "snapshot_uploaded": {
        "topic": "storage",
        "included_event_types": [
            "Microsoft.Storage.BlobCreated",
            "Microsoft.Storage.BlobRenamed",
            "Microsoft.Storage.DirectoryRenamed",
        ],
        "subject_begins_with": "/blobServices/default/containers/snapshots/",
        "advanced_filters": [
            {
                "operator": "StringIn",
                "key": "data.api",
                "values": [
                    *("PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose", "SftpCommit"),
                    *("RenameFile", "RenameDirectory", "SftpRename"),
                ],
            }
        ],
    },
    "run_changed": {
        "topic": "azureml",
        "included_event_types": [
            "Microsoft.MachineLearningServices.RunCompleted",
            "Microsoft.MachineLearningServices.RunStatusChanged",
        ],
    },
}


class ProvisioningFailed(Exception):
    """Something that a deployment makes could not be made."""


def provision(wiring: Wiring) -> None:
    """Make everything."""
    make_storage(wiring.storage)
    subscribe(wiring)


def make_storage(storage: str) -> None:
    """Containers and queue."""
    with BlobServiceClient.from_connection_string(storage) as blobs:
        for name in CONTAINERS:
            with contextlib.suppress(ResourceExistsError):
                blobs.create_container(name)
    with QueueServiceClient.from_connection_string(storage) as queues, contextlib.suppress(ResourceExistsError):
        queues.create_queue(QUEUE)


def subscribe(wiring: Wiring) -> None:
    """Point both topics at the app's functions, which must be running to agree."""
    code = json.loads(wiring.host_keys.read_text())["system"]["eventgrid_extension"]
    for name, wanted in SUBSCRIPTIONS.items():
        query = urlencode({"functionName": name, "code": code})
        described = {
            **wanted,
            "endpoint": f"{wiring.app_url}/runtime/webhooks/EventGrid?{query}",
            "retry": RETRY,
            "dead_letter": {"container": "deadletters"},
        }
        answer = httpx.put(f"{wiring.eventgrid_url}/subscriptions/{name}", json=described, timeout=40, trust_env=False)
        if answer.status_code != 200:
            raise ProvisioningFailed(f"the event subscription {name} was not accepted: {answer.text}")
