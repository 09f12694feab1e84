"""Validations of one process share a bound on memory: further ones wait, and nothing is lost by waiting."""

from __future__ import annotations

import pytest

from shared.operations import steps
from shared.snapshots.memory import OF_THIS_PROCESS, MemoryBound, NoRoom, footprint
from tests.fakes import World, dialogues

MB = 2**20


def test_the_bound_counts_bytes_not_validations() -> None:
    bound = MemoryBound()
    with (
        bound.room_for(10 * MB, 300),
        bound.room_for(10 * MB, 300),
        pytest.raises(NoRoom),
        bound.room_for(10 * MB, 300),
    ):
        pass
    with bound.room_for(10**10, 600), pytest.raises(NoRoom), bound.room_for(10 * MB, 600):
        pass
    assert footprint(10**12) == footprint(10**11) < 600 * MB


def test_the_first_is_never_refused_and_all_room_comes_back() -> None:
    bound = MemoryBound()
    with pytest.raises(KeyError), bound.room_for(10**12, 1):
        raise KeyError
    with bound.room_for(10**12, 1):
        pass


def test_who_runs_alone_waits_for_all_others_and_keeps_them_out() -> None:
    bound = MemoryBound()
    with bound.room_for(1, 10_000), pytest.raises(NoRoom), bound.room_for(1, 10_000, alone=True):
        pass
    with bound.room_for(1, 10_000, alone=True), pytest.raises(NoRoom), bound.room_for(1, 10_000):
        pass
    with bound.room_for(1, 10_000), bound.room_for(1, 10_000):
        pass


def test_only_so_many_parts_run_at_once_whatever_the_memory() -> None:
    bound = MemoryBound()
    with (
        bound.room_for(1, 10_000, at_once=2),
        bound.room_for(1, 10_000, at_once=2),
        bound.room_for(1, 10_000),  # a small snapshot need not wait for large ones
        pytest.raises(NoRoom),
        bound.room_for(1, 10_000, at_once=2),
    ):
        pass


def test_a_snapshot_waits_for_memory_and_is_validated_once_there_is_room() -> None:
    world = World(settings={"validation_memory_mb": 200.0})
    world.drop("support-bot.jsonl", dialogues(40))
    with OF_THIS_PROCESS.room_for(0, 200):
        world.run(until=60)
        (row,) = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
        assert (row.state, row.fault) == ("VALIDATING", None)
        assert row.waiting.startswith("waits for memory")
    world.run()
    assert list(world.states().values()) == ["LIVE"]


def test_a_part_that_finds_no_room_is_asked_for_again() -> None:
    world = World(settings={"validation_memory_mb": 200.0, "validation_spread_from_mb": 0.0})
    for name in ("train-0.jsonl", "train-1.jsonl"):
        world.drop(f"support-bot/one/{name}", dialogues(30, name))
    world.clock.now += 1
    world.drop("support-bot/one/_SUCCESS", b"")
    with OF_THIS_PROCESS.room_for(0, 200):
        world.run(until=60)
        (listed,) = world.services.ledger.list("snapshot")
        assert steps.step(world.services, f"{listed.key}#0") == "waits for memory"
    world.run()
    assert list(world.states().values()) == ["LIVE"]
