"""What is meant by a name, and what is said of one that nothing has."""

from __future__ import annotations

import pytest

from shared.errors import NotFound
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from shared.operations import actions, names
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_snapshot
from tests.fakes import World


@pytest.fixture
def world() -> World:
    made = World()
    for snapshot in (SNAPSHOT, NEWER, f"{DATASET}-2-20260921141320-0123abcd"):
        dataset = snapshot.rsplit("-", 2)[0]
        made.services.ledger.create(a_snapshot(S.REGISTERED, id=snapshot, dataset=dataset, poll_at=None))
    made.services.ledger.create(a_dataset(D.LIVE))
    return made


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (SNAPSHOT, SNAPSHOT),
        (DATASET, NEWER),
        (f"{DATASET}-2", f"{DATASET}-2-20260921141320-0123abcd"),
        (f"{DATASET}-20260922", NEWER),
        (SNAPSHOT[:-4], SNAPSHOT),
        ("nobody-20260101000000-01234567", "nobody-20260101000000-01234567"),
    ],
)
def test_a_snapshot_is_meant_by_its_id_its_beginning_or_its_dataset(world: World, name: str, meant: str) -> None:
    assert names.snapshot_id(world.services, name) == meant


def test_a_beginning_of_several_names_them(world: World) -> None:
    with pytest.raises(names.UnclearName, match=f"2 snapshots: {SNAPSHOT}, {NEWER}"):
        names.snapshot_id(world.services, f"{DATASET}-2026")


@pytest.mark.parametrize("name", ["nobody", "../x", "", f"{DATASET}-2027", "support-bot-20260921141320-zzz"])
def test_a_name_that_fits_none_is_not_found(world: World, name: str) -> None:
    with pytest.raises(NotFound):
        names.snapshot_id(world.services, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("suport-bot", f"did you mean {DATASET}"),
        ("nobody", "GET /api/snapshots lists them"),
        (f"{DATASET}-20260921141320-0123abce", f"did you mean {SNAPSHOT}"),
        (f"{DATASET}-20270101000000-ffffffff", "did you mean"),
        ("<script>", "of that id; GET"),
    ],
)
def test_an_unknown_snapshot_is_answered_with_the_nearest(world: World, name: str, said: str) -> None:
    assert said in names.unknown_snapshot(world.services, name)


def test_an_unknown_dataset_is_answered_with_the_nearest_or_that_it_was_deleted(world: World) -> None:
    assert f"did you mean {DATASET}?" in names.unknown_dataset(world.services, "suport-bot")
    said = "there is no dataset of that name; GET /api/datasets lists them"
    assert names.unknown_dataset(world.services, "../x") == said
    actions.delete(world.services, DATASET, "ada")
    world.run()
    assert names.unknown_dataset(world.services, DATASET).startswith(f"{DATASET} was deleted by ada at 2026-")
