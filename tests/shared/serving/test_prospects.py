"""Who asks a dataset that has no release is told whether to come back, or what to do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.ledger.pause import DatasetPause
from shared.ledger.rows import Dataset, Snapshot
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from shared.serving.calls import ChatCall
from shared.serving.prospects import why_none
from shared.serving.protocol import ApiError
from shared.serving.service import ChatService
from shared.serving.turns import ChatTurn
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_snapshot
from tests.fakes import START, World

EMPTY = a_dataset(D.EMPTY, live=None)


def _world(row: Dataset, *snapshots: Snapshot) -> World:
    world = World()
    world.services.ledger.create(row)
    for one in snapshots:
        world.services.ledger.create(one)
    return world


def _refused(world: World) -> ApiError:
    async def ask() -> Any:
        call = ChatCall(DATASET, [ChatTurn(role="user", content="Why?")], {}, request_id="request-1")
        return await ChatService(world.services).answer(call)

    with pytest.raises(ApiError) as refused:
        asyncio.run(ask())
    return refused.value


def test_where_the_only_snapshot_was_refused_asking_again_does_not_help() -> None:
    refused = _refused(_world(EMPTY, a_snapshot(S.REJECTED)))
    assert (refused.status, refused.code, refused.retry_after) == (404, "no_release", None)
    assert str(refused) == (
        f"{DATASET} has no release, and none is on its way: {SNAPSHOT} is REJECTED. "
        f"`droptune show {DATASET}` says why, and what to do"
    )


@pytest.mark.parametrize(
    ("snapshots", "said"),
    [
        ([a_snapshot(S.REJECTED), a_snapshot(S.TRAINING, id=NEWER)], ""),
        ([a_snapshot(S.TRAINING), a_snapshot(S.DUPLICATE, id=NEWER)], ""),
        ([a_snapshot(S.REGISTERED)], ""),
        ([], ""),
        ([a_snapshot(S.CANCELED), a_snapshot(S.SUPERSEDED, id=NEWER)], f"{NEWER} is SUPERSEDED"),
        ([a_snapshot(S.TRAINED, attention=True)], f"{SNAPSHOT} waits for a person"),
        ([a_snapshot(S.CLEANED)], f"{SNAPSHOT} is CLEANED"),
    ],
    ids=["newer trains", "older trains", "to be released", "none yet", "all ended", "attention", "cleaned"],
)
def test_one_that_is_under_way_is_waited_for(snapshots: list[Snapshot], said: str) -> None:
    why = why_none(_world(EMPTY, *snapshots).services, EMPTY)
    assert said in why
    assert bool(why) == bool(said)


def test_of_a_paused_dataset_it_is_said_who_paused_it() -> None:
    row = EMPTY.but(pause=DatasetPause(by="ada", at=START))
    refused = _refused(_world(row, a_snapshot(S.REGISTERED)))
    assert (refused.status, refused.retry_after) == (404, None)
    assert "paused by ada: `droptune unpause" in str(refused)


def test_what_is_live_or_is_being_released_is_not_looked_into() -> None:
    for row in (a_dataset(), a_dataset(D.DEPLOYING, live=None)):
        assert why_none(_world(row, a_snapshot(S.REJECTED)).services, row) == ""
