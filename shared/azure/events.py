"""What an Event Grid event means for us: at most a hint that something may have happened. Called by the two triggers.

Both delivery schemas are read. Anything unknown, foreign or malformed means nothing: Event Grid must not deliver it
again, and nothing a stranger sends may cause a write. The truth is then read from storage or the workspace.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

BLOB_CREATED = "Microsoft.Storage.BlobCreated"
BLOB_RENAMED = "Microsoft.Storage.BlobRenamed"
DIRECTORY_RENAMED = "Microsoft.Storage.DirectoryRenamed"
RUN_EVENTS = (
    "Microsoft.MachineLearningServices.RunCompleted",
    "Microsoft.MachineLearningServices.RunStatusChanged",
)
# The writes that leave a complete blob. Accounts with a hierarchical namespace also report a file when it is created
# empty (`CreateFile`, `SftpCreate`).
COMPLETE_WRITES = ("PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose", "SftpCommit")
_BLOB_SUBJECT = re.compile(r"/blobServices/default/containers/snapshots/blobs/(?P<path>.+)", re.DOTALL)
_RUN_SUBJECT = re.compile(r"experiments/[^/]+/runs/(?P<run>[^/]+)")


class Event(Protocol):
    """What azure.functions hands over, as EventGridEvent or CloudEvent."""

    @property
    def subject(self) -> str | None: ...

    def get_json(self) -> Any: ...


def type_of(event: Event) -> str:
    """The event's type: `event_type` in the Event Grid schema, `type` in CloudEvents."""
    return str(getattr(event, "event_type", None) or getattr(event, "type", None) or "")


def uploaded_path(event: Event) -> str | None:
    """The path below `snapshots` of a blob that was completely written, or renamed so; None for anything else.

    Of a renamed directory it is the path of the marker, which may be in it.
    """
    kind, match = type_of(event), _BLOB_SUBJECT.fullmatch(_subject(event))
    if match is None:
        return None
    if kind == DIRECTORY_RENAMED:
        return f"{match['path'].rstrip('/')}/_SUCCESS"
    if kind == BLOB_RENAMED or (kind == BLOB_CREATED and _data(event).get("api") in COMPLETE_WRITES):
        return match["path"]
    return None


def changed_run(event: Event) -> str | None:
    """The id of a run whose status changed, child steps included; None for anything else."""
    if type_of(event) not in RUN_EVENTS:
        return None
    data = {str(k).lower(): v for k, v in _data(event).items()}
    match = _RUN_SUBJECT.fullmatch(_subject(event))
    found = data.get("runid") or (match["run"] if match else None)
    return found if isinstance(found, str) else None


def _subject(event: Event) -> str:
    return event.subject if isinstance(event.subject, str) else ""


def _data(event: Event) -> Mapping[str, Any]:
    found = event.get_json()
    return found if isinstance(found, Mapping) else {}
