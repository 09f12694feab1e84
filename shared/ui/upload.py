"""Files that people drop on the page: into the container for snapshots, block by block, then recorded as any upload is.

Called by the page's functions. Nothing is seen of a file before all of it is there: what is cut off leaves no snapshot.
The same file uploaded twice is two uploads, as in storage itself.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.azure.storage.blocks import BlobWriter
from shared.chatdata.formats import EXTENSIONS
from shared.chatdata.splits import split_of
from shared.snapshots import intake
from shared.snapshots.paths import InvalidUpload, parse_path
from shared.ui.view import View

if TYPE_CHECKING:
    from shared.runtime import Services

_LONGEST_STEM = 60
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


class EmptyUpload(InvalidUpload):
    """The file has no bytes, or no file was chosen."""


class PageUpload:
    """One file on its way into storage. `path`: where it will be. Raises InvalidUpload for what makes no snapshot."""

    def __init__(self, services: Services, dataset: str, filename: str) -> None:
        self._services = services
        # Two people may send a file of one name in one second: their blocks must not become one file.
        self.path = blob_path(dataset, filename, services.clock(), secrets.token_hex(4))
        self._file = BlobWriter(services.storage, intake.CONTAINER, self.path)

    def write(self, data: bytes) -> None:
        """Some more bytes. Full blocks are sent."""
        self._file.write(data)

    @property
    def sends_soon(self) -> bool:
        """Whether the next bytes are likely to send a block."""
        return self._file.sends_soon

    def finish(self) -> str | None:
        """Makes the file of its blocks, and the snapshot of the file: its id, or None if it is not received yet."""
        if not self._file.size:
            raise EmptyUpload("The file is empty: there is nothing to train on.")
        self._file.commit()
        return intake.receive(self._services, self.path)


def blob_path(dataset: str, filename: str, now: float, mark: str) -> str:
    """Where a file of this name goes: into its dataset's folder, under the time of its upload and a mark of its own.

    Raises InvalidUpload. A name that would be taken for a split's is left out: here one file is a whole snapshot.
    """
    extension = next((one for one in EXTENSIONS if filename.lower().endswith(one)), "")
    if not filename:
        raise EmptyUpload("Choose a file first.")
    if not extension:
        known = ", ".join(EXTENSIONS)
        raise InvalidUpload(f"A file here ends in {known}; `droptune prepare` makes one of almost any other.")
    stamp = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H%M%S}-{mark}"
    stem = _NOT_PLAIN.sub("-", filename[: -len(extension)]).strip("-.")[:_LONGEST_STEM]
    name = f"{stamp}-{stem}{extension}"
    path = f"{dataset}/{name if stem and not split_of(name) else f'{stamp}{extension}'}"
    parse_path(path)
    return path


def view(services: Services, dataset: str = "", wrong: str = "") -> View:
    """The form to upload with."""
    values = {
        "dataset": dataset,
        "wrong": wrong,
        "most": services.settings.page_upload_mb * 1_000_000,
        "extensions": ",".join(EXTENSIONS),
        "known": sorted(found.name for found in services.ledger.datasets()),
    }
    return View("upload.html", "Upload", values, here="upload", refresh=0)
