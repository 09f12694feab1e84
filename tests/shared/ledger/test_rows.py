"""Rows: conditional writes, changes, listings, keys."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import (
    LedgerConflict,
    NotFound,
)
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_request, a_snapshot
from tests.fakes import START
from tests.ledger_desk import KEY, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    "row",
    [a_snapshot(S.VALIDATING, options=None, overrides=("bad_rows",)), a_dataset(requested=a_request())],
    ids=["snapshot", "dataset"],
)
def test_a_row_is_read_as_it_was_written(desk: Desk, row: Any) -> None:
    kept = desk.ledger.create(row)
    assert desk.ledger.read(row.key).row == kept.row == row
    assert desk.ledger.read(row.key).etag == kept.etag


def test_a_row_is_created_once_and_its_creator_enqueues_its_look(desk: Desk) -> None:
    desk.ledger.create(a_snapshot(poll_at=START + 5))
    assert desk.looks() == [(5, KEY)]
    with pytest.raises(LedgerConflict):
        desk.ledger.create(a_snapshot(attempt=2))
    assert desk.row().attempt == 1
    assert desk.looks() == [(5, KEY)]


def test_a_write_loses_against_one_that_came_between(desk: Desk) -> None:
    desk.keep(a_snapshot())
    mine, theirs = desk.ledger.read(KEY), desk.ledger.read(KEY)
    desk.ledger.write(theirs, theirs.row.but(attempt=2))
    with pytest.raises(LedgerConflict):
        desk.ledger.write(mine, mine.row.but(attempt=3))
    assert desk.row().attempt == 2


def test_a_change_is_made_again_on_the_row_that_came_between(desk: Desk) -> None:
    desk.keep(a_dataset())
    seen = []

    def edit(row: Any) -> Any:
        seen.append(row.last_asked_at)
        if len(seen) == 1:
            desk.ledger.change(row.key, lambda r: r.but(last_asked_at=5.0))
        return row.but(cut_test=0.5)

    row = desk.ledger.change(f"dataset/{DATASET}", edit).row
    assert seen == [0.0, 5.0]
    assert (row.last_asked_at, row.cut_test) == (5.0, 0.5)


def test_a_change_of_nothing_writes_nothing(desk: Desk) -> None:
    desk.keep(a_dataset())
    before = desk.ledger.read(f"dataset/{DATASET}").etag
    assert desk.ledger.change(f"dataset/{DATASET}", lambda row: row.but()).etag == before


def test_a_listing_tells_what_is_due_without_reading_rows(desk: Desk) -> None:
    desk.keep(a_snapshot(S.TRAINING, poll_at=START + 0.25))
    desk.keep(a_snapshot(S.REGISTERED, id=NEWER, poll_at=None, attention=True))
    desk.keep(a_snapshot(id="support-bot-2-20260921141320-0123abcd", dataset="support-bot-2"))
    desk.keep(a_dataset())
    other, first, second = desk.ledger.list("snapshot")
    assert (first.key, first.state, first.poll_at, first.attention) == (KEY, "TRAINING", START + 0.25, False)
    assert (second.key, second.state, second.poll_at, second.attention) == (
        f"snapshot/{NEWER}",
        "REGISTERED",
        None,
        True,
    )
    assert list(desk.ledger.list("snapshot", DATASET)) == [first, second]
    assert list(desk.ledger.list("snapshot", "support-bot-2")) == [other]
    assert [listed.key for listed in desk.ledger.list("dataset")] == [f"dataset/{DATASET}"]


def test_a_dataset_is_made_when_first_asked_for_with_a_seed_of_its_own(desk: Desk) -> None:
    first, again, other = (desk.ledger.dataset(name).row for name in ("aa", "aa", "bb"))
    assert first == again
    assert (first.state, first.name) == (D.EMPTY, "aa")
    assert first.seed != other.seed
    assert not desk.storage.messages


@pytest.mark.parametrize(
    "key",
    [
        "",
        "snapshot/",
        "dataset/",
        "snapshot/x",
        "dataset/X",
        "dataset/../a",
        "row/aa",
        "aa",
        "dataset/aa/bb",
        "x" * 999,
    ],
)
def test_what_is_no_key_is_unknown(desk: Desk, key: str) -> None:
    with pytest.raises(NotFound):
        desk.ledger.read(key)
    assert desk.advance({}, key) == "unknown"
    assert not desk.storage.blobs


def test_an_older_and_a_newer_app_read_each_others_rows(desk: Desk) -> None:
    desk.keep(a_snapshot())
    ((place, stored),) = desk.storage.blobs.items()
    stored.data = stored.data.replace(b'"dataset"', b'"new_field":{"a":[1]},"dataset"')
    assert desk.row().id == SNAPSHOT
    assert b"fault" not in desk.storage.blobs[place].data
