"""Blobs, leases and the queue: the only file that imports azure-storage. Called by the ledger and the steps.

Every write that must not happen twice is conditional (create-only, or on condition of an ETag), so repeating a call
either does nothing or raises LedgerConflict. Errors of the SDK become errors of this app.
"""

from __future__ import annotations

import contextlib
import io
import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.azure.readahead import ReadAhead
from shared.errors import BlobUnreadable, BlocksMissing, LeaseHeld, LedgerConflict, NotFound, PipelineError, ServiceBusy

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobServiceClient
    from azure.storage.queue import QueueServiceClient

CONTAINERS = ("snapshots", "frozen", "reports", "quarantine", "evaluations", "ledger", "locks", "work")
QUEUE = "due"
# The longest a queue message may stay invisible (service limit: 7 days); later looks are left to the sweep.
LONGEST_DELAY = 6 * 86_400
# The shortest lease Azure gives is 15 s, the longest 60 s. A short one comes free soon after a crash; it is renewed
# while its holder lives.
LEASE_SECONDS = 20
# The local emulator is three times as fast above 4 MB, up to which it hashes what it sends.
READ_BLOCK = 8 * 2**20
READ_BUFFER = 256 * 1024
_RESTORE = "change its access tier to hot or cool, and upload it again under this name once that is done"
_RENAME = "upload it under a plain name"
# Blobs that are there and whose content the app does not get, by the service's code, with what can be done.
_UNREADABLE = {
    "BlobArchived": f"is in the archive tier: {_RESTORE}",
    "BlobBeingRehydrated": f"is still being brought back from the archive tier: {_RESTORE}",
    "BlobUsesCustomerSpecifiedEncryption": "is encrypted with a key of the uploader's own: upload it without one",
    "InvalidUri": f"has a name that storage cannot be asked for: {_RENAME}",
    "InvalidResourceName": f"has a name that storage cannot be asked for: {_RENAME}",
    "OutOfRangeInput": f"has a name that storage cannot be asked for: {_RENAME}",
}


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as a listing or a look at its properties shows it. `uploaded_at`: seconds since 1970, UTC."""

    name: str
    etag: str
    size: int
    uploaded_at: float
    url: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


class Lease:
    """A lease held on a blob in `locks`, renewed in the background until it is released or lost."""

    def __init__(self, renew: Any, release: Any, seconds: float) -> None:
        self._renew, self._release, self._seconds = renew, release, seconds
        self._until = time.monotonic() + seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self, left: float = 0) -> None:
        """Raises LeaseHeld when the lease is lost, or ends within `left` seconds: somebody else may hold it then."""
        if time.monotonic() + left > self._until:
            raise LeaseHeld("the lease was lost while the step ran")

    def release(self) -> None:
        """Gives the lease back; harmless when it is lost already."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(Exception):  # a lease that cannot be released runs out by itself
            self._release()

    def _keep(self) -> None:
        while not self._stop.wait(self._seconds / 5):
            asked = time.monotonic()
            try:
                self._renew()
            except Exception:  # noqa: BLE001 - whatever went wrong, only the clock decides whether it is still ours
                continue
            self._until = asked + self._seconds


class Storage:
    """The data account: containers of the ledger, the snapshots and all that is made of them.

    `read_block`: bytes of the ranges in which a large blob is read.
    """

    def __init__(self, blobs: BlobServiceClient, queues: QueueServiceClient, read_block: int = READ_BLOCK) -> None:
        from azure.storage.queue import TextBase64EncodePolicy

        self._blobs, self._read_block = blobs, read_block
        # Through the service client the encoding policy would be dropped.
        self._queue = queues.get_queue_client(QUEUE, message_encode_policy=TextBase64EncodePolicy())

    @property
    def address(self) -> str:
        """The address of the ledger: it names the installation."""
        return f"{self._blobs.url.rstrip('/')}/ledger"

    def prepare(self) -> None:
        """Creates the containers and the queue that do not exist yet; may be repeated."""
        with _translated("containers"):
            existing = {c.name for c in self._blobs.list_containers()}
        for name in CONTAINERS:
            if name not in existing:
                with contextlib.suppress(LedgerConflict), _translated(name):
                    self._blobs.create_container(name)
        with contextlib.suppress(LedgerConflict), _translated(f"queue {QUEUE}"):
            self._queue.create_queue()

    def read(self, container: str, name: str) -> tuple[bytes, str]:
        """Content and ETag. Raises NotFound when there is no such blob."""
        with _translated(f"{container}/{name}"):
            found = self._blob(container, name).download_blob()
            return found.readall(), str(found.properties.etag)

    def head(self, container: str, name: str) -> Blob:
        """Properties only. Raises NotFound when there is no such blob."""
        with _translated(f"{container}/{name}"):
            client = self._blob(container, name)
            return _seen(client.get_blob_properties(), client.url)

    def create(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        """Writes a new blob, returns its ETag. Raises LedgerConflict when it exists: then nothing was written."""
        from azure.core import MatchConditions

        return self._write(container, name, data, metadata, match_condition=MatchConditions.IfMissing)

    def replace(
        self, container: str, name: str, data: bytes, etag: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        """Writes on condition that the blob still has this ETag; else raises LedgerConflict. Returns the new ETag."""
        from azure.core import MatchConditions

        condition = MatchConditions.IfNotModified
        return self._write(container, name, data, metadata, etag=etag, match_condition=condition)

    def put(self, container: str, name: str, data: bytes) -> str:
        """Writes unconditionally: for derived content that is the same each time."""
        return self._write(container, name, data, None, overwrite=True)

    def delete(self, container: str, name: str, etag: str = "") -> None:
        """Deletes a blob, or only its version of this ETag (else LedgerConflict); none there is fine."""
        from azure.core import MatchConditions

        condition: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
        client = self._blob(container, name)
        try:
            with contextlib.suppress(NotFound), _translated(f"{container}/{name}"):
                client.delete_blob(**condition)
        except LedgerConflict:
            with _translated(f"{container}/{name}"):
                if client.exists():  # else the condition was not met because nothing was there
                    raise

    def list(self, container: str, prefix: str = "") -> Iterator[Blob]:
        """Every blob under a prefix, with metadata, in the order of names.

        Directories are left out, which accounts with a hierarchical namespace list as blobs.
        """
        with _translated(f"{container}/{prefix}*"):
            found = self._blobs.get_container_client(container).list_blobs(
                name_starts_with=prefix, include=["metadata"]
            )
            yield from (_seen(one) for one in found if not _is_directory(one))

    def open(self, container: str, name: str, etag: str) -> io.BufferedReader:
        """A seekable reader over one version of a blob, which reads ahead.

        It never gives bytes of another version: opening and reading raise LedgerConflict once the blob was overwritten,
        and NotFound or LedgerConflict once it was deleted.
        """
        from azure.core import MatchConditions

        client = self._blob(container, name)
        version: dict[str, Any] = {
            "etag": f'"{etag.strip(chr(34))}"',
            "match_condition": MatchConditions.IfNotModified,
        }

        def fetch(offset: int, length: int) -> bytes:
            with _translated(f"{container}/{name}"):
                found: bytes = client.download_blob(offset, length, **version).readall()
                return found

        with _translated(f"{container}/{name}"):
            size = client.get_blob_properties(**version).size
        return io.BufferedReader(ReadAhead(fetch, size, self._read_block), READ_BUFFER)

    def stage(self, container: str, name: str, block: str, data: bytes) -> None:
        """Uploads one uncommitted block; the same block id again replaces it."""
        with _translated(f"{container}/{name}"):
            self._blob(container, name).stage_block(block, data)

    def commit(self, container: str, name: str, blocks: Iterable[str]) -> None:
        """Makes the staged blocks the blob's content; a repeat makes the same.

        Raises BlocksMissing when some are not there any more, unless the blob consists of these blocks already.
        """
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import BlobBlock

        client, wanted = self._blob(container, name), list(blocks)
        with _translated(f"{container}/{name}"):
            try:
                client.commit_block_list([BlobBlock(block) for block in wanted])
            except HttpResponseError as error:
                if getattr(error, "error_code", "") != "InvalidBlockList":
                    raise
                if not client.exists() or [b.id for b in client.get_block_list("committed")[0]] != wanted:
                    raise BlocksMissing(f"{container}/{name}: staged blocks are gone") from error

    def lease(self, name: str) -> Lease:
        """Takes the lease `locks/<name>`, creating the blob if needed. Raises LeaseHeld when somebody has it."""
        from azure.core.exceptions import HttpResponseError

        client = self._blob("locks", name)
        with contextlib.suppress(LedgerConflict):
            if not client.exists():
                self.create("locks", name, b"")
        try:
            with _translated(f"locks/{name}"):
                lease = client.acquire_lease(lease_duration=LEASE_SECONDS)
        except (LedgerConflict, HttpResponseError) as error:
            raise LeaseHeld(f"{name} is held by another worker") from error
        return Lease(lease.renew, lease.release, LEASE_SECONDS)

    def send(self, message: str, delay: float = 0) -> None:
        """Puts one message into the queue `due`, visible `delay` seconds from now."""
        with _translated(f"queue {QUEUE}"):
            self._queue.send_message(message, visibility_timeout=math.ceil(min(max(delay, 0), LONGEST_DELAY)))

    def _blob(self, container: str, name: str) -> BlobClient:
        return self._blobs.get_blob_client(container, name)

    def _write(
        self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None, **condition: Any
    ) -> str:
        with _translated(f"{container}/{name}"):
            done = self._blob(container, name).upload_blob(data, metadata=dict(metadata or {}), **condition)
            return str(done["etag"])


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turns the SDK's errors into the app's, cause attached."""
    from azure.core import exceptions as sdk

    try:
        yield
    except sdk.AzureError as error:
        translated = _translation(error, what)
        if translated is None:
            raise
        raise translated from error


def _translation(error: Exception, what: str) -> PipelineError | None:
    """The app's error for one of the SDK's; None where the app has no word for it."""
    from azure.core import exceptions as sdk

    code, status = getattr(error, "error_code", None), getattr(error, "status_code", None) or 0
    for unreadable, reason in _UNREADABLE.items():
        if code == unreadable:
            return BlobUnreadable(f"{what} {reason}")
    if isinstance(error, sdk.ResourceNotFoundError):
        return NotFound(f"nothing is stored at {what}")
    if isinstance(error, sdk.ResourceExistsError | sdk.ResourceModifiedError):
        return LedgerConflict(f"{what} is not what was read: {code or ''}")
    if isinstance(error, sdk.ServiceRequestError | sdk.ServiceResponseError | sdk.IncompleteReadError):
        return ServiceBusy(f"storage could not be reached for {what}: {type(error).__name__}")
    if status in (408, 429) or status >= 500:
        return ServiceBusy(f"storage is busy for {what}: HTTP {status}")
    return None


def _is_directory(properties: Any) -> bool:
    return str((properties.metadata or {}).get("hdi_isfolder", "")).lower() == "true"


def _seen(properties: Any, url: str = "") -> Blob:
    return Blob(
        name=properties.name,
        etag=str(properties.etag).strip('"'),
        size=properties.size,
        uploaded_at=properties.last_modified.timestamp(),
        url=url,
        metadata=dict(properties.metadata or {}),
    )
