"""The night's report: what was found, what became of it, and what it saved."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from shared.ledger.rows import HistoryEntry
from shared.ledger.states import DatasetState as D
from shared.operations import nightly
from tests.builders import DATASET, NEWER, a_dataset, a_release
from tests.fakes import GPU, START, World

HOUR = 3600.0
DAY = 24 * HOUR


def _row(*history: tuple[D, float]) -> Any:
    return a_dataset(
        history[-1][0], history=tuple(HistoryEntry(state=s, at=START + at, reason="x") for s, at in history)
    )


@pytest.mark.parametrize(
    ("history", "hours"),
    [
        ([(D.LIVE, 0.0)], 0),
        ([(D.ASLEEP, 0.0)], 24),
        ([(D.ASLEEP, -DAY)], 24),
        ([(D.LIVE, 0.0), (D.SLEEPING, 10 * HOUR), (D.ASLEEP, 11 * HOUR)], 13),
        ([(D.ASLEEP, -HOUR), (D.WAKING, 2 * HOUR), (D.LIVE, 3 * HOUR), (D.ASLEEP, 20 * HOUR)], 6),
    ],
)
def test_only_the_time_asleep_within_the_window_counts(history: list[tuple[D, float]], hours: float) -> None:
    assert nightly.asleep_seconds(_row(*history), START, START + DAY) == hours * HOUR


def _asleep(**settings: Any) -> World:
    world = World(settings=settings)
    world.services.ledger.create(a_dataset(D.ASLEEP))
    world.clock.now += DAY
    return world


def test_a_report_counts_the_machines_that_run() -> None:
    world = World(settings={"prices": {GPU.lower(): 3.5}, "serving_instances": 2})
    rows = {
        "empty": a_dataset(D.EMPTY, name="empty"),
        "live": a_dataset(name="live"),
        "rollout": a_dataset(D.SHIFTING, name="rollout", candidate=a_release(NEWER)),
        "kept": a_dataset(name="kept", previous=a_release(NEWER)),
    }
    for row in rows.values():
        world.services.ledger.create(row)
    lines = {line.dataset: (line.machines, line.cost_per_hour) for line in nightly.run(world.services).datasets}
    assert lines == {"empty": (0, 0), "kept": (4, 14), "live": (2, 7), "rollout": (4, 14)}


def test_a_report_is_kept_with_the_money_saved_by_the_price_of_the_size(caplog: pytest.LogCaptureFixture) -> None:
    world = _asleep(prices={GPU.lower(): 3.5}, currency="EUR", serving_instances=2)
    with caplog.at_level(logging.INFO):
        report = nightly.run(world.services)
    (line,) = report.datasets
    assert (line.dataset, line.state, line.verdict) == (DATASET, "ASLEEP", "not up")
    assert (line.asleep_hours, line.saved) == (24, 168)
    assert (line.machines, line.cost_per_hour) == (0, 0)  # it sleeps
    assert (report.asleep_hours, report.saved) == (24, 168)
    name = "idle/2026-09-22T141320.json"
    assert json.loads(world.storage.blobs["reports", name].data)["saved"] == 168
    assert f"0 found, asked to sleep: none; 0 kept, 0 not known; 24 hours asleep saved 168.00 EUR; reports/{name}" in (
        caplog.text
    )


def test_the_next_report_begins_where_the_last_one_ended() -> None:
    world = _asleep()
    nightly.run(world.services)
    world.clock.now += 3 * HOUR
    report = nightly.run(world.services)
    assert (report.since, report.asleep_hours) == ("2026-09-22T14:13:20Z", 3)


def test_without_a_price_the_hours_are_told_and_no_money() -> None:
    report = nightly.run(_asleep(prices={"Standard_Other": 1}).services)
    assert (report.asleep_hours, report.saved, report.datasets[0].saved) == (24, None, None)


def test_a_ledger_that_cannot_be_listed_makes_no_report() -> None:
    world = _asleep()

    def fails(*_: Any) -> Any:
        raise OSError("cut off")

    listing = world.storage.list
    world.storage.list = fails  # type: ignore[method-assign, assignment]
    with pytest.raises(OSError, match="cut off"):
        nightly.run(world.services)
    world.storage.list = listing  # type: ignore[method-assign]
    assert not list(listing("reports"))


def test_the_age_of_each_endpoint_is_logged_for_an_alert(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.services.ledger.create(_row((D.LIVE, -3 * DAY), (D.SHIFTING, -DAY), (D.LIVE, -HOUR)))
    with caplog.at_level(logging.INFO):
        nightly.run(world.services)
    assert f"the endpoint of {DATASET} is up for 0 days by now" in caplog.text
    world.clock.now += 20 * DAY
    with caplog.at_level(logging.INFO):
        nightly.run(world.services)
    assert f"the endpoint of {DATASET} is up for 20 days by now" in caplog.text
