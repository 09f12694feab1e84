"""The nightly round by hand: dry it changes nothing, for real it is the round of the timer, one at a time."""

from __future__ import annotations

from typing import Any

from shared.ledger.states import DatasetState as D
from shared.operations import night_preview, nightly, steps
from tests.builders import DATASET
from tests.fakes import World, dialogues

DAY = 86_400.0


def _idle(**settings: Any) -> World:
    world = World(settings={"idle_hours": 1, "prices": {"Standard_NC24ads_A100_v4": 4.0}, **settings})
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.run()
    world.clock.now += 2 * DAY
    world.storage.messages.clear()
    return world


def test_a_dry_round_says_what_it_would_do_and_save_and_does_nothing() -> None:
    world = _idle(keep_files_days=1, keep_days=1)
    world.storage.put("frozen", f"{DATASET}-20200101000000-0123abcd/train.jsonl", b"12345")
    world.clock.now += 2 * DAY
    before = dict(world.storage.blobs)
    found = night_preview.preview(world.services)
    assert [(line.dataset, line.asked_to_sleep) for line in found.datasets] == [(DATASET, True)]
    assert (found.dry_run, found.saves_per_hour) == (True, 4.0)
    assert [(one.container, one.blobs, one.size) for one in found.deletes if one.container == "frozen"] == [
        ("frozen", 1, 5)
    ]
    assert DATASET in found.summary
    assert found.summary.endswith(", 4.00 an hour saved; 1 blob that was kept long enough would be deleted")
    for blob in [name for box, name in before if box == "frozen"]:
        world.storage.delete("frozen", blob)
    before = dict(world.storage.blobs)
    assert "; no blobs that were kept long enough would be" in night_preview.preview(world.services).summary
    assert world.storage.blobs == before
    assert world.storage.messages == []


def test_the_round_does_what_was_said() -> None:
    world = _idle()
    would = {line.dataset for line in night_preview.preview(world.services).datasets if line.asked_to_sleep}
    assert nightly.ask_for_round(world.services, "ada").done
    assert [message for _, _, message in world.storage.messages] == [nightly.MESSAGE]
    assert steps.step(world.services, nightly.MESSAGE) == "the round is over"
    world.storage.messages = [message for message in world.storage.messages if message[2] != nightly.MESSAGE]
    world.run()
    assert {row.name for row in world.services.ledger.rows("dataset") if row.state == D.ASLEEP} == would


def test_two_rounds_never_run_at_once() -> None:
    world = _idle()
    lease = world.storage.lease(nightly.LOCK)
    assert not nightly.ask_for_round(world.services, "ada").done
    assert nightly.every_night(world.services) == "another round is under way"
    assert nightly.cards(world.services) == []
    lease.release()
    assert nightly.every_night(world.services) == "the round is over"
    assert len(nightly.cards(world.services)) == 1
