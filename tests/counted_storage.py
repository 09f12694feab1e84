"""The storage of the tests, in memory, that counts requests as Azure bills them; for tests and `benchmarks.scale`.

What a request costs in CPU through the SDK is measured elsewhere: here are only the app's own work, and the counts.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from shared.azure.storage import Blob
from tests.fake_storage import FakeStorage

PAGE = 5000
# What the real `Storage` sends for one call, by the kinds of the bill. A listing sends one request a page.
SENT: dict[str, dict[str, int]] = {
    "read": {"read": 1},
    "head": {"other": 1},
    "exists": {"other": 1},
    "open": {"other": 1, "read": 1},
    "create": {"write": 1},
    "replace": {"write": 1},
    "put": {"write": 1},
    "delete": {"delete": 1},
    "stage": {"write": 1},
    "commit": {"write": 1},
    "send": {"queue": 1},
    "queue_length": {"queue": 1},
    "prepare": {"list": 1, "queue": 1},
}


class SortedStorage(FakeStorage):
    """The same, whose listings cost what they find and not what there is."""

    _names: dict[str, list[str]] | None = None

    def __getattribute__(self, name: str) -> Any:
        if name in ("_set", "delete", "delete_many"):
            object.__setattr__(self, "_names", None)
        return super().__getattribute__(name)

    def list(self, container: str, prefix: str = "") -> Iterator[Blob]:
        if self._names is None:
            self._names = {}
            for found, name in sorted(self.blobs):
                self._names.setdefault(found, []).append(name)
        names = self._names.get(container, [])
        first = bisect.bisect_left(names, prefix)
        last = bisect.bisect_left(names, f"{prefix}\U0010ffff") if prefix else len(names)
        return iter([self._seen(container, name, self.blobs[container, name]) for name in names[first:last]])


class CountedStorage:
    """Storage whose requests are counted by kind, and whose bytes and listed blobs are."""

    def __init__(self, storage: FakeStorage, exists_before_lease: bool = True) -> None:
        self._storage, self._more = storage, int(exists_before_lease)
        self.requests = Counter[str]()
        self.bytes = self.listed = 0

    @property
    def address(self) -> str:
        """The address of the ledger."""
        return self._storage.address

    def reset(self) -> None:
        """Counts anew."""
        self.requests.clear()
        self.bytes = self.listed = 0

    def list(self, container: str, prefix: str = "") -> Iterator[Blob]:
        """A listing, a request a page."""
        found = list(self._storage.list(container, prefix))
        self.requests["list"] += max(1, -(-len(found) // PAGE))
        self.listed += len(found)
        return iter(found)

    def lease(self, name: str, take_over: bool = False) -> Any:
        """A lease: taken and given back."""
        self.requests["other"] += 2 + self._more
        return self._storage.lease(name, take_over)

    def delete_many(self, container: str, names: Any) -> None:
        """One request for 256 blobs; each deletion in it is billed as one, which is free."""
        found = [*names]
        self.requests["batch"] += -(-len(found) // 256)
        self._storage.delete_many(container, found)

    def __getattr__(self, name: str) -> Any:
        act, sent = getattr(self._storage, name), SENT[name]

        def counted(*given: Any, **more: Any) -> Any:
            self.requests.update(sent)
            done = act(*given, **more)
            texts = (*given, *(done if isinstance(done, tuple) else ()))
            self.bytes += sum(len(text) for text in texts if isinstance(text, bytes))
            return done

        return counted


def in_words(requests: Mapping[str, int]) -> str:
    """Counts in words: `12 (3 list, 9 read)`."""
    parts = ", ".join(f"{count} {kind}" for kind, count in sorted(requests.items()) if count)
    return f"{sum(requests.values())} ({parts})" if parts else "0"
