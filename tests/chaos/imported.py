"""Imports in a history: the Hub that they come from, and what must hold of each, whatever happened before.

An import that ends well has made one snapshot of all the rows that its dataset has on the Hub; none goes on for ever;
and its end is told once. Truths come from the Hub and from what is in storage, not from the import's own counts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from shared.azure.hub import HubDataset, HubRefused
from shared.ledger import imports
from shared.ledger.imports import ImportRecord, ImportState
from shared.snapshots.paths import MARKER
from tests.chaos.contents import rows_of
from tests.fakes import dialogues

if TYPE_CHECKING:
    from shared.ledger.rows import Snapshot
    from tests.chaos.stage import Stage
    from tests.chaos.world import ChaosWorld

# By name: the parts of the split `train`. Two are as in files that are dropped; the last one is not there.
_PARTS = {
    "owner/a": (dialogues(20, "a"),),
    "owner/e": (dialogues(12, "e"), dialogues(9, "f")),
    "owner/few": (dialogues(4, "d"),),
}
SOURCES = (*_PARTS, "owner/none")
_RECORD = msgspec.json.Decoder(ImportRecord)
# Where an import may be after each state.
_NEXT = {
    ImportState.ASKED: {*ImportState},
    ImportState.IMPORTING: {*ImportState} - {ImportState.ASKED},
    ImportState.IMPORTED: {ImportState.IMPORTED},
    ImportState.IMPORT_FAILED: {ImportState.IMPORT_FAILED},
}


class ChaosHub:
    """The Hub: each of its answers is a call over the wire."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def commit(self, dataset: HubDataset) -> str:
        def act() -> str:
            if dataset.name not in _PARTS:
                raise HubRefused(f"on the Hub is no dataset {dataset.name}")
            return "main-commit"

        found: str = self.stage.call("hub", "commit", (dataset.name,), act)
        return found

    def splits(self, dataset: HubDataset) -> dict[str, int]:
        def act() -> dict[str, int]:
            return {"train": len(_PARTS[dataset.name])}

        found: dict[str, int] = self.stage.call("hub", "splits", (dataset.name,), act)
        return found

    def rows(self, dataset: HubDataset, split: str, part: int, parts: int) -> Iterator[Any]:
        found = self.stage.call("hub", "rows", (dataset.name, part), lambda: _PARTS[dataset.name])
        chosen = found if parts == 1 else found[part : part + 1]
        yield from (json.loads(line) for one in chosen for line in one.splitlines())


class Imports:
    """What is known of the imports of one history. `touched`: files that somebody overwrote or deleted."""

    def __init__(self, world: ChaosWorld) -> None:
        self.world = world
        self.touched: set[str] = set()
        self.made: dict[tuple[str, float], set[str]] = defaultdict(set)

    def written(self, name: str, old: bytes | None, new: bytes) -> None:
        """What is on record of an import is written."""
        before, after = _RECORD.decode(old) if old else None, _RECORD.decode(new)
        anew = before is None or after.asked_at != before.asked_at
        if before is not None and not anew:
            self._require(after.state in _NEXT[before.state], f"{name}: {before.state} -> {after.state}")
            self._require(after.done >= before.done, f"{name}: {before.done} parts were written, and then {after.done}")
        if before is not None and anew:
            self._require(before.has_ended or self._was_deleted(before), f"{name} goes on and is asked for anew")
        if self.world.told and after.has_ended and (anew or before is None or not before.has_ended):
            self.world.topic.occasions[f"import/{after.id}", str(after.state)] += 1

    def arrived(self, row: Snapshot) -> None:
        """A snapshot has a row: that of an import has all its rows and is the only one, unless somebody had a hand
        in its files."""
        record = self._record_of(row.source)
        if record is None:
            return
        made = self.made[record.id, record.asked_at]
        made.add(row.id)
        if any(path.startswith(f"{record.folder}/") for path in self.touched):
            return
        self._require(len(made) == 1, f"import {record.id} has made {sorted(made)}")
        wanted = rows_of(b"".join(_PARTS.get(record.request.source, ())))
        found = frozenset[str]().union(*(self.world.promises.dropped[file.etag] for file in row.files))
        self._require(found == wanted, f"{row.id} has {len(found)} rows of an import of {len(wanted)}")

    def broken(self) -> Iterator[str]:
        """What is wrong with imports when everything has settled."""
        rows = {row.id for row in self.world.rows("snapshot")}
        for record in self._records():
            if not record.has_ended:
                yield f"import {record.id} is {record.state} and nothing moves it"
            if record.state == ImportState.IMPORTED and record.snapshot not in rows and not self._was_deleted(record):
                yield f"import {record.id} is IMPORTED and {record.snapshot} has no row"

    def _records(self) -> Iterator[ImportRecord]:
        for (container, name), stored in sorted(self.world.storage.blobs.items()):
            if container == imports.CONTAINER and name.startswith(imports.FOLDER):
                yield _RECORD.decode(stored.data)

    def _record_of(self, source: str) -> ImportRecord | None:
        folder = source.removesuffix(f"/{MARKER}")
        return next((record for record in self._records() if record.folder == folder), None)

    def _was_deleted(self, record: ImportRecord) -> bool:
        return self.world.bare.ledger.deletions.was_deleted_since(record.request.dataset, record.asked_at)

    def _require(self, holds: bool, promise: str) -> None:
        self.world.promises.require(holds, promise)


class NeverHeld:
    """The lock that keeps a process at one import at a time: in a history each worker is a process of its own."""

    def acquire(self, blocking: bool = True) -> bool:
        return True

    def release(self) -> None:
        """Nobody waits for it."""
