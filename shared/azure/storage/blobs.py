"""A blob as the app sees it, and the names under which blobs can be used at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import BlobUnreadable, NotFound

LONGEST_NAME = 1024
# Control characters, half a surrogate, and what XML has no way to say: a listing cannot show them.
_UNSAYABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Between the client and the service they are taken for steps in a folder tree: the request would go to another blob.
_STEPS = frozenset({".", ".."})


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as a listing or a look at its properties shows it. `uploaded_at`: seconds since 1970, UTC.

    `unreadable`: why its content cannot be read, if that is known. `copying`: Azure is still copying it from elsewhere.
    """

    name: str
    etag: str
    size: int
    uploaded_at: float
    url: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    unreadable: str = ""
    copying: bool = False


def check_name(container: str, name: str) -> None:
    """Raises BlobUnreadable for a name that no request can safely carry."""
    if why := why_unreadable_name(name):
        raise BlobUnreadable(f"{container}/{_shown(name)}: {why}")


def can_be_asked_for(prefix: str) -> bool:
    """Whether a listing can be asked for the names that begin so; of others there are none to be had."""
    return len(prefix) <= LONGEST_NAME and not _UNSAYABLE.search(prefix)


def why_unreadable_name(name: str) -> str:
    """Why no request can safely carry this name; empty when one can."""
    if not name:
        return "a blob's name is not empty"
    if len(name) > LONGEST_NAME:
        return f"a blob's name has at most {LONGEST_NAME} characters, this one has {len(name)}"
    if _UNSAYABLE.search(name):
        return "the name holds a control character or half of a character"
    # Storage takes a backslash for a slash.
    if _STEPS.intersection(re.split(r"[/\\]", name)):
        return "the name has a part `.` or `..`, which means another blob"
    return ""


def blob_of(properties: Any, url: str = "") -> Blob:
    """The blob of the SDK's properties."""
    return blob_from(
        name=str(properties.name),
        etag=str(properties.etag),
        size=properties.size,
        uploaded_at=properties.last_modified.timestamp(),
        url=url,
        metadata=dict(properties.metadata or {}),
        tier=_plain(properties.blob_tier),
        kind=_plain(properties.blob_type),
        key=_plain(properties.encryption_key_sha256),
        copying=properties.copy.status == "pending",
    )


def blob_from(*, tier: str, kind: str, key: str, **shown: Any) -> Blob:
    """The blob of what storage shows of it. `tier`: its access tier; `kind`: the type of blob; `key`: the hash of the
    uploader's own key, if it is encrypted with one."""
    why = why_unreadable_name(shown["name"]) or _why_unreadable(tier, kind, key)
    return Blob(**{**shown, "etag": shown["etag"].strip('"')}, unreadable=why)


def is_folder(properties: Any) -> bool:
    """Whether this is a folder, by the SDK's properties."""
    return is_folder_name(properties.metadata or {})


def is_folder_name(metadata: Mapping[str, str]) -> bool:
    """Whether this is the name of a folder, which accounts with a hierarchical namespace show as an empty blob."""
    return str(metadata.get("hdi_isfolder", "")).lower() == "true"


def require_file(container: str, name: str, properties: Any) -> None:
    """Raises NotFound for a folder: to the app there is no blob of its name."""
    if is_folder(properties):
        raise NotFound(f"{container}/{name} is a folder")


def _why_unreadable(tier: str, kind: str, key: str) -> str:
    if kind and kind != "BlockBlob":
        return f"it is no block blob ({kind}), and may still grow: upload it as a block blob"
    if tier == "Archive":
        return "it is in the archive tier: change its access tier, and upload it again under this name"
    if key:
        return "it is encrypted with a key of the uploader's own: upload it without one"
    return ""


def _plain(value: Any) -> str:
    return str(getattr(value, "value", value) or "")


def _shown(name: str) -> str:
    """The start of a name, with everything odd in it made harmless."""
    return ascii(name[:100])[1:-1] + ("..." if len(name) > 100 else "")
