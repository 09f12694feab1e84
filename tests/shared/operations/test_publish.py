"""People are told at least once of what happened, and of nothing else; what a channel does not take waits in a backlog
that is bounded."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from shared.errors import Damaged
from shared.ledger.outbox import Notice
from shared.operations import backlog, damage, nightly, publish, status, sweep
from shared.snapshots import intake
from tests.builders import SNAPSHOT, a_fault, a_snapshot
from tests.counted_storage import CountedStorage
from tests.fakes import FakeChannel, Process, World, dialogues
from tests.story.kills import EVERY_THIRD_CALL, STEP

DROP = "support-bot.jsonl"
KEY = f"snapshot/{SNAPSHOT}"
A_LIFE = ["RECEIVED", "VALIDATED", "TRAINING", "TRAINED", "REGISTERED", "DEPLOYING", "EVALUATING", "SHIFTING", "LIVE"]


def _world(process: Process | None = None, **names: FakeChannel) -> tuple[World, dict[str, FakeChannel]]:
    channels = names or {"topic": FakeChannel()}
    return World(process or Process(), channels=dict(channels)), channels


def _lived(process: Process | None = None) -> tuple[World, FakeChannel]:
    world, channels = _world(process)
    world.drop(DROP, dialogues(40))
    world.drop("No_Name.jsonl", b"")
    world.run()
    return world, channels["topic"]


def _outboxes(world: World) -> list[tuple[str, str]]:
    """What in storage has something left to tell."""
    return [place for place, stored in world.storage.blobs.items() if {"outbox", "untold"} & {*stored.metadata}]


def test_a_life_is_told_from_arrival_to_live_each_once_and_nothing_is_left() -> None:
    world, topic = _lived()
    (snapshot,) = world.states()
    assert topic.states(f"snapshot/{snapshot}") == A_LIFE
    assert topic.states("dataset/support-bot") == ["LIVE"]
    ids = [one.id for one in topic.received]
    assert len(ids) == len(set(ids))
    assert _outboxes(world) == []
    assert status.notifications(world.services) is None


def test_a_refused_upload_is_told_with_its_reason() -> None:
    _, topic = _lived()
    (one,) = [one for one in topic.received if one.type == "Droptune.UploadRefused"]
    assert (one.data["path"], one.data["dataset"], bool(one.data["reason"])) == ("No_Name.jsonl", "no-name", True)


def test_a_nightly_report_is_told_with_its_summary() -> None:
    world, topic = _lived()
    report = nightly.run(world.services)
    world.run()
    (one,) = [one for one in topic.received if one.type == "Droptune.NightlyReported"]
    assert one.data["summary"] == report.summary
    assert world.storage.read("reports", one.data["report"])
    assert _outboxes(world) == []


CALLS = _lived()[0].process.calls


@EVERY_THIRD_CALL
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_kill_at_any_call_loses_no_notice_and_makes_none(before: bool, first: int) -> None:
    for call in range(first, CALLS + 1, 3 * STEP):
        world, topic = _lived(Process(die_at=call, before=before))
        world.clock.now += 120
        sweep.sweep(world.services)
        (snapshot,) = world.states()
        assert sorted(topic.states(f"snapshot/{snapshot}")) == sorted(A_LIFE), f"killed at call {call}"
        assert topic.states("dataset/support-bot") == ["LIVE"], f"killed at call {call}"
        refused = {one.id for one in topic.received if one.type == "Droptune.UploadRefused"}
        assert (len(refused), _outboxes(world)) == (1, []), f"killed at call {call}"


def test_attention_is_told() -> None:
    world, channels = _world()
    services = world.services
    kept = services.ledger.create(a_snapshot())
    services.ledger.write(kept, kept.row.but(attention=True, fault=a_fault()))
    publish.publish(services, KEY)
    assert [one.type for one in channels["topic"].received] == ["Droptune.SnapshotChanged", "Droptune.AttentionNeeded"]


def test_without_a_channel_nothing_is_kept_and_nothing_is_sent() -> None:
    world = World()
    world.services.ledger.create(a_snapshot())
    assert not any(message.endswith("!") for _, _, message in world.storage.messages)
    assert world.services.ledger.read(KEY).row.outbox == ()


def test_each_channel_is_told_although_another_takes_nothing() -> None:
    world, channels = _world(topic=FakeChannel(), webhook=FakeChannel())
    channels["webhook"].error = "HTTP 500"
    world.services.ledger.create(a_snapshot())
    assert publish.publish(world.services, KEY) == "told in part"
    (kept,) = world.services.ledger.read(KEY).row.outbox
    assert kept.to == ("webhook",)
    channels["webhook"].error = ""
    world.clock.now += 120
    sweep.sweep(world.services)
    assert [len(channel.received) for channel in channels.values()] == [1, 1]
    assert _outboxes(world) == []


def test_a_channel_that_is_no_more_is_waited_for_by_nobody() -> None:
    world, channels = _world(topic=FakeChannel(), webhook=FakeChannel())
    world.services.ledger.create(a_snapshot())
    del channels["webhook"]
    world.channels = dict(channels)
    publish.publish(world.new_process(), KEY)
    assert world.services.ledger.read(KEY).row.outbox == ()


# --- a topic that is down -------------------------------------------------------------------------------------------


def test_what_waits_is_given_up_once_there_is_no_channel_at_all() -> None:
    world, _ = _down()
    world.clock.now += 120
    sweep.sweep(world.services)
    assert status.notifications(world.services) is not None
    world.channels = {}
    world.services = world.new_process()
    sweep.sweep(world.services)
    assert status.notifications(world.services) is None


def test_a_blob_that_is_told_of_is_read_once_to_be_told_and_once_to_be_settled() -> None:
    world, channels = _world()
    world.drop("No_Name.jsonl", b"")
    intake.receive(world.services, "No_Name.jsonl")
    (key,) = [message.removesuffix("!") for _, _, message in world.storage.messages if message.startswith("refused/")]
    counted: Any = CountedStorage(world.storage)
    publish.publish(dataclasses.replace(world.services, storage=counted), key)
    assert len(channels["topic"].received) == 1
    assert counted.requests == {"read": 2, "other": 2, "write": 1}


def _down(snapshots: int = 1) -> tuple[World, FakeChannel]:
    """A topic that takes nothing, while snapshots come and end."""
    world, channels = _world()
    channels["topic"].error = "HTTP 503"
    for number in range(snapshots):
        world.drop(f"bot-{number}/1.jsonl", b"not a row\n")
    world.run()
    return world, channels["topic"]


def test_a_topic_that_is_down_delays_nothing() -> None:
    heard, _ = _lived()
    world, channels = _world()
    channels["topic"].error = "HTTP 503"
    world.drop(DROP, dialogues(40))
    world.run()
    (mute,), (told,) = world.snapshots(), heard.snapshots("support-bot")
    assert [entry["state"] for entry in mute["history"]] == [entry["state"] for entry in told["history"]]
    assert (mute["state"], mute["fault"]) == ("LIVE", None)


def test_a_topic_that_is_down_is_asked_once_a_sweep_however_much_waits() -> None:
    many, few = (_asked_by_three_sweeps(snapshots) for snapshots in (30, 1))
    assert many == few
    assert few[0] == 3


def _asked_by_three_sweeps(snapshots: int) -> tuple[int, int]:
    """What the topic is asked, and what all services are, once all that waits is in the backlog."""
    world, topic = _down(snapshots)
    for _ in range(2):
        world.clock.now += 2 * 86_400  # nothing that changed of late is looked at for that
        sweep.sweep(world.services)
    asked, calls = topic.requests, world.process.calls
    for _ in range(3):
        world.clock.now += 300
        sweep.sweep(world.services)
    return topic.requests - asked, world.process.calls - calls


def test_what_waits_is_said_with_its_age_and_what_is_wrong_and_is_told_once_the_topic_is_up() -> None:
    world, topic = _down()
    world.clock.now += 120
    sweep.sweep(world.services)
    shown: Any = status.notifications(world.services)
    assert (shown["waiting"], shown["dropped"], shown["failing"]["topic"]["error"]) == (2, 0, "HTTP 503")
    assert shown["oldest"].startswith("2026-")
    health = status.problems(world.services)["notifications"]
    assert health == {name: shown[name] for name in ("waiting", "oldest", "dropped")}
    topic.error = ""
    sweep.sweep(world.services)
    assert [one.data["state"] for one in topic.received] == ["RECEIVED", "REJECTED"]
    assert status.notifications(world.services) is None


def test_what_a_topic_took_in_part_is_not_sent_again() -> None:
    world, topic = _down(snapshots=5)
    topic.error, topic.wants = "", 3
    for _ in range(6):
        world.clock.now += 300
        sweep.sweep(world.services)
    ids = [one.id for one in topic.received]
    assert (len(ids), len(set(ids))) == (10, 10)


def test_the_backlog_is_bounded_and_counts_what_it_dropped() -> None:
    some = [Notice(id=f"{n}", type="t", subject="s", at=float(n), data={}, to=("topic",)) for n in range(1200)]
    known = backlog.with_added(backlog.with_added(backlog.Backlog(), some), some[200:])
    assert (len(known.waiting), known.waiting[0].id, known.dropped) == (backlog.MOST_WAITING, "200", 200)


def test_a_damaged_backlog_is_named_and_stops_no_sweep() -> None:
    world, topic = _down()
    world.storage.put("ledger", backlog.BLOB, b"{")
    with pytest.raises(Damaged):
        backlog.on_record(world.services)
    sweep.sweep(world.services)
    assert [found.blob for found in damage.on_record(world.services)] == [f"ledger/{backlog.BLOB}"]
    for found in damage.on_record(world.services):
        damage.mend(world.services, found)
    topic.error = ""
    world.clock.now += 120
    sweep.sweep(world.services)
    assert len(topic.received) == 2


def test_a_channel_that_breaks_stops_nothing() -> None:
    class Broken:
        def send(self, source: str, notices: Any) -> Any:
            raise RuntimeError("a defect")

    broken: Any = Broken()
    world = World(channels={"topic": broken})
    world.services.ledger.create(a_snapshot())
    assert publish.publish(world.services, KEY) == "told in part"


def test_rows_of_the_version_before_have_nothing_to_tell_and_are_told_of_from_then_on() -> None:
    world, channels = _world()
    world.services.ledger.channels = ()
    kept = world.services.ledger.create(a_snapshot())
    world.services.ledger.channels = ("topic",)
    assert publish.publish(world.services, KEY) == "nothing to tell"
    world.services.ledger.write(kept, kept.row.but(attention=True, fault=a_fault()))
    publish.publish(world.services, KEY)
    assert [one.type for one in channels["topic"].received] == ["Droptune.AttentionNeeded"]


@pytest.mark.parametrize("key", ["snapshot/nobody-20260921141320-0123abcd", "refused/0123abcd", "report/x", "?/", "x"])
def test_a_message_about_what_is_not_there_does_nothing(key: str) -> None:
    world, _ = _world()
    assert publish.publish(world.services, key) == "nothing to tell"
