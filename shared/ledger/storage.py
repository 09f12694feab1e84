"""What the ledger needs of the storage account, as protocols: the room of Azure is above this one.

`shared.azure.storage.Storage` is what runs; tests have one in memory, and `tests/contracts` holds both to the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from shared.ledger.fence import HeldLease


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
    def put(self, container: str, name: str, data: bytes) -> str: ...
    def delete(self, container: str, name: str, etag: str = "") -> None: ...
    def list(self, container: str, prefix: str = "") -> Iterator[ListedBlob]: ...
    def lease(self, name: str) -> HeldLease: ...
    def send(self, message: str, delay: float = 0) -> None: ...
