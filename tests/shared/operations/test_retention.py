"""What is kept of snapshots that ended well goes in time, and never what serves, is the newest, or is still open."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger.states import SnapshotState as S
from shared.operations import nightly, retention, sweep
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_release, a_snapshot, a_trained_snapshot
from tests.fakes import World

DAYS = {"keep_files_days": 100, "keep_evaluations_days": 200, "keep_logs_days": 60}
OLD, OPEN = (f"{DATASET}-2026090{day}141320-0123abcd" for day in (1, 2))
BLOBS = [
    ("frozen", "train.jsonl"), ("work", "plan/1.json"), ("quarantine", "rows.jsonl"),
    ("evaluations", "r1/evaluation.json"), ("evaluations", "r1.log.json"),
]  # fmt: skip


def _world(**settings: Any) -> World:
    world = World(settings=settings)
    sweep.sweep(world.services)
    for row in (a_trained_snapshot(id=OLD), a_trained_snapshot(), a_trained_snapshot(id=NEWER)):
        world.services.ledger.create(row)
    world.services.ledger.create(a_snapshot(S.VALIDATED, id=OPEN, poll_at=5e9))
    world.services.ledger.create(a_dataset(live=a_release(SNAPSHOT), newest_registered=NEWER))
    for snapshot in (OLD, SNAPSHOT, NEWER, OPEN):
        for container, name in BLOBS:
            world.storage.put(container, f"{snapshot}/{name}", b"x")
        world.storage.put("reports", f"{snapshot}.json", b"{}")
        world.storage.put("reports", f"{snapshot}.training-1.log", b"x")
    world.storage.put("work", "calls/202609211413-a.json", b"{}")
    sweep.sweep(world.services)
    return world


def _left(world: World, snapshot: str) -> set[str]:
    places = world.storage.blobs
    return {f"{box}:{name.removeprefix(snapshot)}" for box, name in places if snapshot in name and box != "ledger"}


def test_without_settings_everything_is_kept() -> None:
    world = _world()
    before = _left(world, OLD)
    world.clock.now += 4000 * 86_400
    assert retention.forget(world.services) == []
    assert _left(world, OLD) == before


@pytest.mark.parametrize(
    ("days", "gone"),
    [
        (59, set[str]()),
        (61, {"evaluations:/r1.log.json", "reports:.training-1.log"}),
        (101, {"frozen:/train.jsonl", "work:/plan/1.json", "quarantine:/rows.jsonl"}),
        (201, {"evaluations:/r1/evaluation.json"}),
    ],
)
def test_each_kind_goes_in_its_time_and_the_report_stays(days: float, gone: set[str]) -> None:
    world = _world(**DAYS)
    whole = _left(world, OLD)
    world.clock.now += (days - 2) * 86_400
    nightly.every_night(world.services)
    before = _left(world, OLD)
    world.clock.now += 2 * 86_400
    nightly.every_night(world.services)
    assert before - _left(world, OLD) == gone
    assert "reports:.json" in _left(world, OLD)
    for snapshot in (SNAPSHOT, NEWER, OPEN):
        assert _left(world, snapshot) == whole, snapshot


def test_files_of_what_may_still_be_retried_are_kept_for_it() -> None:
    world = World(settings={"keep_files_days": 5, "keep_days": 30})
    sweep.sweep(world.services)
    world.services.ledger.create(a_snapshot(S.TRAINING_FAILED))
    world.storage.put("frozen", f"{SNAPSHOT}/train.jsonl", b"x")
    sweep.sweep(world.services)
    world.clock.now += 20 * 86_400
    assert retention.forget(world.services) == []
    world.clock.now += 11 * 86_400
    assert retention.forget(world.services) == [SNAPSHOT]


def _names(world: World, container: str, prefix: str = "") -> list[str]:
    return [blob.name for blob in world.storage.list(container, prefix)]


def test_locks_that_nobody_held_for_long_are_deleted_and_made_anew_by_whoever_wants_them() -> None:
    world = World()
    sweep.sweep(world.services)
    for name in (SNAPSHOT, f"{SNAPSHOT}#3", DATASET):
        world.storage.put("locks", name, b"")
    world.clock.now += 8 * 86_400
    world.storage.put("locks", OPEN, b"")
    lease = world.services.storage.lease(DATASET)
    nightly.every_night(world.services)
    assert _names(world, "locks") == [DATASET, OPEN]
    lease.check()
    world.services.storage.lease(SNAPSHOT).release()


@pytest.mark.parametrize(("days", "left"), [(0, 3), (60, 1)])
def test_reports_of_nights_are_kept_as_long_as_logs(days: float, left: int) -> None:
    world = World(settings={"keep_logs_days": days})
    sweep.sweep(world.services)
    for _ in range(3):
        nightly.every_night(world.services)
        world.clock.now += 61 * 86_400
    world.clock.now -= 61 * 86_400
    nightly.every_night(world.services)
    assert len(_names(world, "reports", "idle/")) == left
