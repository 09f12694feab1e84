"""A claim is held by who trains the content, and by nobody else; cut off anywhere."""

from __future__ import annotations

import json

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
