"""Who answers to a name, and what is known of a release."""

from __future__ import annotations

import asyncio

import pytest

from shared.ledger.rows import Dataset
from shared.ledger.states import DatasetState as D
from shared.serving.catalog import ChatTarget, ModelCatalog
from shared.serving.protocol import ApiError
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_release, a_trained_snapshot
from tests.fakes import World

OLDER = SNAPSHOT.replace("2026", "2025")


def _found(row: Dataset, name: str) -> ChatTarget:
    world = World()
    world.services.ledger.create(row)
    return asyncio.run(ModelCatalog(world.services).find(name))


ROLLING = a_dataset(
    D.SHIFTING,
    candidate=a_release(NEWER),
    previous=a_release(OLDER),
    traffic={a_release().deployment: 90, a_release(NEWER).deployment: 10},
)


def test_a_name_means_whoever_has_the_traffic() -> None:
    target = _found(ROLLING, DATASET)
    assert (target.pinned, target.deployment, target.release.snapshot) == (None, "", SNAPSHOT)
    assert target.release_of(a_release(NEWER).deployment) == NEWER
    assert target.release_of("somebody-else") == SNAPSHOT


@pytest.mark.parametrize("snapshot", [SNAPSHOT, NEWER, OLDER])
def test_a_release_can_be_pinned_while_it_is_deployed(snapshot: str) -> None:
    target = _found(ROLLING, f"{DATASET}@{snapshot}")
    assert (target.release.snapshot, target.deployment) == (snapshot, a_release(snapshot).deployment)


@pytest.mark.parametrize(
    ("row", "snapshot"),
    [
        (a_dataset(), NEWER),
        (a_dataset(), ""),
        (a_dataset(previous=a_release(OLDER, deployment="")), OLDER),
        (ROLLING.but(traffic={a_release().deployment: 100}), NEWER),
    ],
    ids=["unknown", "empty", "removed", "a candidate that nobody may ask yet"],
)
def test_a_release_that_is_not_deployed_is_404_with_what_is(row: Dataset, snapshot: str) -> None:
    with pytest.raises(ApiError, match=f"ask {DATASET}@{SNAPSHOT}") as refused:
        _found(row, f"{DATASET}@{snapshot}")
    assert (refused.value.status, refused.value.param) == (404, "model")


@pytest.mark.parametrize(
    ("base_model", "told", "setting", "traits"),
    [
        ("Phi-4", 16_384, 0, (True, 16_384)),
        ("Phi-3-mini-4k-instruct", 4096, 0, (False, 4096)),
        ("Phi-4", 0, 0, (True, 0)),
        ("Phi-4", 16_384, 2048, (True, 2048)),
    ],
)
def test_a_releases_traits_is_that_of_its_base_model(
    base_model: str, told: int, setting: int, traits: tuple[bool, int]
) -> None:
    world = World(settings={"validation_context_tokens": setting})
    row = a_trained_snapshot(context_tokens=told)
    assert row.base_model is not None
    world.services.ledger.create(row.but(base_model=row.base_model.but(name=base_model)))
    found = asyncio.run(ModelCatalog(world.services).traits(a_release()))
    assert ("system" in found.roles, found.context) == traits


def test_a_release_whose_snapshot_is_gone_counts_as_one_of_an_ordinary_model() -> None:
    found = asyncio.run(ModelCatalog(World().services).traits(a_release()))
    assert ("system" in found.roles, found.context) == (True, 0)
