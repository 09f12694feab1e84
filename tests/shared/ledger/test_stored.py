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

from shared.ledger import budget, counts, listed, store
from shared.ledger.release import GateMetrics, Judgement, LikenessGap, ReleaseOutcome
from shared.ledger.rows import Dataset, Snapshot
from shared.ledger.states import DatasetState, ReleaseState, SnapshotState
from shared.ledger.states import SnapshotState as S
from shared.operations import orphans
from shared.snapshots import intake, refusals
from tests.builders import NEWER, a_dataset, a_snapshot
from tests.fakes import World

STORED = Path(__file__).parent / "stored"
# This version is the first one that writes them.
NEW_STATES = {S.CANCELING, S.CANCELED}
# Where a request came from was told by who asked.
ORIGINS = {"timer": "timer", "a question": "call", "the sweep: its endpoint is gone": "sweep"}


def _stored(name: str) -> list[Any]:
    return [
        pytest.param(item["blob"], item["content"], id=f"{number}-{item['content'].get('state', '')}")
        for number, item in enumerate(json.loads((STORED / f"{name}.json").read_text("utf-8")))
    ]


def key_of(blob: str) -> str:
    """The key of the row that a blob holds."""
    kind, _, name = blob.removesuffix(".json").partition("/")
    return f"{kind.removesuffix('s')}/{name.rsplit('/', 1)[-1]}"


def read(key: str, content: Any) -> Any:
    """The row of this content."""
    return store.decode(key, json.dumps(content).encode())


@pytest.mark.parametrize(("blob", "content"), [*_stored("snapshots"), *_stored("datasets")])
def test_a_row_of_the_version_before_is_read_and_written_back_without_a_loss(blob: str, content: Any) -> None:
    row = read(key_of(blob), content)
    assert listed.blob_name(row.key) == blob
    for release in ("live", "candidate", "previous"):
        if content.get(release):  # where its deployment was made, which nothing has read for long
            content[release].pop("operation", None)
    if request := content.get("requested"):
        request["origin"] = ORIGINS.get(request["by"], "person")
    assert json.loads(msgspec.json.encode(row)) == content


@pytest.mark.parametrize(("blob", "content"), _stored("others"))
def test_what_lies_beside_the_rows_is_read(blob: str, content: Any) -> None:
    world = World()
    container = counts.CONTAINER if blob.startswith("counts/") else store.CONTAINER
    world.storage.create(container, blob, json.dumps(content).encode())
    services = world.services
    if blob == budget.BLOB:
        assert json.loads(msgspec.json.encode(services.budget.reservations())) == content
    elif blob == orphans.BLOB:
        assert json.loads(msgspec.json.encode(orphans.on_record(services))) == content
    elif blob.startswith("claims/"):
        services.ledger.create(a_snapshot(S.TRAINING, id=content["snapshot"]))
        assert services.claims.take(blob, NEWER) == content["snapshot"]
    elif blob.startswith("counts/"):
        # Nobody compares them any more: a stage that was under way waits for the calls of this version.
        assert services.counts.forget(world.clock() + 86_400) == 1
    elif blob.startswith("_refused/"):
        (refusal,) = refusals.newest(services, 9)
        assert (refusal.path, refusal.reason, refusal.at) == (content["path"], content["reason"], content["at"])
    else:
        assert intake.accept_since(services) == content["first_start"]


def test_every_state_and_every_field_was_recorded() -> None:
    snapshots = [item.values[1] for item in _stored("snapshots")]
    datasets = [item.values[1] for item in _stored("datasets")]
    assert {row.get("state", "RECEIVED") for row in snapshots} == set(SnapshotState) - NEW_STATES
    assert {row.get("state", "EMPTY") for row in datasets} == set(DatasetState) - {DatasetState.DELETING}
    told = {field for row in (*snapshots, *datasets) for field in row}
    known = {field.encode_name for kind in (Snapshot, Dataset) for field in msgspec.structs.fields(kind)}
    assert told <= known


def test_attributes_with_plain_names_are_stored_under_the_names_they_had() -> None:
    numbers = GateMetrics(asked=1)
    gap = LikenessGap(mean=1, low=0, high=2, prompts=8)
    judgement = Judgement(passed=True, against_live="not worse", candidate=numbers, gap=gap)
    outcome = ReleaseOutcome(state=ReleaseState.WITHHELD, at=1, gate=judgement)
    row = a_dataset(before_rollout=DatasetState.ASLEEP, outcomes={NEWER: outcome})
    stored = json.loads(msgspec.json.encode(row))
    assert (stored["resting"], stored["outcomes"][NEWER]["part"]) == ("ASLEEP", "WITHHELD")
    assert stored["outcomes"][NEWER]["gate"]["lead"]["prompts"] == 8
    assert read(row.key, stored) == row
