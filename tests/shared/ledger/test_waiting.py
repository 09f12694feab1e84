"""What waits, or is overdue, takes little: a queue that is behind does not fill by being behind."""

from __future__ import annotations

from shared.ledger.waiting import LONGEST_PAUSE, Reminders, pause
from shared.operations import sweep
from tests.builders import a_dataset, a_snapshot
from tests.fakes import START, World

SWEEPS = 100


def test_the_pause_grows_with_the_wait_between_its_bounds() -> None:
    assert [pause(waited, 60) for waited in (0, 239, 400, 1e6)] == [60, 60, 100, LONGEST_PAUSE]


def test_an_overdue_row_is_reminded_of_each_time_it_is_twice_as_late() -> None:
    reminders = Reminders()
    sent = [late for late in range(1, 1000) if reminders.wanted("snapshot/a", START, START + late)]
    assert sent == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_another_planned_poll_and_another_row_are_reminded_of_at_once() -> None:
    reminders = Reminders()
    assert reminders.wanted("snapshot/a", START, START + 100)
    assert not reminders.wanted("snapshot/a", START, START + 110)
    assert reminders.wanted("snapshot/b", START, START + 110)
    assert reminders.wanted("snapshot/a", START + 105, START + 110)


def test_sweeps_over_a_queue_that_is_behind_send_a_handful_of_messages_and_none_is_forgotten() -> None:
    world = World()
    world.services.ledger.create(a_snapshot(poll_at=START))
    world.services.ledger.create(a_dataset(poll_at=START))
    world.storage.messages.clear()
    for _ in range(SWEEPS):
        world.clock.now += 20
        sweep.sweep(world.services)
    sent = [message for _, _, message in world.storage.messages]
    for row in (a_snapshot(), a_dataset()):
        assert 5 <= sent.count(row.key) <= 8


def test_while_the_queue_is_behind_a_message_is_not_taken_for_lost_before_a_quarter_of_an_hour() -> None:
    world = World()
    world.services.ledger.create(a_snapshot(poll_at=START))
    world.storage.messages = [(START, number, "another") for number in range(60)]
    seen = []
    for _ in range(80):
        world.clock.now += 20
        seen.append((world.clock.now - START, sweep.sweep(world.services)))
    assert [late for late, moved in seen if moved] == [900]
    world.storage.messages.clear()
    world.clock.now += 300
    assert sweep.sweep(world.services) == [a_snapshot().key]
