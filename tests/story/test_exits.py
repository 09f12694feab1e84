"""Whatever state a dataset waits for a person in, a person gets it out of there, and what it holds can be released."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger.rows import Fault
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from shared.operations import actions, status, steps
from shared.snapshots import intake
from tests.builders import SNAPSHOT, a_fault, a_trained_snapshot
from tests.fakes import World, dialogues

NAME, KEY = "support-bot", "dataset/support-bot"
RESTING = (D.EMPTY, D.LIVE, D.ASLEEP)
FAULT = Fault(type="ServiceBusy", message="HTTP 503", step="watch", count=5, since=0.0)
# Where a dataset may be stuck, and whether something was live before.
PLACES = [
    *((state, True) for state in (D.DEPLOYING, D.EVALUATING, D.SHIFTING, D.LIVE, D.SLEEPING, D.ASLEEP, D.WAKING)),
    *((state, False) for state in (D.DEPLOYING, D.EVALUATING, D.SHIFTING)),
]
# What a person may ask for there, besides going on.
ASKED = {
    "roll_back": {D.DEPLOYING, D.EVALUATING, D.SHIFTING},
    "sleep": {D.LIVE},
    "wake": {D.ASLEEP},
}


def _row(world: World) -> Any:
    return world.services.ledger.read(KEY).row


def _go_on_until(world: World, state: D) -> None:
    """One message after the other, until the dataset is in the state."""
    while world.events:
        intake.receive(world.services, world.events.pop(0))
    for _ in range(2000):
        rows = [row for row in world.services.ledger.rows("dataset") if row.state == state]
        if rows:
            return
        message = min(world.storage.messages)
        world.storage.messages.remove(message)
        world.clock.now = max(world.clock.now, message[0])
        steps.step(world.services, message[2])


def _stuck(state: D, served: bool) -> World:
    """A dataset that waits for a person in a state, with all that it holds there."""
    world = World(settings={"rollback_keep_hours": 1})
    if served:
        world.drop(f"{NAME}/first.jsonl", dialogues(40))
        world.run(until=1800)
        assert _row(world).state == D.LIVE
    if state in (D.SLEEPING, D.ASLEEP, D.WAKING):
        actions.ask(world.services, NAME, "sleep", "me")
    if state in (D.ASLEEP, D.WAKING):
        world.run()
    if state == D.WAKING:
        actions.ask(world.services, NAME, "wake", "me")
    if state in (D.DEPLOYING, D.EVALUATING, D.SHIFTING):
        world.clock.now += 60
        world.drop(f"{NAME}/second.jsonl", dialogues(60, "second"))
    _go_on_until(world, state)
    assert _row(world).state == state
    world.services.ledger.change(KEY, lambda row: row.but(attention=True, fault=FAULT, poll_at=None))
    return world


def _rests_and_can_be_released(world: World) -> None:
    """It rests, waits for nobody, and asked to sleep it leaves nothing that costs money."""
    world.run(until=4 * 3600)
    row = _row(world)
    assert (row.state in RESTING, row.attention, row.requested) == (True, False, None)
    if row.state == D.LIVE:
        assert actions.ask(world.services, NAME, "sleep", "me").done
        world.run(until=4 * 3600)
    assert _row(world).state in (D.EMPTY, D.ASLEEP)
    assert [e.name for e in world.workspace.endpoints.list()] == []


@pytest.mark.parametrize(("state", "served"), PLACES)
def test_who_resumes_a_dataset_gets_it_to_rest_and_can_release_what_it_holds(state: D, served: bool) -> None:
    world = _stuck(state, served)
    assert actions.resume(world.services, NAME, "me").done
    _rests_and_can_be_released(world)


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize(("state", "served"), PLACES)
def test_what_a_person_asks_for_is_an_exit_where_it_makes_sense(state: D, served: bool, what: str) -> None:
    world = _stuck(state, served)
    answer = actions.ask(world.services, NAME, what, "me")
    if state in ASKED[what]:
        assert answer.done
        assert not _row(world).attention
    else:
        assert answer.text
        assert actions.resume(world.services, NAME, "me").done
    _rests_and_can_be_released(world)


@pytest.mark.parametrize("state", S)
def test_a_snapshot_that_waits_for_a_person_goes_on_when_one_retries(state: S) -> None:
    world = World()
    row = a_trained_snapshot(state, attention=True, fault=a_fault(count=5), poll_at=None)
    world.services.ledger.create(row)
    assert actions.retry(world.services, SNAPSHOT, "me").done
    after = world.services.ledger.read(row.key).row
    assert (after.attention, after.fault, after.poll_at) == (False, None, world.clock())


def test_while_a_dataset_waits_for_a_person_its_fault_is_shown() -> None:
    world = _stuck(D.DEPLOYING, served=True)
    shown = status.dataset(world.services, NAME)
    assert shown["needs_attention"]
    assert shown["fault"]["message"] == "HTTP 503"
