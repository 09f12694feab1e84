"""Blobs, leases and the queue: the only package that imports azure-storage. Called by the ledger and the steps.

Every write that must not happen twice is conditional (create-only, or on condition of an ETag), so repeating a call
either does nothing or raises LedgerConflict. Every call ends within seconds; errors of the SDK become errors of this
app. A container or queue that somebody deleted is made again by the next write.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import io
import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared.azure.storage import leases, listing, ranges
from shared.azure.storage.blobs import Blob, blob_of, can_be_asked_for, check_name, is_folder_name, require_file
from shared.azure.storage.leases import LEASE_SECONDS, Lease
from shared.azure.storage.readahead import ReadAhead
from shared.azure.storage.translation import code_of, translated
from shared.errors import (
    AzureRefused,
    BlocksMissing,
    ContainerNotFound,
    LedgerConflict,
    NotFound,
    ServiceBusy,
)

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobServiceClient
    from azure.storage.queue import QueueServiceClient

__all__ = ["CONTAINERS", "LEASE_SECONDS", "LONGEST_DELAY", "QUEUE", "READ_BLOCK", "Blob", "Lease", "Storage"]

log = logging.getLogger(__name__)

CONTAINERS = ("snapshots", "frozen", "reports", "quarantine", "evaluations", "ledger", "locks", "work")
QUEUE = "due"
# The longest a queue message may stay invisible (service limit: 7 days); later polls are left to the sweep.
LONGEST_DELAY = 6 * 86_400
# The local emulator is three times as fast above 4 MB, up to which it hashes what it sends.
READ_BLOCK = 8 * 2**20
READ_BUFFER = 256 * 1024
# The most requests that one batch may hold.
_BATCH = 256
# The SDK reads a blob up to three times by itself when its answer does not come.
# Bytes come as they are stored: whoever uploads may name any encoding, and the SDK would unpack it in memory.
_READ: dict[str, Any] = {"retry_read": 0, "read_timeout": 6, "decompress": False}


class Storage:
    """The data account: containers of the ledger, the snapshots and all that is made of them.

    `read_block`: bytes of the ranges in which a large blob is read.
    """

    def __init__(self, blobs: BlobServiceClient, queues: QueueServiceClient, read_block: int = READ_BLOCK) -> None:
        from azure.storage.queue import TextBase64EncodePolicy

        self._blobs, self._queues, self._read_block = blobs, queues, read_block
        # Through the service client the encoding policy would be dropped.
        self._queue = queues.get_queue_client(QUEUE, message_encode_policy=TextBase64EncodePolicy())

    @property
    def address(self) -> str:
        """The address of the ledger: it names the installation."""
        return f"{self._blobs.url.rstrip('/')}/ledger"

    @property
    def account(self) -> str:
        """The account's name."""
        return str(self._blobs.account_name or "")

    def prepare(self) -> None:
        """Creates the containers and the queue that do not exist yet; may be repeated."""
        for name in set(CONTAINERS) - self.containers():
            self._make_container(name)
        self._make_queue()

    def containers(self) -> set[str]:
        """The containers of the account."""
        with translated("containers"):
            return {str(one.name) for one in self._blobs.list_containers()}

    # --- blobs ---

    def read(self, container: str, name: str) -> tuple[bytes, str]:
        """Content and ETag. Raises NotFound when there is no such blob, or a folder."""
        with translated(f"{container}/{name}"):
            found = self._blob(container, name).download_blob(**_READ)
            require_file(container, name, found.properties)
            return found.readall(), str(found.properties.etag)

    def head(self, container: str, name: str) -> Blob:
        """Properties only. Raises NotFound when there is no such blob, or a folder."""
        with translated(f"{container}/{name}"):
            client = self._blob(container, name)
            found = client.get_blob_properties()
        require_file(container, name, found)
        return blob_of(found, client.url)

    def create(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        """Writes a new blob, returns its ETag. Raises LedgerConflict when it exists: then nothing was written."""
        from azure.core import MatchConditions

        return self._write(container, name, data, metadata, match_condition=MatchConditions.IfMissing)

    def replace(
        self, container: str, name: str, data: bytes, etag: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        """Writes on condition that the blob still has this ETag; else raises LedgerConflict. Returns the new ETag."""
        return self._write(container, name, data, metadata, **_if_still(etag))

    def put(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        """Writes unconditionally: for derived content that is the same each time."""
        return self._write(container, name, data, metadata, overwrite=True)

    def delete(self, container: str, name: str, etag: str = "") -> None:
        """Deletes a blob, or only its version of this ETag (else LedgerConflict); none there is fine.

        A folder is deleted if it is empty, and stays if it is not.
        """
        client, condition = self._blob(container, name), _if_still(etag) if etag else {}
        try:
            with contextlib.suppress(NotFound), translated(f"{container}/{name}"):
                client.delete_blob(**condition)
        except AzureRefused as error:
            if code_of(error.__cause__) != "DirectoryIsNotEmpty":
                raise
        except ServiceBusy as error:
            if code_of(error.__cause__) != "SnapshotsPresent":
                raise
            with contextlib.suppress(NotFound), translated(f"{container}/{name}"):
                client.delete_blob(delete_snapshots="include", **condition)
        except LedgerConflict:
            if self._exists(container, name):  # else the condition was not met because nothing was there
                raise

    def delete_many(self, container: str, names: Iterable[str]) -> None:
        """Deletes blobs, many with one request; those that are not there are fine, those that are leased stay.

        A repeat deletes what is left.
        """
        client = self._blobs.get_container_client(container)
        with contextlib.suppress(ContainerNotFound):
            for batch in itertools.batched(names, _BATCH, strict=False):
                with translated(f"{container}: {len(batch)} blobs"):
                    parts = [*client.delete_blobs(*batch, raise_on_any_failure=False)]
                left = [name for name, part in zip(batch, parts, strict=True) if part.status_code not in (202, 404)]
                for name in left:  # such as those with snapshots
                    self._delete_unless_leased(container, name)

    def delete_all(self, container: str, folder: str) -> None:
        """Deletes every blob below a folder, and the folders themselves where the account has any; may be repeated."""
        below = list(self._listed(container, f"{folder}/", folders=True))
        self.delete_many(container, [blob.name for blob in below if not is_folder_name(blob.metadata)])
        folders = sorted((blob.name for blob in below if is_folder_name(blob.metadata)), reverse=True)
        for name in (*folders, folder):
            self.delete(container, name)

    def list(self, container: str, prefix: str = "") -> Iterator[Blob]:
        """Every blob under a prefix, with metadata, in the order of names; none in a container that was deleted.

        Folders are left out, which accounts with a hierarchical namespace list as blobs. There names are compared part
        by part: what is below a folder comes right behind it.
        """
        return self._listed(container, prefix)

    def _listed(self, container: str, prefix: str, folders: bool = False) -> Iterator[Blob]:
        """Every blob under a prefix; with `folders` those as well."""
        if not can_be_asked_for(prefix):
            return
        with contextlib.suppress(ContainerNotFound), translated(f"{container}/{prefix}*"):
            for page in listing.pages(self._blobs, container, prefix, folders):
                yield from page

    def open(self, container: str, name: str, etag: str) -> io.BufferedReader:
        """A seekable reader over one version of a blob, which reads ahead.

        It never gives bytes of another version: opening and reading raise LedgerConflict once the blob was overwritten,
        and NotFound once it was deleted.
        """
        client, etag = self._blob(container, name), etag.strip('"')

        def fill(offset: int, room: memoryview) -> None:
            with self._of_one_version(container, name):
                ranges.fill(client, offset, room, etag, _READ["read_timeout"])

        with self._of_one_version(container, name):
            found = client.get_blob_properties(**_if_still(f'"{etag}"'))
        require_file(container, name, found)
        return io.BufferedReader(ReadAhead(fill, found.size, self._read_block), READ_BUFFER)

    def stage_block(self, container: str, name: str, block: str, data: bytes) -> None:
        """Uploads one uncommitted block; the same block id again replaces it. It is kept for a week."""
        client = self._blob(container, name)
        self._remaking(container, name, lambda: client.stage_block(block, data))

    def commit_blocks(self, container: str, name: str, blocks: Iterable[str]) -> None:
        """Makes the staged blocks the blob's content; a repeat makes the same.

        Raises BlocksMissing when some are not there any more, unless the blob consists of these blocks already.
        """
        from azure.storage.blob import BlobBlock

        client, wanted = self._blob(container, name), [*blocks]
        try:
            self._remaking(container, name, lambda: client.commit_block_list([BlobBlock(block) for block in wanted]))
        except AzureRefused as error:
            if code_of(error.__cause__) != "InvalidBlockList":
                raise
            if self._committed(container, name) != wanted:
                raise BlocksMissing(f"{container}/{name}: staged blocks are gone") from error

    # --- leases and messages ---

    def lease(self, name: str, take_over: bool = False) -> Lease:
        """Takes the lease `locks/<name>`, creating the blob if needed. Raises LeaseHeld when somebody has it.

        `take_over`: also at once from a process of this machine that was killed while it held it, with `take_over` as
        well. Only for what writes to this account alone, where a write that was on its way does no harm.
        """
        make = functools.partial(self._make_lock, name)
        return leases.take(self._blob("locks", name), make, take_over)

    def _make_lock(self, name: str) -> None:
        with contextlib.suppress(LedgerConflict):
            self.create("locks", name, b"")

    def send(self, message: str, delay: float = 0) -> None:
        """Puts one message into the queue `due`, visible `delay` seconds from now."""
        seconds = math.ceil(min(max(delay, 0), LONGEST_DELAY))
        try:
            with translated(f"queue {QUEUE}"):
                self._queue.send_message(message, visibility_timeout=seconds)
        except ContainerNotFound:
            self._make_queue()
            with translated(f"queue {QUEUE}"):
                self._queue.send_message(message, visibility_timeout=seconds)

    def queue_length(self, name: str = QUEUE) -> int | None:
        """About how many messages are in a queue of the account; None when there is no such queue."""
        client = self._queues.get_queue_client(name)
        with contextlib.suppress(ContainerNotFound), translated(f"queue {name}"):
            return int(client.get_queue_properties().approximate_message_count or 0)
        return None

    # --- helpers ---

    def _blob(self, container: str, name: str) -> BlobClient:
        check_name(container, name)
        return self._blobs.get_blob_client(container, name)

    def _delete_unless_leased(self, container: str, name: str) -> None:
        try:
            self.delete(container, name)
        except AzureRefused as error:
            if code_of(error.__cause__) != "LeaseIdMissing":
                raise

    def _exists(self, container: str, name: str) -> bool:
        with translated(f"{container}/{name}"):
            return self._blob(container, name).exists()

    def _committed(self, container: str, name: str) -> builtins.list[str]:
        """The blocks that a blob consists of; none when there is no such blob."""
        with contextlib.suppress(NotFound), translated(f"{container}/{name}"):
            return [str(block.id) for block in self._blob(container, name).get_block_list("committed")[0]]
        return []

    @contextlib.contextmanager
    def _of_one_version(self, container: str, name: str) -> Iterator[None]:
        """A condition that is not met says as little of a blob that was deleted as of one that was overwritten."""
        try:
            with translated(f"{container}/{name}"):
                yield
        except LedgerConflict as error:
            if not self._exists(container, name):
                raise NotFound(f"nothing is stored at {container}/{name} any more") from error
            raise

    def _write(
        self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None, **condition: Any
    ) -> str:
        client, given = self._blob(container, name), dict(metadata or {})
        done = self._remaking(container, name, lambda: client.upload_blob(data, metadata=given, **condition))
        return str(done["etag"])

    def _remaking[T](self, container: str, name: str, write: Callable[[], T]) -> T:
        """What a write gives; a container that somebody deleted is made again first."""
        with contextlib.suppress(ContainerNotFound), translated(f"{container}/{name}"):
            return write()
        log.warning("container %s is gone: it is made again", container)
        self._make_container(container)
        with translated(f"{container}/{name}"):
            return write()

    def _make_container(self, name: str) -> None:
        with contextlib.suppress(LedgerConflict), translated(name):
            self._blobs.create_container(name)

    def _make_queue(self) -> None:
        with contextlib.suppress(LedgerConflict), translated(f"queue {QUEUE}"):
            self._queue.create_queue()


def _if_still(etag: str) -> dict[str, Any]:
    from azure.core import MatchConditions

    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}
