"""What the ledger needs of the storage account, as protocols: the room of Azure is above this one.

`shared.azure.storage.Storage` is what runs; tests have one in memory, and `tests/contracts` holds both to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from shared.errors import Damaged, LedgerConflict, NotFound
from shared.ledger.fence import HeldLease
from shared.ledger.record import UNREADABLE


class ListedBlob(Protocol):
    """A blob as a listing shows it. `uploaded_at`: seconds since 1970, UTC."""

    @property
    def name(self) -> str: ...
    @property
    def etag(self) -> str: ...
    @property
    def uploaded_at(self) -> float: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...


class BlobStore(Protocol):
    """Blobs with ETags, leases, and the queue `due`.

    `read` raises NotFound for what is not there, `create` and `replace` raise LedgerConflict when the condition is not
    met, `lease` raises LeaseHeld. All raise ServiceBusy when storage does not answer.
    """

    @property
    def address(self) -> str: ...
    def read(self, container: str, name: str) -> tuple[bytes, str]: ...
    def create(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str: ...
    def replace(
        self, container: str, name: str, data: bytes, etag: str, metadata: Mapping[str, str] | None = None
    ) -> str: ...
    def put(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str: ...
    def delete(self, container: str, name: str, etag: str = "") -> None: ...
    def delete_many(self, container: str, names: Iterable[str]) -> None: ...
    def list(self, container: str, prefix: str = "") -> Iterator[ListedBlob]: ...
    def lease(self, name: str) -> HeldLease: ...
    def send(self, message: str, delay: float = 0) -> None: ...


def read_record[T](
    storage: BlobStore, container: str, name: str, decoder: msgspec.json.Decoder[T], empty: T
) -> tuple[T, str]:
    """A record that is one JSON blob, and its ETag; `empty` and no ETag where there is none. Raises Damaged."""
    try:
        data, etag = storage.read(container, name)
    except NotFound:
        return empty, ""
    try:
        return decoder.decode(data), etag
    except UNREADABLE as error:
        raise Damaged.named(f"{container}/{name}", error) from error


def write_if_still(
    storage: BlobStore,
    container: str,
    name: str,
    data: bytes,
    etag: str,
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Writes what was read under this ETag, or was not there (no ETag), and returns the new one.

    Raises LedgerConflict when somebody else wrote it meanwhile.
    """
    if etag:
        return storage.replace(container, name, data, etag, metadata)
    return storage.create(container, name, data, metadata)


def change_until_still[T](
    read: Callable[[], tuple[T, str]], edit: Callable[[T], T], write: Callable[[T, str], object]
) -> T:
    """Reads, edits and writes until no other write came between; gives what is there then.

    What `edit` leaves as it is is not written. It may be applied any number of times.
    """
    while True:
        known, etag = read()
        edited = edit(known)
        if edited == known:
            return known
        try:
            write(edited, etag)
            return edited
        except LedgerConflict:
            continue


def change_record[T](
    storage: BlobStore, container: str, name: str, decoder: msgspec.json.Decoder[T], empty: T, edit: Callable[[T], T]
) -> T:
    """The same of a record that is one JSON blob, and `empty` where there is none. Raises Damaged."""
    return change_until_still(
        lambda: read_record(storage, container, name, decoder, empty),
        edit,
        lambda record, etag: write_if_still(storage, container, name, msgspec.json.encode(record), etag),
    )
