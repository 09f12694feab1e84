"""Many uploads at once are checked some time apart, so that whoever comes after them finds the workers free."""

from __future__ import annotations

from shared.azure.storage import Blob
from shared.snapshots import intake
from shared.snapshots.pace import GAP_NEW, GAP_OF_DATASET, MOST_NEW, MOST_OF_DATASET, WINDOW, ArrivalPace
from tests.builders import a_dataset
from tests.fakes import START, World, dialogues

TINY = dialogues(3)


def test_a_handful_is_checked_at_once_and_those_beyond_it_one_by_one() -> None:
    pace = ArrivalPace()
    delays = [pace.delay(f"bot-{number}", True, START) for number in range(MOST_NEW + 3)]
    assert delays == [0.0] * MOST_NEW + [GAP_NEW, 2 * GAP_NEW, 3 * GAP_NEW]


def test_uploads_of_one_dataset_are_spread_even_if_it_is_well_known() -> None:
    pace = ArrivalPace()
    delays = [pace.delay("support-bot", False, START) for _ in range(MOST_OF_DATASET + 2)]
    assert delays == [0.0] * MOST_OF_DATASET + [GAP_OF_DATASET, 2 * GAP_OF_DATASET]


def test_a_flood_delays_no_dataset_that_was_released_and_after_a_minute_no_new_one() -> None:
    pace = ArrivalPace()
    for number in range(1000):
        pace.delay(f"bot-{number}", True, START)
    assert pace.delay("support-bot", False, START) == 0
    assert pace.delay("bot-x", True, START) > 0
    assert pace.delay("bot-y", True, START + WINDOW) == 0


def test_what_is_remembered_does_not_grow_with_every_name_there_ever_was() -> None:
    pace = ArrivalPace()
    for number in range(30_000):
        pace.delay(f"bot-{number}", True, START + number)
    assert len(pace._arrivals) < 11_000


def _checked(world: World) -> list[str]:
    """The datasets in the order in which their first snapshot was checked."""
    rows = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
    return [row.dataset for row in sorted(rows, key=lambda row: row.history[1].at if len(row.history) > 1 else 1e12)]


def test_an_upload_after_a_thousand_tiny_datasets_is_checked_before_most_of_them() -> None:
    world = World()
    world.services.ledger.create(a_dataset(name="support-bot"))
    for number in range(1000):
        intake.receive_listed(world.services, _dropped(world, f"tiny-{number}.jsonl"))
    intake.receive_listed(world.services, _dropped(world, "support-bot.jsonl"))
    while (due := min(world.storage.messages))[0] <= START + 1:
        world.storage.messages.remove(due)
        world._step(due[2])
    assert _checked(world).index("support-bot") <= MOST_NEW + 3
    assert len(list(world.services.ledger.list("snapshot"))) == 1001, "all of them are taken in"


def test_a_snapshot_that_has_to_wait_says_so_and_is_checked_in_the_end() -> None:
    world = World()
    for number in range(MOST_NEW + 5):
        world.drop(f"tiny-{number}.jsonl", TINY)
    while world.events:
        world._event(world.events.pop(0))
    rows = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
    waiting = [row for row in rows if row.waiting]
    assert len(waiting) == 5
    assert all("many uploads arrived at once" in row.waiting and row.poll_at > START for row in waiting)
    world.run()
    assert set(world.states().values()) == {"REJECTED"}


def _dropped(world: World, path: str) -> Blob:
    world.storage._set("snapshots", path, TINY, None)
    return world.storage.head("snapshots", path)
