"""A snapshot's state is the same wherever it is told: in the row, a listing, a list, the notices and on the page."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from shared.ledger import listed, notices
from shared.ledger.cards import card_of
from shared.ledger.listed import ListedDataset
from shared.ledger.parts import parts
from shared.ledger.rows import Dataset, HistoryEntry
from shared.ledger.states import RESTING, ROLLOUT
from shared.ledger.states import DatasetState as D
from shared.operations import pages, status
from shared.ui import dataset as page
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_release, a_snapshot, a_trained_snapshot
from tests.fakes import START, World

CASES = [
    *((state, None) for state in D if state not in {*ROLLOUT, D.EMPTY}),
    *((state, before) for state, before in itertools.product(D, D) if state in ROLLOUT and before in RESTING),
]


def _row(state: D, before: D | None) -> Dataset:
    changes: dict[str, Any] = {"history": (HistoryEntry(state=state, at=START, reason=f"it is {state}"),)}
    if before is not None:
        changes |= {"candidate": a_release(NEWER), "before_rollout": before}
    if before == D.EMPTY:
        changes["live"] = None
    return a_dataset(state, **changes)


@pytest.mark.parametrize(("state", "before"), CASES)
def test_every_place_tells_the_same_state_and_reason(state: D, before: D | None) -> None:
    row = _row(state, before)
    shown: Any = listed.listed(row.key, listed.metadata(row))
    assert isinstance(shown, ListedDataset)
    for name, part in parts(row).items():
        snapshot = a_trained_snapshot(id=name)
        assert shown.part_of(name) == (part.state, part.reason)
        assert pages.with_part(card_of(snapshot), shown).state == part.state
        assert status.visible_state(snapshot, row) == (part.state, part.reason)
    changes = notices.changes(a_dataset(D.EMPTY), row)
    told = {found.snapshot: found.state for found in changes if isinstance(found, notices.SnapshotChanged)}
    assert told == {name: part.state for name, part in parts(row).items() if state != D.DELETING}


def test_what_sleeps_is_shown_asleep_while_a_candidate_is_deployed_over_it() -> None:
    world = World()
    world.services.ledger.create(_row(D.DEPLOYING, D.ASLEEP))
    for one in (a_trained_snapshot(), a_trained_snapshot(id=NEWER)):
        world.services.ledger.create(one)
    on_page = {one["snapshot"]: one["state"] for one in page.view(world.services, DATASET).values["releases"]}
    in_list = {one["id"]: one["state"] for one in pages.snapshots(world.services)["snapshots"]}
    assert on_page == in_list == {SNAPSHOT: "ASLEEP", NEWER: "DEPLOYING"}


def test_the_card_of_a_dataset_is_decoded_once_a_listing() -> None:
    row = a_dataset()
    shown: Any = listed.listed(row.key, listed.metadata(row))
    assert shown.card is shown.card
    assert shown == listed.listed(row.key, listed.metadata(row))


def test_a_snapshot_without_a_part_tells_its_own_state() -> None:
    row = a_snapshot()
    shown: Any = listed.listed(f"dataset/{DATASET}", listed.metadata(a_dataset()))
    assert shown.part_of(NEWER) == ("", "")
    assert pages.with_part(card_of(row), shown).state == row.state
