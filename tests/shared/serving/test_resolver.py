"""Who answers a call while two releases have traffic that cannot take the same."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from shared.ledger.states import DatasetState as D
from shared.serving.calls import CallProgress, ChatCall, ResolvedCall
from shared.serving.catalog import ModelCatalog
from shared.serving.protocol import ApiError
from shared.serving.resolver import CallResolver
from shared.serving.turns import ChatTurn
from tests.builders import DATASET, DEPLOYMENT, ENDPOINT, NEWER, SNAPSHOT, URI, a_dataset, a_release, a_trained_snapshot
from tests.fakes import World

CANDIDATE = a_release(NEWER).deployment
ROLLING = a_dataset(D.SHIFTING, scoring_uri=URI, candidate=a_release(NEWER), traffic={DEPLOYMENT: 90, CANDIDATE: 10})
USER = [ChatTurn(role="user", content="x" * 200)]
SYSTEM = [ChatTurn(role="system", content="Be kind."), ChatTurn(role="user", content="Why?")]


def _world(live: dict[str, Any], candidate: dict[str, Any], row: Any = ROLLING) -> World:
    """A rollout of two releases whose base models differ in `name` or `context`."""
    world = World(settings={"system_turns": "allow"})
    world.services.ledger.create(row)
    world.workspace.endpoints.write(ENDPOINT, {}, {})
    for snapshot, traits in ((SNAPSHOT, live), (NEWER, candidate)):
        trained = a_trained_snapshot(id=snapshot, context_tokens=traits.get("context", 0))
        assert trained.base_model is not None
        model = trained.base_model.but(name=traits.get("name", "Phi-4"))
        world.services.ledger.create(trained.but(base_model=model))
    return world


def _resolved(world: World, turns: list[ChatTurn], model: str = DATASET, **parameters: Any) -> ResolvedCall:
    resolver = CallResolver(world.services, ModelCatalog(world.services))
    progress = CallProgress(ChatCall(model, turns, parameters), time.monotonic() + 10)
    return asyncio.run(resolver.resolve(progress))


NO_SYSTEM = {"name": "Phi-3-mini-4k-instruct"}


def test_of_two_releases_that_can_take_a_call_one_is_drawn_by_its_traffic_and_gets_what_fits_it() -> None:
    world = _world({"context": 200}, {"context": 100})
    found = [_resolved(world, USER) for _ in range(200)]
    fits = {DEPLOYMENT: 200 - 54, CANDIDATE: 100 - 54}
    assert {(one.target.deployment, one.prepared.longest) for one in found} == set(fits.items())
    shares = world.services.ledger.read(f"dataset/{DATASET}").row.traffic
    drawn = sum(one.target.deployment == CANDIDATE for one in found)
    assert abs(drawn / 200 - shares[CANDIDATE] / 100) < 0.15


@pytest.mark.parametrize(
    ("live", "candidate", "deployment"), [({}, NO_SYSTEM, DEPLOYMENT), (NO_SYSTEM, {}, CANDIDATE)], ids=["live", "new"]
)
def test_a_system_turn_goes_to_the_release_whose_template_has_one(
    live: dict[str, Any], candidate: dict[str, Any], deployment: str
) -> None:
    assert _resolved(_world(live, candidate), SYSTEM).target.deployment == deployment


def test_a_conversation_too_long_for_the_candidate_goes_to_the_live_release() -> None:
    found = _resolved(_world({"context": 1000}, {"context": 60}), USER, max_new_tokens=50)
    assert (found.target.deployment, found.target.release_of("")) == (DEPLOYMENT, SNAPSHOT)


def test_a_call_that_none_can_take_is_refused() -> None:
    with pytest.raises(ApiError, match="maximum context length is 50") as refused:
        _resolved(_world({"context": 50}, {"context": 60}), USER, max_new_tokens=50)
    assert (refused.value.status, refused.value.code) == (400, "context_length_exceeded")


def test_a_pinned_call_and_a_candidate_without_traffic_are_looked_at_alone() -> None:
    world = _world({}, NO_SYSTEM)
    with pytest.raises(ApiError, match="drops system turns"):
        _resolved(world, SYSTEM, f"{DATASET}@{NEWER}")
    waiting = _world({}, NO_SYSTEM, ROLLING.but(state=D.EVALUATING, traffic={DEPLOYMENT: 100}))
    assert _resolved(waiting, SYSTEM).target.deployment == ""
