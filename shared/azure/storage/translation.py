"""The errors of the storage SDK as errors of the app. Every call to storage is made inside `translated`.

What Azure says decides, not only the status: a 409 may be a lost race, a container that is being deleted, or a blob
that nobody can read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from shared.azure.retries import retry_after, worth_another_try
from shared.errors import (
    DENIED,
    AccessDenied,
    AzureRefused,
    BlobUnreadable,
    ContainerNotFound,
    LedgerConflict,
    NotFound,
    ServiceBusy,
)

# Somebody else was first.
_CONFLICTS = frozenset(
    {"BlobAlreadyExists", "ConditionNotMet", "ContainerAlreadyExists", "QueueAlreadyExists", "ResourceAlreadyExists"}
)
_GONE = frozenset({"BlobNotFound", "ResourceNotFound"})
_NO_CONTAINER = frozenset({"ContainerNotFound", "QueueNotFound"})
_RESTORE = "change its access tier to hot or cool, and upload it again under this name once that is done"
_RENAME = "has a name that storage cannot be asked for: upload it under a plain name"
# It is there, and its content is not given to the app; with what can be done.
_UNREADABLE = {
    "BlobArchived": f"is in the archive tier: {_RESTORE}",
    "BlobBeingRehydrated": f"is still being brought back from the archive tier: {_RESTORE}",
    "BlobUsesCustomerSpecifiedEncryption": "is encrypted with a key of the uploader's own: upload it without one",
    "InvalidUri": _RENAME,
    "InvalidResourceName": _RENAME,
    "OutOfRangeInput": _RENAME,
}
# It is there, and must not be changed.
_LOCKED = {
    "BlobImmutableDueToPolicy": "is held by an immutability policy",
    "BlobImmutableDueToLegalHold": "is held by a legal hold",
    "LeaseIdMissing": "is leased by somebody else",
    # With a hierarchical namespace a name is that of a file or of a folder.
    "DirectoryIsNotEmpty": "is a folder that is not empty",
    "OperationNotSupportedOnDirectory": "is a folder",
    "PathConflict": "has a folder's name, or is in a folder that is a file",
    "ResourceTypeMismatch": "has a folder's name",
}
_ROLES = "Storage Blob Data Contributor and Storage Queue Data Contributor on the storage account"


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns the SDK's errors into the app's, cause attached. `what` names the blob or the queue."""
    from azure.core import exceptions as sdk

    try:
        yield
    except sdk.HttpResponseError as error:
        raise _http_error(what, error) from error
    except sdk.AzureError as error:
        raise ServiceBusy(f"storage could not be reached for {what}: {type(error).__name__}") from error


def code_of(error: Any) -> str:
    """The storage service's own word for an error; empty when it gave none."""
    code = getattr(error, "error_code", None)
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return str(getattr(code, "value", code) or headers.get("x-ms-error-code") or "")


def _http_error(what: str, error: Any) -> Exception:
    from azure.core import exceptions as sdk

    code, status = code_of(error), error.status_code
    if code in _UNREADABLE:
        return BlobUnreadable(f"{what} {_UNREADABLE[code]} ({code})")
    if code in _LOCKED:
        return AzureRefused(f"{what} {_LOCKED[code]} ({code})")
    if code in _NO_CONTAINER:
        return ContainerNotFound(f"nothing is stored at {what}: {code}")
    if code in _GONE or status == 404:
        return NotFound(f"nothing is stored at {what}")
    if code in _CONFLICTS or status == 412:
        return LedgerConflict(f"{what} is not what was read: {code}")
    if isinstance(error, sdk.ClientAuthenticationError) or status in (401, 403):
        return AccessDenied(f"{what}: {DENIED} use it (HTTP {status} {code}): it needs the roles {_ROLES}")
    if worth_another_try(status):
        return ServiceBusy(f"storage is busy for {what}: HTTP {status} {code}", retry_after(error))
    return AzureRefused(f"storage refused {what}: HTTP {status} {code}")
