"""Makes what a deployment would make in Azure: containers, the queue, and the two event subscriptions.

Called by `Cloud` once all parts are ready. Repeated: finds what it made.
"""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local import control_plane
from local.wiring import Wiring

CONTAINERS = (
    *("snapshots", "frozen", "reports", "quarantine", "evaluations", "ledger", "locks", "work"),
    *("azureml", "deadletters"),
)
QUEUE = "due"
# By the function that is told: the system topic, the subscription's name, and what it wants.
SUBSCRIPTIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "snapshot_uploaded": (
        "droptune-uploads",
        "droptune-uploads",
        {
            "includedEventTypes": [
                "Microsoft.Storage.BlobCreated",
                "Microsoft.Storage.BlobRenamed",
                "Microsoft.Storage.DirectoryRenamed",
            ],
            "subjectBeginsWith": "/blobServices/default/containers/snapshots/",
            "advancedFilters": [
                {
                    "operatorType": "StringIn",
                    "key": "data.api",
                    "values": [
                        *("PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose", "SftpCommit"),
                        *("RenameFile", "RenameDirectory", "SftpRename"),
                    ],
                }
            ],
        },
    ),
    "run_changed": (
        "droptune-runs",
        "droptune-runs",
        {
            "includedEventTypes": [
                "Microsoft.MachineLearningServices.RunCompleted",
                "Microsoft.MachineLearningServices.RunStatusChanged",
            ],
        },
    ),
}


class ProvisioningFailed(Exception):
    """Something that a deployment makes could not be made."""


def provision(wiring: Wiring) -> None:
    """Make everything. Raises ProvisioningFailed."""
    try:
        make_storage(wiring.storage)
        subscribe(wiring)
    except (AzureError, httpx.HTTPError) as error:
        raise ProvisioningFailed(
            f"a part stopped answering while it was set up: {type(error).__name__}: {error}"
        ) from error


def make_storage(storage: str) -> None:
    """Containers and queue."""
    with BlobServiceClient.from_connection_string(storage) as blobs:
        for name in CONTAINERS:
            with contextlib.suppress(ResourceExistsError):
                blobs.create_container(name)
    with QueueServiceClient.from_connection_string(storage) as queues, contextlib.suppress(ResourceExistsError):
        queues.create_queue(QUEUE)


def subscribe(wiring: Wiring) -> None:
    """Point both topics at the functions, which must be running to agree; through the control plane, as in Azure."""
    group = f"{wiring.azureml_url}/subscriptions/{wiring.subscription_id}/resourceGroups/{wiring.resource_group}"
    with control_plane.client(wiring.azureml_ca) as client:
        bearer = control_plane.token(client, wiring.identity_endpoint, wiring.identity_header, wiring.azureml_url)
        client.headers["authorization"] = f"Bearer {bearer}"
        for function, (topic, name, wanted) in SUBSCRIPTIONS.items():
            path = f"providers/Microsoft.EventGrid/systemTopics/{topic}/eventSubscriptions/{name}"
            body = {"properties": _properties(function, wiring, wanted)}
            answer = client.put(f"{group}/{path}", params={"api-version": "2025-02-15"}, json=body)
            if answer.status_code not in (200, 201):
                raise ProvisioningFailed(f"the event subscription {name} was not accepted: {answer.text}")


def _properties(function: str, wiring: Wiring, wanted: dict[str, Any]) -> dict[str, Any]:
    site = f"{wiring.account_id.partition('/Microsoft.Storage/')[0]}/Microsoft.Web/sites/droptune"
    dead_letters = {"resourceId": wiring.account_id, "blobContainerName": "deadletters"}
    return {
        "destination": {
            "endpointType": "AzureFunction",
            "properties": {"resourceId": f"{site}/functions/{function}", "maxEventsPerBatch": 1},
        },
        "eventDeliverySchema": "EventGridSchema",
        "filter": wanted,
        "deadLetterWithResourceIdentity": {
            "identity": {"type": "SystemAssigned"},
            "deadLetterDestination": {"endpointType": "StorageBlob", "properties": dead_letters},
        },
    }
