"""What an earlier version of the app stored is read, and written back without a loss.

`stored/` holds rows that this version's predecessor wrote, one of each kind of content: every state, every field.
They are never edited: a field that is renamed keeps its stored name, or is migrated when it is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.ledger import store
from shared.ledger.rows import Dataset, Snapshot
from shared.ledger.states import DatasetState, SnapshotState

STORED = Path(__file__).parent / "stored"
# What is migrated when it is read, and therefore written besides.
ADDED: dict[str, Any] = {}


def _stored(name: str) -> list[Any]:
    return [
        pytest.param(item["blob"], item["content"], id=f"{number}-{item['content'].get('state', '')}")
        for number, item in enumerate(json.loads((STORED / f"{name}.json").read_text("utf-8")))
    ]


def _key(blob: str) -> str:
    kind, _, name = blob.removesuffix(".json").partition("/")
    return f"{kind.removesuffix('s')}/{name.rsplit('/', 1)[-1]}"


@pytest.mark.parametrize(("blob", "content"), [*_stored("snapshots"), *_stored("datasets")])
def test_a_row_of_the_version_before_is_read_and_written_back_without_a_loss(blob: str, content: Any) -> None:
    row = store.decode(_key(blob), json.dumps(content).encode())
    assert store.blob_name(row.key) == blob
    assert json.loads(msgspec.json.encode(row)) == content


def test_every_state_and_every_field_was_recorded() -> None:
    snapshots = [item.values[1] for item in _stored("snapshots")]
    datasets = [item.values[1] for item in _stored("datasets")]
    assert {row.get("state", "RECEIVED") for row in snapshots} == set(SnapshotState)
    assert {row.get("state", "EMPTY") for row in datasets} == set(DatasetState)
    told = {field for row in (*snapshots, *datasets) for field in row}
    known = {field.encode_name for kind in (Snapshot, Dataset) for field in msgspec.structs.fields(kind)}
    assert told <= known
