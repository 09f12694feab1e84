"""A claim is held by who trains the content, and by nobody else; cut off anywhere."""

from __future__ import annotations

import json

import pytest

from shared.ledger.states import SnapshotState as S
from tests.builders import NEWER, SNAPSHOT, a_trained_snapshot
from tests.fakes import World

CLAIM = "claims/x.json"


def _world(state: S) -> World:
    world = World()
    world.services.ledger.create(a_trained_snapshot(state, claim=CLAIM))
    world.storage.create("ledger", CLAIM, json.dumps({"snapshot": SNAPSHOT}).encode())
    return world


def _holder(world: World) -> str:
    return str(json.loads(world.storage.read("ledger", CLAIM)[0])["snapshot"])


def test_a_claim_whose_holder_ended_without_giving_it_back_is_taken_over() -> None:
    world = _world(S.SUPERSEDED)
    assert world.services.claims.take(CLAIM, NEWER) == ""
    assert _holder(world) == NEWER


def test_a_claim_of_one_that_trains_stays() -> None:
    world = _world(S.TRAINING)
    assert world.services.claims.take(CLAIM, NEWER) == SNAPSHOT
    assert _holder(world) == SNAPSHOT


def test_giving_back_takes_nothing_from_the_next_holder() -> None:
    world = _world(S.TRAINING_FAILED)
    row = world.services.ledger.read(f"snapshot/{SNAPSHOT}").row
    world.services.claims.take(CLAIM, NEWER)
    world.services.claims.release(row)
    assert _holder(world) == NEWER


def test_a_duplicate_that_is_trained_all_the_same_needs_no_claim() -> None:
    world = _world(S.TRAINING)
    row = a_trained_snapshot(S.TRAINING_FAILED, id=NEWER, claim=CLAIM, overrides=("duplicate",))
    assert world.services.claims.take_again(row) == ""
    assert _holder(world) == SNAPSHOT


DAY = 86_400.0


def _states(world: World) -> dict[str, str]:
    return {row.name: row.state for row in world.services.ledger.list("snapshot")}


@pytest.mark.parametrize(
    ("state", "goes"), [(S.SUPERSEDED, True), (S.TRAINING_FAILED, True), (S.REGISTERED, False), (S.TRAINING, False)]
)
def test_old_claims_of_what_trains_nothing_are_deleted(state: S, goes: bool) -> None:
    """Also those of an older version, which only their content tells the holder of."""
    world = _world(state)
    assert world.services.claims.take("claims/y.json", SNAPSHOT) == ""
    world.clock.now += 40 * DAY
    for _ in range(2):
        world.services.claims.forget(world.clock() - 30 * DAY, _states(world))
        world.clock.now += 40 * DAY
    assert [blob.name for blob in world.storage.list("ledger", "claims/")] == ([] if goes else [CLAIM, "claims/y.json"])


def test_a_claim_that_was_taken_again_of_late_stays_whatever_its_holder_was_when_it_was_looked_at() -> None:
    world = _world(S.TRAINING_FAILED)
    world.clock.now += 40 * DAY
    before = _states(world)
    world.services.claims.take(CLAIM, SNAPSHOT)  # a retry
    assert world.services.claims.forget(world.clock() - 30 * DAY, before) == []
    assert _holder(world) == SNAPSHOT


def test_a_claim_whose_holder_has_no_row_any_more_is_deleted() -> None:
    world = _world(S.TRAINING)
    world.services.claims.take("claims/y.json", NEWER)
    world.clock.now += 40 * DAY
    assert world.services.claims.forget(world.clock() - 30 * DAY, _states(world)) == [NEWER]
