"""What the app does costs what is open, not what ever was: requests are counted, for ledgers of more and more rows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from shared.errors import NotFound
from shared.ledger.cards import card_of
from shared.ledger.states import SnapshotState as S
from shared.operations import actions, nightly, pages, steps, sweep
from shared.serving.catalog import ModelCatalog
from shared.snapshots import intake, lost_uploads
from tests.builders import DATASET, SNAPSHOT, a_dataset, a_snapshot, a_trained_snapshot
from tests.fakes import START, World, dialogues
from tests.old_ledger import OldLedger

KEY = f"snapshot/{SNAPSHOT}"


def _aged(ended: int, datasets: int = 8, opened: int = 3) -> tuple[OldLedger, Any]:
    """A ledger that an older version wrote, brought up to date by this one."""
    old = OldLedger(ended, datasets, opened)
    services = old.services()
    for _ in range(3):
        sweep.sweep(services)
    old.clock.now += 300
    old.storage.reset()
    return old, services


def _requests(old: OldLedger, act: Callable[[], Any]) -> int:
    old.storage.reset()
    act()
    return old.storage.requests.total()


def test_a_sweep_costs_what_is_open_and_not_what_ended() -> None:
    found = []
    for ended in (40, 400):
        old, services = _aged(ended)
        found.append(_requests(old, partial(sweep.sweep, services)))
    assert found[0] == found[1] <= 15 + 3 * 3


def test_the_list_of_models_is_one_request_however_many_datasets_there_are() -> None:
    old, services = _aged(80, datasets=40)
    models = asyncio.run(ModelCatalog(services).models())
    assert len(models) == 40
    assert _requests(old, lambda: asyncio.run(ModelCatalog(old.services()).models())) == 1


@pytest.mark.parametrize("what", ["arrival", "step"])
def test_an_arrival_and_a_step_cost_the_same_in_a_dataset_of_any_age(what: str) -> None:
    found = []
    for ended in (20, 400):
        old, services = _aged(ended, datasets=1, opened=1)
        old.world.storage.upload("snapshots", "bot-000/new.jsonl", b"{}")
        (open_row,) = [kept.key for kept in services.ledger.cards.list() if kept.card and kept.card.state == S.TRAINING]
        if what == "arrival":
            found.append(_requests(old, partial(intake.receive, services, "bot-000/new.jsonl")))
        else:
            found.append(_requests(old, partial(steps.step, services, f"{open_row}?")))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "asked", [{}, {"dataset": "bot-001"}, {"state": "DUPLICATE"}, {"state": "REGISTER_FAILED"}, {"state": "ASLEEP"}]
)
def test_a_page_takes_five_requests_at_most_whatever_is_asked_for(asked: dict[str, str]) -> None:
    old, services = _aged(5000)
    given: Any = asked
    assert _requests(old, lambda: pages.snapshots(services, **given)) <= 5
    assert old.storage.listed < 50


# --- open rows are never lost from sight -------------------------------------------------------------------------


def test_the_first_sweep_over_an_old_ledger_sees_its_open_rows() -> None:
    old = OldLedger(20, 2, 2)
    services = old.services()
    due = [row for row in services.ledger.list("snapshot") if row.state == S.TRAINING]
    old.clock.now += 7200
    assert {row.key for row in due} <= set(sweep.sweep(services))
    assert {kept.key for kept in services.ledger.cards.list()} == {row.key for row in due}
    assert all(row.is_whole for row in services.ledger.datasets())


def _card(world: World) -> bool:
    return SNAPSHOT in {kept.snapshot for kept in world.services.ledger.cards.list()}


def test_a_snapshot_has_a_card_from_before_its_row_until_a_sweep_has_it_in_the_index() -> None:
    world = World()
    sweep.sweep(world.services)
    world.services.ledger.create(a_trained_snapshot(S.TRAINED, poll_at=START + 9e9))
    sweep.sweep(world.services)
    assert _card(world)
    stored = world.services.ledger.read(KEY)
    world.services.ledger.write(stored, stored.row.but(state=S.REGISTERED, poll_at=None))
    assert _card(world)
    sweep.sweep(world.services)
    assert not _card(world)
    assert [card.state for card in world.services.ledger.index.find()] == ["REGISTERED"]


def test_a_row_that_opens_again_has_a_card_before_it_is_written() -> None:
    world = World()
    sweep.sweep(world.services)
    world.services.ledger.create(a_snapshot(S.REJECTED, poll_at=None))
    sweep.sweep(world.services)
    assert not _card(world)
    seen: list[bool] = []
    replace = world.storage.replace

    def watched(container: str, name: str, *more: Any) -> str:
        seen.append(_card(world))
        return replace(container, name, *more)

    world.storage.replace = watched  # type: ignore[method-assign, assignment]
    assert actions.override(world.services, SNAPSHOT, "ada", ["bad_rows"]).done
    assert seen == [True]


def test_a_row_that_opens_while_a_sweep_closes_it_keeps_its_card() -> None:
    world = World()
    sweep.sweep(world.services)
    world.services.ledger.create(a_snapshot(S.REJECTED, poll_at=None))
    read = world.storage.read

    def meanwhile(container: str, name: str) -> Any:
        found = read(container, name)
        if SNAPSHOT in name:
            world.storage.read = read  # type: ignore[method-assign]
            actions.override(world.services, SNAPSHOT, "ada", ["bad_rows"])
        return found

    world.storage.read = meanwhile  # type: ignore[method-assign]
    sweep.sweep(world.services)
    assert _card(world)


def test_an_open_row_whose_card_was_lost_is_found_by_the_nightly_round() -> None:
    world = World()
    sweep.sweep(world.services)
    world.services.ledger.create(a_snapshot(S.TRAINING, poll_at=START))
    for kept in list(world.services.ledger.cards.list()):
        world.services.ledger.cards.remove(kept)
    world.clock.now += 600
    assert KEY not in sweep.sweep(world.services)
    nightly.every_night(world.services)
    assert KEY in sweep.sweep(world.services)


def test_a_card_without_a_row_goes_once_nobody_can_be_at_it_any_more() -> None:
    world = World()
    world.services.ledger.cards.put(card_of(a_snapshot()))
    sweep.sweep(world.services)
    assert _card(world)
    world.clock.now += 7200
    sweep.sweep(world.services)
    assert not _card(world)


def test_a_model_that_its_dataset_does_not_know_of_is_noted_when_its_card_is_closed() -> None:
    world = World()
    sweep.sweep(world.services)
    world.services.ledger.create(a_dataset(live=None, poll_at=None))
    world.services.ledger.create(a_trained_snapshot(S.REGISTERED))
    assert f"dataset/{DATASET}" in sweep.sweep(world.services)
    assert world.services.ledger.read(f"dataset/{DATASET}").row.newest_registered == SNAPSHOT


# --- uploads that no event told of -------------------------------------------------------------------------------


def test_uploads_are_listed_once_an_hour_and_only_new_ones_are_asked_about() -> None:
    old, services = _aged(400)
    old.clock.now += lost_uploads.EVERY
    sweep.sweep(services)
    old.world.storage.upload("snapshots", "bot-001/lost.jsonl", b"{}")
    assert not [key for key in sweep.sweep(services) if key.startswith("snapshot/bot-001")]
    old.clock.now += lost_uploads.EVERY
    old.storage.reset()
    assert [key for key in sweep.sweep(services) if key.startswith("snapshot/bot-001")]
    assert old.storage.requests.total() < 15 + 3 * 4 + 20


def test_a_row_that_was_lost_is_made_again_from_its_upload_within_a_day() -> None:
    world = World()
    intake.accept_since(world.services)
    world.drop("support-bot.jsonl", dialogues(40))
    world.run()
    (snapshot,) = [row.name for row in world.services.ledger.list("snapshot")]
    world.storage.delete("ledger", f"snapshots/support-bot/{snapshot}.json")
    world.clock.now += lost_uploads.WHOLE_EVERY
    sweep.sweep(world.services)
    assert world.services.ledger.read(f"snapshot/{snapshot}").row.source == "support-bot.jsonl"


# --- many uploads of one dataset ---------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [1, 0], ids=["a second apart", "in one second"])
def test_of_many_snapshots_of_a_dataset_only_those_are_read_that_no_newer_one_takes_the_place_of(apart: int) -> None:
    world = World()
    world.run(until=1)
    opened: list[str] = []
    real = world.storage.open

    def watched(container: str, name: str, etag: str) -> Any:
        opened.append(name)
        return real(container, name, etag)

    world.storage.open = watched  # type: ignore[method-assign]
    for number in range(40):
        world.clock.now += apart
        world.drop(f"support-bot/{number:02}.jsonl", dialogues(40, str(number)))
    world.run(until=4 * 3600)
    assert sorted(world.states().values()) == ["LIVE", *["SUPERSEDED"] * 39]
    assert len(set(opened)) <= 2


def test_those_that_wait_for_the_newest_are_told_of_its_verdict_and_hardly_ask() -> None:
    world = World()
    world.run(until=1)
    asked: Counter[str] = Counter()
    real = world._step

    def watched(message: str) -> None:
        asked[message.removesuffix("?")] += 1
        real(message)

    world._step = watched  # type: ignore[method-assign]
    for number in range(30):
        world.clock.now += 1
        world.drop(f"support-bot/{number:02}.jsonl", dialogues(40, str(number)))
    world.run(until=60)
    rows = sorted(world.services.ledger.rows("snapshot"), key=lambda row: row.uploaded_at)
    accepted = next(entry.at for entry in rows[-1].history if entry.state == S.VALIDATED)
    assert all(row.state == S.SUPERSEDED and row.since <= accepted + 1 for row in rows[:-1])
    assert max(asked[row.key] for row in rows[:-1]) <= 6


def test_when_the_newest_is_refused_the_next_in_line_is_told_at_once() -> None:
    world = World()
    world.run(until=1)
    for number, rows in enumerate((40, 3, 3, 3)):
        world.clock.now += 1
        world.drop(f"support-bot/{number}.jsonl", dialogues(rows, str(number)))
    dropped = world.clock.now
    world.run(until=30)
    first, *others = sorted(world.services.ledger.rows("snapshot"), key=lambda row: row.uploaded_at)
    assert [row.state for row in others] == ["REJECTED"] * 3
    assert [entry.at <= dropped + 5 for entry in first.history if entry.state == S.VALIDATED] == [True]


def test_when_the_newest_is_refused_the_one_before_it_is_taken() -> None:
    world = World()
    world.run(until=1)
    for number, rows in enumerate((40, 40, 3)):
        world.clock.now += 1
        world.drop(f"support-bot/{number}.jsonl", dialogues(rows, str(number)))
    world.run(until=4 * 3600)
    assert list(world.states().values()) == ["REJECTED", "LIVE", "SUPERSEDED"]


# --- messages ----------------------------------------------------------------------------------------------------


def test_nothing_is_hidden_in_the_queue_for_more_than_an_hour_and_the_sweep_sends_it_in_time() -> None:
    world = World()
    sweep.sweep(world.services)
    world.services.ledger.create(a_snapshot(S.TRAINING, poll_at=START + 3 * 3600))
    world.services.ledger.create(a_dataset(poll_at=START + 3 * 3600))
    assert world.storage.messages == []
    world.clock.now += 3 * 3600
    assert {KEY, f"dataset/{DATASET}"} <= set(sweep.sweep(world.services))
    assert {message for _, _, message in world.storage.messages} >= {KEY, f"dataset/{DATASET}"}


def test_what_ended_is_cleaned_in_time_though_nothing_waits_in_the_queue() -> None:
    world = World()
    sweep.sweep(world.services)
    day = 86_400.0
    world.services.ledger.create(a_snapshot(S.REJECTED, poll_at=START + 30 * day))
    world.storage.put("frozen", f"{SNAPSHOT}/train.jsonl", b"{}")
    sweep.sweep(world.services)
    assert world.storage.messages == []
    world.clock.now += 31 * day
    nightly.every_night(world.services)
    assert [message for _, _, message in world.storage.messages] == [KEY]
    steps.step(world.services, KEY)
    assert world.services.ledger.read(KEY).row.state == S.CLEANED
    with pytest.raises(NotFound):
        world.storage.head("frozen", f"{SNAPSHOT}/train.jsonl")
