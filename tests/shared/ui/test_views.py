"""What the views ask of storage, and the pure parts that they are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from shared import naming
from shared.ledger.cards import Card, card_of
from shared.ledger.rows import HistoryEntry, TrainingEstimate
from shared.ledger.states import ENDED, DatasetState, ReleaseState, SnapshotState
from shared.operations import actions, paging
from shared.runtime import Services
from shared.ui import charts, dataset, home, lists, nights, snapshot, timeline, wording
from shared.ui.sign_in import Visitor
from shared.ui.view import html
from tests.builders import DATASET, SNAPSHOT, a_dataset, a_release, a_snapshot, a_trained_snapshot
from tests.counted_storage import CountedStorage
from tests.fakes import START, World, dialogues

# Parts of a release that is not over.
_RELEASING = ("DEPLOYING", "EVALUATING", "SHIFTING")
PAGE = (Path(__file__).parents[3] / "docs" / "page.md").read_text("utf-8")
VIEWS: dict[str, Callable[[Services], object]] = {
    "overview": home.view,
    "datasets": lambda services: lists.dataset_list(services, {}),
    "snapshots": lambda services: lists.snapshots(services, {}),
    "dataset": lambda services: dataset.view(services, DATASET),
    "snapshot": lambda services: snapshot.view(services, SNAPSHOT),
    "nights": lambda services: nights.night_list(services, {}),
}


def requests(world: World, ended: int, datasets: int) -> dict[str, int]:
    """The requests of each view over an installation with so many ended snapshots and datasets."""
    names = [DATASET, *(f"bot-{n:04}" for n in range(datasets - 1))]
    world.services.ledger.create(a_trained_snapshot())
    for name in names:
        world.services.ledger.create(a_dataset(name=name, live=a_release()))
    ids = [naming.snapshot_id(names[n % datasets], START - n * 60, str(n), "0x1") for n in range(ended)]
    world.services.ledger.index.rebuild({one: Card(id=one, state="RETIRED", since=START) for one in ids}, ())
    counted: Any = CountedStorage(world.storage)
    given: Any = world
    services = Services(given.services.settings, counted, given.workspace, given.metrics, given.inference, world.clock)
    found = {}
    for name, view in VIEWS.items():
        counted.reset()
        view(services)
        found[name] = sum(counted.requests.values())
    return found


def test_a_view_takes_the_same_few_requests_however_much_there_is() -> None:
    few, many = requests(World(), 1000, 3), requests(World(), 10_000, 100)
    assert few == many
    stated = {
        row.split("|")[1].strip(): int(row.split("|")[2].split("(")[0].split(",")[0])
        for row in PAGE.split("| view |")[1].splitlines()[2:]
        if row.startswith("|")
    }
    assert stated == many


def test_a_page_of_snapshots_is_cut_and_goes_on_where_it_ended() -> None:
    world = World()
    ids = [naming.snapshot_id(DATASET, START - n * 60, str(n), "0x1") for n in range(120)]
    world.services.ledger.index.rebuild({one: Card(id=one, state="REJECTED", since=START) for one in ids}, ())
    seen: list[str] = []
    asked = {"state": "REJECTED"}
    while True:
        view = lists.snapshots(world.services, asked)
        seen += [row["id"] for row in view.values["snapshots"]]
        if not view.values["next"]:
            break
        assert view.values["next"].startswith("snapshots?state=REJECTED&before=")
        asked["before"] = view.values["next"].rpartition("=")[2]
    assert seen == ids


def test_the_first_page_of_a_list_is_the_one_with_the_same_filters_and_order() -> None:
    world = World()
    for number in range(3):
        world.services.ledger.create(a_dataset(name=f"bot-{number}"))
    first = lists.dataset_list(world.services, {"sort": "price", "limit": "2"})
    assert first.values["first"] == ""
    assert first.values["next"].startswith("datasets?sort=price&before=")
    second = lists.dataset_list(world.services, dict(parse_qsl(first.values["next"].partition("?")[2])))
    assert (second.values["first"], second.values["next"]) == ("datasets?sort=price", "")
    assert lists.snapshots(world.services, {"before": SNAPSHOT}).values["first"] == "snapshots"


def test_what_waits_for_a_person_is_all_of_it_and_nothing_else() -> None:
    world = World()
    for name, attention in (("stuck", True), ("fine", False)):
        world.services.ledger.create(a_dataset(name=name, live=a_release(), attention=attention))
    old = a_snapshot("TRAINING_FAILED", id=f"fine-{SNAPSHOT.partition('bot-')[2]}", dataset="fine")  # type: ignore[arg-type]
    world.services.ledger.create(old)
    waiting = a_snapshot(id=f"calm-{SNAPSHOT.partition('bot-')[2]}", dataset="calm", attention=True)
    world.services.ledger.create(waiting)
    tasks = home.view(world.services).values["tasks"]
    assert [task.link for task in tasks] == ["datasets/stuck", f"snapshots/{old.id}", f"snapshots/{waiting.id}"]


def test_a_release_that_a_person_took_back_waits_for_nobody() -> None:
    world = World(settings={"rollback_keep_hours": 24})
    for number, seed in enumerate(("", "next")):
        world.clock.now += number
        world.drop(f"{DATASET}/{number}.jsonl", dialogues(40, seed))
        world.run(until=7200)
    assert actions.ask(world.services, DATASET, "roll_back", "ada").done
    world.run()
    newest = max(world.states())
    assert world.states()[newest] == "ROLLED_BACK"
    assert home.view(world.services).values["tasks"] == []
    # Nor when so many others were dropped since that it is on no first page any more.
    later = [naming.snapshot_id("other", world.clock() + n, str(n), "0x1") for n in range(paging.MOST + 1)]
    world.services.ledger.index.add(Card(id=one, state="RETIRED", since=world.clock()) for one in later)
    assert home.view(world.services).values["tasks"] == []


def test_a_timeline_has_what_the_dataset_did_for_this_snapshot_only() -> None:
    def entry(at: int, state: str, reason: str = "") -> dict[str, str]:
        return {"state": state, "at": f"2026-09-21T14:0{at}:00.000Z", "reason": reason}

    row = {"id": "a-2", "history": [entry(1, "TRAINED"), entry(2, "REGISTERED")]}
    of_dataset = {
        "candidate": None,
        "history": [
            entry(0, "DEPLOYING", "release of a-1"),
            entry(3, "DEPLOYING", "release of a-2"),
            entry(4, "LIVE", "a-2 serves"),
            entry(5, "ASLEEP", "asked for by timer"),
        ],
    }
    assert [one["state"] for one in timeline.of_snapshot(row, of_dataset)] == [
        "TRAINED", "REGISTERED", "DEPLOYING", "LIVE",
    ]  # fmt: skip
    assert timeline.of_snapshot(row, None) == row["history"]


def test_a_histogram_has_a_place_for_sizes_without_rows_and_says_what_it_shows() -> None:
    drawn = charts.histogram([(3, 10), (15, 5)], "turns")
    assert drawn is not None
    assert [bar.height for bar in drawn.bars] == [92.0, 0.0, 46.0]
    assert "3 turns" not in drawn.text
    assert drawn.text == "Turns a row: most rows (10) have up to 3"
    assert charts.histogram([(7, 0)], "turns") is None


def test_calls_are_drawn_at_their_minute_with_failures_on_top() -> None:
    minutes = [charts.MinuteOfCalls(100, 8, 2, 0.5, 1.0), charts.MinuteOfCalls(159, 1, 0, None, None)]
    drawn = charts.calls(minutes, 100, 159)
    assert drawn is not None
    shown, seconds = drawn
    assert [(bar.kind, bar.text) for bar in shown.bars] == [
        ("answered", "01:40: 8 answered, 2 failed"),
        ("failed", "01:40: 8 answered, 2 failed"),
        ("answered", "02:39: 1 answered, 0 failed"),
    ]
    assert all(0 <= bar.x <= bar.x + bar.width <= shown.width for bar in shown.bars)
    assert {kind for kind, _ in seconds.lines} == {"p50", "p95"}
    assert charts.calls([], 0, 59) is None


@pytest.mark.parametrize(("value", "text"), [(0, "0 s"), (59, "59 s"), (61, "1 min"), (7200, "2 h"), (200_000, "2 d")])
def test_spans_are_said_in_the_largest_unit_that_fits(value: float, text: str) -> None:
    assert wording.span(value) == text


def test_what_is_not_known_is_a_dash_and_no_number() -> None:
    assert [wording.money(None, "USD"), wording.count(None), wording.seconds(None), wording.ago(None, 0.0)] == ["–"] * 4
    assert wording.money(1234.5, "USD") == "1\u202f234.50 USD"


@pytest.mark.parametrize(
    ("hours", "text"),
    [(0.0, "–"), (0.004, "under a minute"), (0.25, "15 min"), (3.25, "3.25 h"), (0.6996, "42 min"), (12.0, "12 h")],
)
def test_hours_of_small_jobs_are_never_told_as_none(hours: float, text: str) -> None:
    assert wording.hours(hours) == text


def test_money_of_small_jobs_is_never_told_as_none() -> None:
    assert wording.spent(0.0, "USD", 0.004) == "less than 0.01 USD"
    assert [wording.spent(0.0, "USD", 0.0), wording.spent(1.5, "USD", 0.1)] == ["0.00 USD", "1.50 USD"]
    assert [wording.about_cost(0.0, "USD"), wording.about_cost(1234.5, "USD")] == [
        "less than 0.01 USD", "about 1\u202f234.50 USD",
    ]  # fmt: skip


def test_an_estimate_on_the_page_has_the_words_of_the_command_line() -> None:
    world = World()
    small = TrainingEstimate(tokens=5000, hours=0.001, cost=0.0, currency="USD", machines=1, size="Standard_NC24")
    world.services.ledger.create(a_trained_snapshot(estimate=small))
    shown = html(snapshot.view(world.services, SNAPSHOT), Visitor("ada", True, "token"), START, "x")
    assert "tokens, under a minute on 1 × NC24, less than 0.01 USD" in shown


def test_every_state_has_a_tone_and_what_ended_is_never_shown_as_under_way() -> None:
    """A state that is added and not put into a group would be shown as busy, and its page would ask again for ever."""
    under_way = {*map(str, SnapshotState), *map(str, ReleaseState), *map(str, DatasetState)}
    ended = {*map(str, ENDED), *(state for state in map(str, ReleaseState) if state not in _RELEASING)}
    assert {state for state in ended if wording.tone(state) == "busy"} == set()
    assert {state for state in under_way if wording.tone(state) == "busy"} == {
        "RECEIVED", "VALIDATING", "VALIDATED", "SUBMITTING", "TRAINING", "TRAINED", "REGISTERING", "CANCELING",
        "DEPLOYING", "EVALUATING", "SHIFTING", "SLEEPING", "WAKING", "DELETING",
    }  # fmt: skip


def test_a_reason_that_a_list_cut_goes_on_once() -> None:
    text = "a reason " * 50
    shown = card_of(a_snapshot(history=(HistoryEntry(state="RECEIVED", at=START, reason=text),))).reason
    assert wording.cut(shown).count("…") == wording.cut(text[:160]).count("…") == 1
