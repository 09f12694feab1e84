"""Keeps every resource on disk, so that the process can be stopped and started without losing one.

Resources are msgspec structs in typed tables; a table is a dict in memory with write-through to one SQLite
file. Keys ignore case, as Azure's names do. Writing the same value twice changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec


class ResourceTable[T: msgspec.Struct]:
    """All resources of one kind, in order of creation."""

    def __init__(self, database: sqlite3.Connection, name: str, kind: type[T]) -> None:
        self._database = database
        self._name = name
        self._rows: dict[str, T] = {}
        rows = database.execute("SELECT key, body FROM resources WHERE kind = ? ORDER BY rowid", (name,))
        decoder = msgspec.json.Decoder(kind)
        for key, body in rows:
            self._rows[key] = decoder.decode(body)

    def get(self, key: str) -> T | None:
        """The resource of that name, if there is one."""
        return self._rows.get(key.lower())

    def put(self, key: str, value: T) -> None:
        """Keep the resource as it is now."""
        self._rows[key.lower()] = value
        self._database.execute(
            "INSERT INTO resources (kind, key, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
            (self._name, key.lower(), msgspec.json.encode(value)),
        )

    def remove(self, key: str) -> None:
        """Forget the resource; nothing happens when there is none."""
        self._rows.pop(key.lower(), None)
        self._database.execute("DELETE FROM resources WHERE kind = ? AND key = ?", (self._name, key.lower()))

    def values(self) -> list[T]:
        """All resources, oldest first."""
        return list(self._rows.values())

    def __iter__(self) -> Iterator[T]:
        return iter(self.values())


class Store:
    """One SQLite file with a table for each kind of resource."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        # A killed process loses nothing that was written; only a crash of the machine could.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS resources (kind TEXT, key TEXT, body BLOB, UNIQUE (kind, key))"
        )

    def table[T: msgspec.Struct](self, name: str, kind: type[T]) -> ResourceTable[T]:
        """The resources of one kind, as last kept."""
        return ResourceTable(self._database, name, kind)

    def close(self) -> None:
        """Write everything out and let go of the file."""
        self._database.close()
