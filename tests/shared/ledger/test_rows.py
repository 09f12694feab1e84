"""Rows: conditional writes, changes, listings, keys."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import Damaged, LedgerConflict, NotFound, RowUnwritable
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_release, a_request, a_snapshot
from tests.fakes import START
from tests.ledger_world import KEY, LedgerWorld


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld()


@pytest.mark.parametrize(
    "row",
    [a_snapshot(S.VALIDATING, options=None, overrides=("bad_rows",)), a_dataset(requested=a_request())],
    ids=["snapshot", "dataset"],
)
def test_a_row_is_read_as_it_was_written(world: LedgerWorld, row: Any) -> None:
    kept = world.ledger.create(row)
    assert world.ledger.read(row.key).row == kept.row
    assert kept.row == (row if row.key.startswith("snapshot/") else row.but(machine_time=kept.row.machine_time))
    assert world.ledger.read(row.key).etag == kept.etag


def test_a_row_is_created_once_and_its_creator_enqueues_its_look(world: LedgerWorld) -> None:
    world.ledger.create(a_snapshot(poll_at=START + 5))
    assert world.looks() == [(5, KEY)]
    with pytest.raises(LedgerConflict):
        world.ledger.create(a_snapshot(attempt=2))
    assert world.row().attempt == 1
    assert world.looks() == [(5, KEY)]


def test_a_write_loses_against_one_that_came_between(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    mine, theirs = world.ledger.read(KEY), world.ledger.read(KEY)
    world.ledger.write(theirs, theirs.row.but(attempt=2))
    with pytest.raises(LedgerConflict):
        world.ledger.write(mine, mine.row.but(attempt=3))
    assert world.row().attempt == 2


def test_a_change_is_made_again_on_the_row_that_came_between(world: LedgerWorld) -> None:
    world.keep(a_dataset())
    seen = []

    def edit(row: Any) -> Any:
        seen.append(row.last_asked_at)
        if len(seen) == 1:
            world.ledger.change(row.key, lambda r: r.but(last_asked_at=5.0))
        return row.but(cut_test=0.5)

    row = world.ledger.change(f"dataset/{DATASET}", edit).row
    assert seen == [0.0, 5.0]
    assert (row.last_asked_at, row.cut_test) == (5.0, 0.5)


def test_a_change_of_nothing_writes_nothing(world: LedgerWorld) -> None:
    world.keep(a_dataset())
    before = world.ledger.read(f"dataset/{DATASET}").etag
    assert world.ledger.change(f"dataset/{DATASET}", lambda row: row.but()).etag == before


def test_a_listing_tells_what_is_due_without_reading_rows(world: LedgerWorld) -> None:
    world.keep(a_snapshot(S.TRAINING, poll_at=START + 0.25))
    world.keep(a_snapshot(S.REGISTERED, id=NEWER, poll_at=None, attention=True))
    world.keep(a_snapshot(id="support-bot-2-20260921141320-0123abcd", dataset="support-bot-2"))
    world.keep(a_dataset())
    other, first, second = world.ledger.list("snapshot")
    assert (first.key, first.state, first.poll_at, first.attention) == (KEY, "TRAINING", START + 0.25, False)
    assert (second.key, second.state, second.poll_at, second.attention) == (
        f"snapshot/{NEWER}",
        "REGISTERED",
        None,
        True,
    )
    assert list(world.ledger.list("snapshot", DATASET)) == [first, second]
    assert list(world.ledger.list("snapshot", "support-bot-2")) == [other]
    assert [listed.key for listed in world.ledger.list("dataset")] == [f"dataset/{DATASET}"]


def test_a_dataset_is_made_when_first_asked_for_with_a_seed_of_its_own(world: LedgerWorld) -> None:
    first, again, other = (world.ledger.dataset(name).row for name in ("aa", "aa", "bb"))
    assert first == again
    assert (first.state, first.name) == (D.EMPTY, "aa")
    assert first.seed != other.seed
    assert not world.storage.messages


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
def test_what_is_no_key_is_unknown(world: LedgerWorld, key: str) -> None:
    with pytest.raises(NotFound):
        world.ledger.read(key)
    assert world.advance({}, key) == "unknown"
    assert not world.storage.blobs


def test_an_older_and_a_newer_app_read_each_others_rows(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    place, stored = world.stored()
    stored.data = stored.data.replace(b'"dataset"', b'"new_field":{"a":[1]},"dataset"')
    assert world.row().id == SNAPSHOT
    assert b"fault" not in world.storage.blobs[place].data


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"id": "x"', b'{"id": 7}', b"\xff\xfe", b'{"state": "FLYING"}'], ids=repr
)
def test_what_is_no_row_is_damaged_and_named(world: LedgerWorld, data: bytes) -> None:
    world.keep(a_snapshot())
    _, stored = world.stored()
    stored.data = data
    with pytest.raises(Damaged, match=f"ledger/snapshots/{DATASET}/{SNAPSHOT}.json cannot be read"):
        world.row()


def test_a_copy_of_a_row_under_another_name_is_damaged(world: LedgerWorld) -> None:
    world.keep(a_snapshot())
    place, stored = world.stored()
    world.storage.blobs[place[0], place[1].replace(SNAPSHOT, NEWER)] = stored
    with pytest.raises(Damaged, match=f"it is the row of snapshot/{SNAPSHOT}"):
        world.row(f"snapshot/{NEWER}")


@pytest.mark.parametrize("wrong", [{"note": "\ud800"}, {"uploaded_at": float("nan")}, {"attempt": "one"}], ids=str)
def test_what_could_not_be_read_again_is_not_written(world: LedgerWorld, wrong: dict[str, Any]) -> None:
    row = world.keep(a_snapshot())
    with pytest.raises(RowUnwritable, match=KEY):
        world.ledger.change(KEY, lambda r: r.but(**wrong))
    assert world.row() == row


# What a request asks for, and the states in which it is answered or cannot be done any more.
VOID = {
    "sleep": {D.EMPTY, D.ASLEEP, D.WAKING, D.DELETING},
    "wake": {D.EMPTY, D.LIVE, D.SLEEPING, D.DELETING},
    "roll_back": {D.EMPTY, D.ASLEEP, D.SLEEPING, D.WAKING, D.DELETING},
    "retry": {D.DELETING},
}


@pytest.mark.parametrize("state", D)
@pytest.mark.parametrize("what", VOID)
def test_a_request_is_void_in_a_state_that_answers_it(what: str, state: D) -> None:
    row = a_dataset(state, requested=a_request(what))
    assert (row.settled().requested is None) == (state in VOID[what])


@pytest.mark.parametrize(("before_rollout", "void"), [(D.LIVE, True), (D.ASLEEP, False), (D.EMPTY, False)])
def test_a_wake_outlives_a_rollout_beside_what_sleeps(before_rollout: D, void: bool) -> None:
    row = a_dataset(D.SHIFTING, requested=a_request("wake"), candidate=a_release(NEWER), before_rollout=before_rollout)
    assert (row.settled().requested is None) == void
