"""Blob storage and the queue in memory; `tests/contracts` holds it to what Azurite does."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.azure.storage import LEASE_SECONDS, LONGEST_DELAY, READ_BLOCK, Blob
from shared.errors import BlobUnreadable, BlocksMissing, LeaseHeld, LedgerConflict, NotFound
from tests.fake_process import Clock, Process

# Azure deletes what was staged and not committed for so long (s).
BLOCKS_LIVE = 7 * 86_400.0


@dataclass
class _Stored:
    data: bytes
    etag: str
    uploaded_at: float
    metadata: dict[str, str]
    blocks: tuple[str, ...] = ()


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
    """Blobs with ETags, leases that run out, uncommitted blocks and a queue with delays."""

    address = "https://fake.blob.local/ledger"

    def __init__(self, clock: Clock, process: Process) -> None:
        self.clock, self.process = clock, process
        self.blobs: dict[tuple[str, str], _Stored] = {}
        self.staged: dict[tuple[str, str], dict[str, tuple[bytes, float]]] = {}
        # Blobs that are there and not given, with the reason.
        self.unreadable: dict[tuple[str, str], str] = {}
        self.leases: dict[str, tuple[int, float]] = {}
        self.messages: list[tuple[float, int, str]] = []
        self._count = 0

    def prepare(self) -> None:
        """Nothing to prepare."""

    def read(self, container: str, name: str) -> tuple[bytes, str]:
        return self.process.call(lambda: (self._get(container, name).data, self._get(container, name).etag))

    def head(self, container: str, name: str) -> Blob:
        return self.process.call(lambda: self._seen(name, self._get(container, name)))

    def create(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        def act() -> str:
            if (container, name) in self.blobs:
                raise LedgerConflict(f"{container}/{name} exists")
            return self._set(container, name, data, metadata)

        return self.process.call(act)

    def replace(
        self, container: str, name: str, data: bytes, etag: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        def act() -> str:
            stored = self.blobs.get((container, name))
            if stored is None or stored.etag != etag:
                raise LedgerConflict(f"{container}/{name} changed")
            return self._set(container, name, data, metadata)

        return self.process.call(act)

    def put(self, container: str, name: str, data: bytes) -> str:
        return self.process.call(lambda: self._set(container, name, data, None))

    def delete(self, container: str, name: str, etag: str = "") -> None:
        def act() -> None:
            stored = self.blobs.get((container, name))
            if stored and etag and stored.etag != etag:
                raise LedgerConflict(f"{container}/{name} changed")
            self.blobs.pop((container, name), None)

        self.process.call(act)

    def list(self, container: str, prefix: str = "") -> Iterator[Blob]:
        found = self.process.call(
            lambda: [
                self._seen(n, s) for (c, n), s in sorted(self.blobs.items()) if c == container and n.startswith(prefix)
            ]
        )
        return iter(found)

    def open(self, container: str, name: str, etag: str) -> io.BufferedReader:
        def current() -> bytes:
            stored = self._get(container, name)
            if stored.etag != etag:
                raise LedgerConflict(f"{container}/{name} was overwritten")
            return stored.data

        return self.process.call(lambda: io.BufferedReader(_Version(current), READ_BLOCK))

    def stage(self, container: str, name: str, block: str, data: bytes) -> None:
        self.process.call(lambda: self.staged.setdefault((container, name), {}).update({block: (data, self.clock())}))

    def commit(self, container: str, name: str, blocks: Iterable[str]) -> None:
        def act() -> None:
            wanted = tuple(blocks)
            oldest = self.clock() - BLOCKS_LIVE
            staged = {b: data for b, (data, at) in self.staged.pop((container, name), {}).items() if at > oldest}
            if any(block not in staged for block in wanted):
                stored = self.blobs.get((container, name))
                if stored is None or stored.blocks != wanted:
                    raise BlocksMissing(f"{container}/{name}: staged blocks are gone")
                return
            self._set(container, name, b"".join(staged[block] for block in wanted), None)
            self.blobs[container, name].blocks = wanted

        self.process.call(act)

    def lease(self, name: str) -> _Lease:
        def act() -> _Lease:
            _, until = self.leases.get(name, (0, 0.0))
            if until > self.clock():
                raise LeaseHeld(f"{name} is held by another worker")
            self._count += 1
            self.leases[name] = (self._count, self.clock() + LEASE_SECONDS)
            return _Lease(self, name, self._count)

        return self.process.call(act)

    def send(self, message: str, delay: float = 0) -> None:
        def act() -> None:
            self._count += 1
            self.messages.append((self.clock() + min(max(0.0, delay), LONGEST_DELAY), self._count, message))

        self.process.call(act)

    def _get(self, container: str, name: str) -> _Stored:
        if reason := self.unreadable.get((container, name)):
            raise BlobUnreadable(f"{container}/{name} {reason}")
        if (container, name) not in self.blobs:
            raise NotFound(f"nothing is stored at {container}/{name}")
        return self.blobs[container, name]

    def _set(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None) -> str:
        self._count += 1
        stored = _Stored(data, f"0x{self._count:08X}", float(int(self.clock())), dict(metadata or {}))
        self.blobs[container, name] = stored
        return stored.etag

    def _seen(self, name: str, stored: _Stored) -> Blob:
        return Blob(name, stored.etag, len(stored.data), stored.uploaded_at, metadata=stored.metadata)
