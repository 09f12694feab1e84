"""Blob storage and the queue in memory; `tests/contracts` holds it to what Azurite does.

Assumptions: `blob-conditions`, `blob-leases`, `blob-blocks`, `blob-listings`, `blob-batches`, `leased-blobs`,
`queue-delays`.
"""

from __future__ import annotations

import builtins
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.azure.storage import CONTAINERS, LEASE_SECONDS, LONGEST_DELAY, QUEUE, READ_BLOCK, Blob
from shared.azure.storage.blobs import check_name, why_unreadable_name
from shared.errors import AzureRefused, BlobUnreadable, BlocksMissing, LeaseHeld, LedgerConflict, NotFound
from tests.fake_process import Clock, Process

# Azure drops blocks that nobody commits, once none was staged for the blob for so long.
STAGED_SECONDS = 7 * 86_400


FOLDER = {"hdi_isfolder": "true"}


@dataclass
class _Stored:
    data: bytes
    etag: str
    uploaded_at: float
    metadata: dict[str, str]
    blocks: tuple[str, ...] = ()


def _is_folder(stored: _Stored) -> bool:
    return stored.metadata.get("hdi_isfolder") == "true"


class _Lease:
    def __init__(self, storage: FakeStorage, name: str, number: int) -> None:
        self._storage, self._name, self._number = storage, name, number

    def check(self, left: float = 0) -> None:
        if self._storage.leases.get(self._name, (0, 0.0))[0] != self._number:
            raise LeaseHeld("the lease was lost while the step ran")

    def release(self) -> None:
        def act() -> None:
            if self._storage.leases.get(self._name, (0, 0.0))[0] == self._number:
                del self._storage.leases[self._name]

        self._storage.process.call(act)


class _Version(io.RawIOBase):
    """Random access to one version of a blob, which is looked for at each read."""

    def __init__(self, current: Callable[[], bytes]) -> None:
        self._current, self._at = current, 0
        self._size = len(current())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size:
            return 0
        found = self._current()[self._at : self._at + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


class FakeStorage:
    """Blobs with ETags, leases that run out, uncommitted blocks that are dropped after a week, a queue with delays.

    `unreadable`: why the content of a blob cannot be read, by container and name. `copying`: blobs still being copied.
    `hierarchical`: folders are things, as in accounts with such a namespace.
    """

    address = "https://fake.blob.local/ledger"

    def __init__(self, clock: Clock, process: Process, hierarchical: bool = False) -> None:
        self.clock, self.process, self.hierarchical = clock, process, hierarchical
        self.blobs: dict[tuple[str, str], _Stored] = {}
        self.staged: dict[tuple[str, str], dict[str, bytes]] = {}
        self.staged_at: dict[tuple[str, str], float] = {}
        self.unreadable: dict[tuple[str, str], str] = {}
        self.copying: set[tuple[str, str]] = set()
        self.leases: dict[str, tuple[int, float]] = {}
        # What this machine knows of its processes: which of them holds a lease that may be taken over, by its number.
        self.holders: dict[int, int] = {}
        self.messages: list[tuple[float, int, str]] = []
        # What the doctor is to find: containers that are not there, and lengths of queues.
        self.missing: set[str] = set()
        self.queues: dict[str, int | None] = {}
        self._count = 0

    @property
    def account(self) -> str:
        return "fakes"

    def prepare(self) -> None:
        """Nothing to prepare."""

    def read(self, container: str, name: str) -> tuple[bytes, str]:
        return self.process.call(lambda: (self._content(container, name), self._get(container, name).etag))

    def head(self, container: str, name: str) -> Blob:
        return self.process.call(lambda: self._seen(container, name, self._get(container, name)))

    def create(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        def act() -> str:
            check_name(container, name)
            if (container, name) in self.blobs:
                raise LedgerConflict(f"{container}/{name} exists")
            return self._set(container, name, data, metadata)

        return self.process.call(act)

    def replace(
        self, container: str, name: str, data: bytes, etag: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        def act() -> str:
            check_name(container, name)
            stored = self.blobs.get((container, name))
            if stored is None or stored.etag != etag:
                raise LedgerConflict(f"{container}/{name} changed")
            return self._set(container, name, data, metadata)

        return self.process.call(act)

    def put(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        def act() -> str:
            check_name(container, name)
            return self._set(container, name, data, metadata)

        return self.process.call(act)

    def delete(self, container: str, name: str, etag: str = "") -> None:
        def act() -> None:
            check_name(container, name)
            stored = self.blobs.get((container, name))
            if stored and etag and stored.etag != etag:
                raise LedgerConflict(f"{container}/{name} changed")
            if not (stored and _is_folder(stored) and self._below(container, name)):
                self.blobs.pop((container, name), None)

        self.process.call(act)

    def delete_many(self, container: str, names: Iterable[str]) -> None:
        def act() -> None:
            for name in names:
                if container != "locks" or self.leases.get(name, (0, 0.0))[1] <= self.clock():
                    self.blobs.pop((container, name), None)

        self.process.call(act)

    def delete_all(self, container: str, folder: str) -> None:
        for name in [*sorted(self.process.call(lambda: self._below(container, folder)), reverse=True), folder]:
            self.delete(container, name)

    def list(self, container: str, prefix: str = "") -> Iterator[Blob]:
        found = self.process.call(
            lambda: [
                self._seen(c, n, s)
                for (c, n), s in sorted(self.blobs.items())
                if c == container and n.startswith(prefix) and not _is_folder(s)
            ]
        )
        return iter(found)

    def open(self, container: str, name: str, etag: str) -> io.BufferedReader:
        def current() -> bytes:
            stored = self._get(container, name)
            if stored.etag != etag:
                raise LedgerConflict(f"{container}/{name} was overwritten")
            return self._content(container, name)

        return self.process.call(lambda: io.BufferedReader(_Version(current), READ_BLOCK))

    def stage_block(self, container: str, name: str, block: str, data: bytes) -> None:
        def act() -> None:
            check_name(container, name)
            self._blocks(container, name)[block] = data
            self.staged_at[container, name] = self.clock()

        self.process.call(act)

    def commit_blocks(self, container: str, name: str, blocks: Iterable[str]) -> None:
        def act() -> None:
            staged, wanted = self._blocks(container, name), tuple(blocks)
            if any(block not in staged for block in wanted):
                stored = self.blobs.get((container, name))
                if stored is None or stored.blocks != wanted:
                    raise BlocksMissing(f"{container}/{name}: staged blocks are gone")
                return
            self.staged.pop((container, name), None)
            self._set(container, name, b"".join(staged[block] for block in wanted), None)
            self.blobs[container, name].blocks = wanted

        self.process.call(act)

    def _blocks(self, container: str, name: str) -> dict[str, bytes]:
        """The uncommitted blocks of a blob that are still there."""
        if self.clock() - self.staged_at.get((container, name), self.clock()) > STAGED_SECONDS:
            self.staged.pop((container, name), None)
        return self.staged.setdefault((container, name), {})

    def lease(self, name: str, take_over: bool = False) -> _Lease:
        def act() -> _Lease:
            number, until = self.leases.get(name, (0, 0.0))
            was_lost = take_over and self.holders.get(number, self.process.lives) != self.process.lives
            if until > self.clock() and not was_lost:
                raise LeaseHeld(f"{name} is held by another worker")
            self._count += 1
            self.leases[name] = (self._count, self.clock() + LEASE_SECONDS)
            if take_over:
                self.holders[self._count] = self.process.lives
            return _Lease(self, name, self._count)

        return self.process.call(act)

    def containers(self) -> set[str]:
        return set(CONTAINERS) - self.missing

    def queue_length(self, name: str = QUEUE) -> int | None:
        return self.queues.get(name, len(self.messages) if name == QUEUE else None)

    def send(self, message: str, delay: float = 0) -> None:
        def act() -> None:
            self._count += 1
            self.messages.append((self.clock() + min(max(0.0, delay), LONGEST_DELAY), self._count, message))

        self.process.call(act)

    def _content(self, container: str, name: str) -> bytes:
        stored = self._get(container, name)
        if why := self.unreadable.get((container, name)):
            raise BlobUnreadable(f"{container}/{name}: {why}")
        return stored.data

    def _get(self, container: str, name: str) -> _Stored:
        check_name(container, name)
        stored = self.blobs.get((container, name))
        if stored is None or _is_folder(stored):
            raise NotFound(f"nothing is stored at {container}/{name}")
        return stored

    def upload(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        """A blob of somebody else's, who may name it as he likes."""
        return self._set(container, name, data, metadata)

    def _below(self, container: str, folder: str) -> builtins.list[str]:
        """The names of all that is below a folder."""
        return [n for c, n in self.blobs if c == container and n.startswith(f"{folder}/")]

    def _make_folders(self, container: str, name: str) -> None:
        """The folders that a file is in come into being with it."""
        there = self.blobs.get((container, name))
        parts = name.split("/")
        for above in ("/".join(parts[:count]) for count in range(1, len(parts))):
            folder = self.blobs.setdefault((container, above), _Stored(b"", "0x0", self.clock(), dict(FOLDER)))
            if not _is_folder(folder):
                raise AzureRefused(f"{container}/{name}: {above} is a file")
        if there and _is_folder(there):
            raise AzureRefused(f"{container}/{name} is a folder")

    def _set(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None) -> str:
        if self.hierarchical:
            self._make_folders(container, name)
        self._count += 1
        stored = _Stored(data, f"0x{self._count:08X}", float(int(self.clock())), dict(metadata or {}))
        self.blobs[container, name] = stored
        return stored.etag

    def _seen(self, container: str, name: str, stored: _Stored) -> Blob:
        why = self.unreadable.get((container, name)) or why_unreadable_name(name)
        return Blob(
            name,
            stored.etag,
            len(stored.data),
            stored.uploaded_at,
            metadata=stored.metadata,
            unreadable=why,
            copying=(container, name) in self.copying,
        )
