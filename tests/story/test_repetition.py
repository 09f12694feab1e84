"""Everything twice, late, in reverse, and cut off at every single call: the ends are always the same.

Over the in-memory world, where a process can be killed before or after each call that leaves it. The same promises
over real processes are in `tests/e2e`.
"""

from __future__ import annotations

import random

import pytest

from tests.fakes import Process, World, dialogues
from tests.story.kills import EVERY_THIRD_CALL, STEP

DROP = "support-bot.jsonl"


def _run(process: Process | None = None) -> World:
    world = World(process or Process())
    world.drop(DROP, dialogues(40))
    world.run()
    return world


CALLS = _run().process.calls


def _once(world: World) -> None:
    """One job, one model version, one endpoint, one deployment, one live release, and nothing else left."""
    assert list(world.states().values()).count("LIVE") == 1
    assert len(world.workspace.jobs.submitted) == 1
    assert len(world.workspace.models.registered) == 1
    assert len(world.workspace.endpoints.created) == 1
    assert len(world.workspace.deployments.created) == 1
    assert set(world.workspace.deployments.made) == {
        (world.workspace.endpoints.created[0], world.workspace.deployments.created[0])
    }
    assert not any(row["needs_attention"] or row["fault"] for row in _rows(world))


def _rows(world: World) -> list[dict[str, object]]:

    return world.snapshots()


def test_a_drop_goes_live() -> None:
    world = _run()
    _once(world)
    assert 50 < CALLS < 400


@EVERY_THIRD_CALL
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_kill_at_any_call_ends_the_same(before: bool, first: int) -> None:
    for call in range(first, CALLS + 1, STEP):
        world = _run(Process(die_at=call, before=before))
        try:
            _once(world)
        except AssertionError as error:
            raise AssertionError(f"killed {'before' if before else 'after'} call {call}: {world.states()}") from error


def test_a_kill_at_every_tenth_call_ends_the_same() -> None:
    world = World()
    world.drop(DROP, dialogues(40))
    for _ in range(60):
        world.process.die_at, world.process.before = world.process.calls + 10, not world.process.before
        world.run(until=600)
    world.process.die_at = -1
    world.run()
    _once(world)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_bytes_three_times_and_every_event_three_times(seed: int) -> None:
    world = World()
    for name in ("a", "b", "c"):
        world.drop(f"support-bot/{name}.jsonl", dialogues(40))
    world.events = world.events * 3
    random.Random(seed).shuffle(world.events)
    world.run()
    _once(world)
    others = sorted(state for state in world.states().values() if state != "LIVE")
    assert len(others) == 2
    assert set(others) <= {"DUPLICATE", "SUPERSEDED"}


def test_the_same_blob_overwritten_three_times() -> None:
    world = World()
    for _ in range(3):
        world.drop(DROP, dialogues(40))
        world.clock.now += 2
    world.run()
    _once(world)


def test_events_in_reverse_leave_the_newest_content_live() -> None:
    world = World()
    world.drop("support-bot/old.jsonl", dialogues(40, "old"))
    world.clock.now += 5
    world.drop("support-bot/new.jsonl", dialogues(40, "new"))
    world.events.reverse()
    world.run()
    states = world.states()
    newest = max(states)
    assert states[newest] == "LIVE"
    assert states[min(states)] == "SUPERSEDED"
    assert len(world.workspace.jobs.submitted) == 1


def test_a_second_release_replaces_the_first_and_leaves_one_machine() -> None:
    world = _run()
    world.clock.now += 60
    world.drop("support-bot/next.jsonl", dialogues(60, "next"))
    world.run()
    states = world.states()
    assert states[max(states)] == "LIVE"
    assert states[min(states)] == "RETIRED"
    assert len(world.workspace.deployments.made) == 1
    assert len(world.workspace.endpoints.created) == 1


def test_repeated_hints_do_not_multiply_looks() -> None:
    world = World()
    world.drop(DROP, dialogues(40))
    world.run(until=30)
    key = f"snapshot/{next(iter(world.states()))}"
    for _ in range(20):
        world.services.ledger.hint(key)
    world.run(until=20)
    world.run(until=50)  # the 20 looks planned for one moment: the first moves the row on, the others find it not due
    assert len(world.storage.messages) == 1
    world.run()
    _once(world)


def test_a_lost_event_is_found_by_the_sweep() -> None:
    world = World()
    world.services.ledger.dataset("other")  # the app has started before
    from shared.snapshots import intake

    intake.accept_since(world.services)
    world.drop(DROP, dialogues(40))
    world.events.clear()
    world._sweep()
    world.run()
    _once(world)
