"""Who is at a part, and what becomes of the part when that worker is lost, or takes long."""

from __future__ import annotations

import gzip
import io
import random
from collections import Counter
from typing import Any

import pytest

from shared.operations import steps
from shared.snapshots.part_requests import ASK_AGAIN, PartRequest
from shared.snapshots.part_results import MOST_LOST
from tests.fakes import Killed, World, dialogues
from tests.story.parts import alone, asked_for, dropped, same, unsteady

FILES = {"train-0.jsonl": dialogues(600, "parts")}
IN_PARTS: dict[str, Any] = {"validation_part_mb": 0.01}


def _killed_at(world: World, message: str) -> None:
    """The process is killed in the middle of a part, and the next one starts."""
    opened = world.storage.open

    def kill(*_: Any) -> Any:
        world.process.alive = False
        raise Killed

    world.storage.open = kill  # type: ignore[method-assign, assignment]
    with pytest.raises(Killed):
        steps.step(world.services, message)
    world.storage.open = opened  # type: ignore[method-assign]
    world.process.alive = True


def test_the_next_process_of_a_machine_goes_on_at_once_with_the_part_at_which_one_was_killed() -> None:
    world = dropped(FILES, **IN_PARTS)
    key = asked_for(world)
    _killed_at(world, f"{key}#1")
    assert steps.step(world.new_process(), f"{key}#1") == "checked"


def test_a_process_of_another_machine_waits_for_the_lease_of_a_part_to_run_out() -> None:
    world = dropped(FILES, **IN_PARTS)
    key = asked_for(world)
    _killed_at(world, f"{key}#1")
    world.storage.holders.clear()  # which another machine knows nothing of
    assert steps.step(world.new_process(), f"{key}#1") == "held elsewhere"
    world.clock.now += 20
    assert steps.step(world.new_process(), f"{key}#1") == "checked"


def test_a_part_is_not_blamed_for_lost_workers_as_long_as_other_parts_get_checked() -> None:
    world = dropped(FILES, **IN_PARTS)
    key = asked_for(world)
    for other in range(2, 2 + MOST_LOST + 1):
        _killed_at(world, f"{key}#1")
        assert steps.step(world.new_process(), f"{key}#{other}") == "checked"
    for _ in range(MOST_LOST - 1):
        _killed_at(world, f"{key}#1")
    assert steps.step(world.new_process(), f"{key}#1") == "checked"
    world.run()
    same(world, alone(FILES, **IN_PARTS))


def test_a_part_that_alone_is_left_is_given_up_after_five_lost_workers() -> None:
    world = dropped(FILES, **IN_PARTS)
    key = asked_for(world)
    _killed_at(world, f"{key}#1")
    for other in (0, 2, 3):
        assert steps.step(world.new_process(), f"{key}#{other}") == "checked"
    for _ in range(MOST_LOST):
        _killed_at(world, f"{key}#1")
    assert steps.step(world.new_process(), f"{key}#1") == "given up"


@pytest.mark.parametrize("lasts", [5, 12])
def test_a_gzip_file_is_validated_by_processes_of_which_each_is_killed_soon(lasts: int) -> None:
    """No other part can be checked meanwhile, and each begins by unpacking what comes before."""
    rng = random.Random(2)
    text = b"".join(
        line[:-1] + b', "noise": "%s"}\n' % rng.randbytes(600).hex().encode()
        for line in dialogues(1500, "zipped").splitlines()
    )
    files = {"train-0.jsonl.gz": gzip.compress(text)}
    settings: dict[str, Any] = {"validation_part_mb": 0.1}
    world = dropped(files, **settings)
    opened, lives = world.storage.open, 0

    def short_lived(container: str, name: str, etag: str) -> Any:
        nonlocal lives
        if not name.endswith(".gz"):
            return opened(container, name, etag)
        lives, reads = lives + 1, 0
        longest = lasts + 2 * lives

        def is_over(file: io.BytesIO) -> bool:
            nonlocal reads
            reads += 1
            return reads > longest

        return unsteady(world, opened(container, name, etag).read(), is_over)

    world.storage.open = short_lived  # type: ignore[method-assign]
    world._again = lambda message: world.storage.messages.append((world.clock() + 2, 0, message))  # type: ignore[method-assign]
    world.run(until=86_400)
    same(world, alone(files, **settings))
    assert lives > 3


def test_messages_about_a_part_do_not_grow_in_number_while_somebody_is_at_it() -> None:
    world = dropped(FILES, **IN_PARTS)
    key = asked_for(world)
    world.storage.lease(f"{key.removeprefix('snapshot/')}#1")
    world.storage.leases[f"{key.removeprefix('snapshot/')}#1"] = (0, world.clock() + 3600)
    most = 0
    for _ in range(20):
        world.run(until=30, sweep_every=3600)
        most = max(most, Counter(text.partition("@")[0] for _, _, text in world.storage.messages)[f"{key}#1"])
    assert most <= 2
    world.run(until=6 * 3600)
    same(world, alone(FILES, **IN_PARTS))


def test_a_part_without_room_is_asked_for_again_only_until_the_step_does_so() -> None:
    world = dropped(FILES, **IN_PARTS)
    request = PartRequest.new("support-bot-x", 3, world.clock)
    world.storage.messages.clear()
    request.repeat(world.storage, 10, world.clock)
    ((_, _, text),) = world.storage.messages
    assert PartRequest.read("snapshot/support-bot-x", text.partition("#")[2], world.clock) == request
    world.clock.now += ASK_AGAIN
    request.repeat(world.storage, 10, world.clock)
    assert len(world.storage.messages) == 1


def _parquet(files: int) -> World:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]
    from orjson import loads

    dropped_files = {}
    for number in range(files):
        data = io.BytesIO()
        rows = [loads(line) for line in dialogues(60, f"table {number}").splitlines()]
        pq.write_table(pa.Table.from_pylist(rows), data, row_group_size=20)
        dropped_files[f"train-{number}.parquet"] = data.getvalue()
    return dropped(dropped_files, validation_part_mb=0.002)


def test_a_part_takes_as_many_requests_however_many_parquet_files_there_are() -> None:
    taken = []
    for files in (2, 8):
        world = _parquet(files)
        key = asked_for(world)
        before = world.process.calls
        assert steps.step(world.new_process(), f"{key}#4") == "checked"
        taken.append(world.process.calls - before)
    assert taken[0] == taken[1]
