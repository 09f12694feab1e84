"""Validations of one process share a bound on memory: further ones wait, and nothing is lost by waiting."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.validation_memory import THREADS, measure
from shared.ledger.states import SnapshotState as S
from shared.operations import steps
from shared.snapshots.memory import OF_THIS_PROCESS, MemoryBound, NoRoom, footprint
from tests.builders import a_fault
from tests.fakes import World, dialogues

MB = 2**20


def test_the_bound_counts_bytes_not_validations() -> None:
    bound = MemoryBound()
    with (
        bound.room_for(140 * MB, 300),
        bound.room_for(140 * MB, 300),
        pytest.raises(NoRoom),
        bound.room_for(140 * MB, 300),
    ):
        pass
    with bound.room_for(10**10, 600), pytest.raises(NoRoom), bound.room_for(10 * MB, 600):
        pass


def test_what_is_counted_grows_with_the_file_up_to_what_any_file_takes() -> None:
    sizes = [footprint(size, parquet=False) for size in (1, 10**6, 10**8, 10**9, 10**12)]
    assert sizes == sorted(sizes)
    assert 6 * sizes[1] < 160 * MB, "six small files do not wait for each other"
    assert sizes[-2] == sizes[-1] < 450 * MB
    assert all(footprint(size, parquet=True) >= footprint(size, parquet=False) for size in (1, 10**6, 10**12))


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


def test_six_validations_in_threads_take_no_more_memory_than_is_counted(tmp_path: Path) -> None:
    """In a process of its own. What a thread freed counts as well, as long as the process has it.

    The file has forty megabytes in one row group: pages that are unpacked at once.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    rng, roles = random.Random(1), ("user", "assistant")
    rows = [[{"role": role, "content": rng.randbytes(250).hex()} for role in roles] for _ in range(40_000)]
    pq.write_table(pa.Table.from_pydict({"messages": rows}), tmp_path / "rows.parquet")
    found = measure(tmp_path / "rows.parquet", 500, THREADS)
    assert found["peak"] <= found["counted"] <= 500


def test_a_snapshot_waits_for_memory_and_is_validated_once_there_is_room() -> None:
    world = World(settings={"validation_memory_mb": 200.0})
    world.drop("support-bot.jsonl", dialogues(40))
    with OF_THIS_PROCESS.room_for(190 * MB, 200):
        world.run(until=60)
        (row,) = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
        assert (row.state, row.fault) == ("VALIDATING", None)
        assert row.waiting.startswith("waits for memory")
    world.run()
    assert list(world.states().values()) == ["LIVE"]


def test_a_snapshot_whose_check_ended_its_worker_is_checked_alone_and_its_fault_stays_on_record_meanwhile() -> None:
    """Whatever else was at work in that process was lost as well, and is not to blame."""
    world = World()
    world.drop("support-bot.jsonl", dialogues(40))
    while world.events:
        world._event(world.events.pop(0))
    (listed,) = world.services.ledger.list("snapshot")
    fault = a_fault(type="WorkerLost", step="validate", message="its worker was lost")
    world.services.ledger.change(listed.key, lambda row: row.but(state=S.VALIDATING, fault=fault))
    with OF_THIS_PROCESS.room_for(1, 10_000):
        world.run(until=60)
        row = world.services.ledger.read(listed.key).row
        assert (row.state, row.fault) == (S.VALIDATING, fault)
        assert row.waiting.startswith("waits for memory")
    world.run()
    assert list(world.states().values()) == ["LIVE"]


def test_a_part_that_finds_no_room_is_asked_for_again() -> None:
    world = World(settings={"validation_memory_mb": 200.0, "validation_spread_from_mb": 0.0})
    for name in ("train-0.jsonl", "train-1.jsonl"):
        world.drop(f"support-bot/one/{name}", dialogues(30, name))
    world.clock.now += 1
    world.drop("support-bot/one/_SUCCESS", b"")
    with OF_THIS_PROCESS.room_for(190 * MB, 200):
        world.run(until=60)
        (listed,) = world.services.ledger.list("snapshot")
        assert steps.step(world.services, f"{listed.key}#0") == "waits for memory"
    world.run()
    assert list(world.states().values()) == ["LIVE"]
