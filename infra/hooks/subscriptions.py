"""The two event subscriptions, as Azure's control plane is told of them.

They cannot be in the template: Azure looks whether the function is there, and it is only once the code is deployed.
"""

from __future__ import annotations

from typing import Any

# A renamed file or folder is an upload too, in accounts with a hierarchical namespace. `data.api` leaves out the events
# of files that are only begun.
UPLOADS: dict[str, Any] = {
    "includedEventTypes": [
        "Microsoft.Storage.BlobCreated",
        "Microsoft.Storage.BlobRenamed",
        "Microsoft.Storage.DirectoryRenamed",
    ],
    "subjectBeginsWith": "/blobServices/default/containers/snapshots/blobs/",
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
}
RUNS: dict[str, Any] = {
    "includedEventTypes": [
        "Microsoft.MachineLearningServices.RunCompleted",
        "Microsoft.MachineLearningServices.RunStatusChanged",
    ],
}
# By the function that is told: the subscription's name, and what it wants.
SUBSCRIPTIONS = {"snapshot_uploaded": ("droptune-uploads", UPLOADS), "run_changed": ("droptune-runs", RUNS)}
DEAD_LETTERS = "deadletters"


def properties(function: str, app: str, data_account: str) -> dict[str, Any]:
    """What the subscription of a function is to be: `app` and `data_account` are resource ids."""
    return {
        "destination": {
            "endpointType": "AzureFunction",
            "properties": {
                "resourceId": f"{app}/functions/{function}",
                "maxEventsPerBatch": 1,
                "preferredBatchSizeInKilobytes": 64,
            },
        },
        "eventDeliverySchema": "EventGridSchema",
        "filter": SUBSCRIPTIONS[function][1],
        "retryPolicy": {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440},
        "deadLetterWithResourceIdentity": {
            "identity": {"type": "SystemAssigned"},
            "deadLetterDestination": {
                "endpointType": "StorageBlob",
                "properties": {"resourceId": data_account, "blobContainerName": DEAD_LETTERS},
            },
        },
    }


def holds(wanted: Any, found: Any) -> bool:
    """Whether all that is wanted is found; the service adds things of its own."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, str) and isinstance(found, str):
        return wanted.lower() == found.lower()
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(holds, wanted, found))
    return bool(wanted == found)
