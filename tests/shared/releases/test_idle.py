"""Idle, kept or not known: what is never put to sleep, and why."""

from __future__ import annotations

from typing import Any

import pytest

from shared import naming
from shared.ledger.rows import Dataset, HistoryEntry
from shared.ledger.states import DatasetState as D
from shared.releases import idle
from tests.builders import DATASET, DEPLOYMENT, ENDPOINT, a_dataset, a_release, a_request
from tests.fake_workspace.made import Made
from tests.fakes import START, World

HOUR = 3600.0


def _world(row: Dataset | None = None, tags: dict[str, str] | None = None, **settings: Any) -> World:
    """A world in which a dataset has been live and not asked for two days."""
    world = World(settings={"idle_hours": 24, **settings})
    world.workspace.endpoints.write(ENDPOINT, tags or {}, {})
    world.workspace.endpoints.made[ENDPOINT].ready_at = START
    world.workspace.deployments.made[ENDPOINT, DEPLOYMENT] = Made(a_release(), START)
    world.services.ledger.create(row or a_dataset())
    world.clock.now = START + 48 * HOUR
    return world


def _judged(world: World) -> tuple[str, str]:
    found = idle.judge(world.services, world.services.ledger.read(f"dataset/{DATASET}").row)
    return found.verdict, found.why


def test_what_nobody_asked_for_long_is_idle() -> None:
    assert _judged(_world()) == ("idle", "nobody asked for 24 h")


@pytest.mark.parametrize("state", [s for s in D if s != D.LIVE])
def test_only_what_is_live_can_be_idle(state: D) -> None:
    assert _judged(_world(a_dataset(state)))[0] == "not up"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"last_asked_at": START + 46 * HOUR}, "it was asked 2.0 h ago"),
        ({"candidate": a_release()}, "a rollout is under way"),
        ({"requested": a_request("retry")}, "me asked for retry"),
    ],
)
def test_what_was_wanted_lately_is_kept(changes: dict[str, Any], why: str) -> None:
    assert _judged(_world(a_dataset(**changes))) == ("kept", why)


def test_the_window_begins_after_the_last_change() -> None:
    world = _world()
    note = HistoryEntry(state=D.LIVE, at=START + 47.5 * HOUR, reason="a deployment was removed")
    world.services.ledger.change(f"dataset/{DATASET}", lambda r: r.but(history=(*r.history, note)))
    assert _judged(world) == ("kept", "it changed 30 min ago")
    world.clock.now -= 1790
    assert _judged(world) == ("kept", "it changed under a minute ago")


def test_an_endpoint_asked_past_the_app_is_kept_by_its_metrics() -> None:
    world = _world()
    world.metrics.asked[ENDPOINT] = [START + 30 * HOUR] * 3
    assert _judged(world) == ("kept", "its metrics have up to 3 requests a minute")
    world.clock.now += 12 * HOUR
    assert _judged(world)[0] == "idle"


def test_metrics_that_cannot_be_read_are_not_zero() -> None:
    world = _world()
    world.metrics.rate = None
    assert _judged(world) == ("unknown", "metrics could not be read (HttpResponseError)")


def test_an_endpoint_that_is_not_there_is_not_known_to_be_idle() -> None:
    world = _world()
    world.workspace.endpoints.made.clear()
    assert _judged(world) == ("unknown", f"endpoint {ENDPOINT} is not there")


@pytest.mark.parametrize(
    ("tag", "verdict"),
    [
        ("true", "kept"), ("for the fair", "kept"), ("2099-12-31", "kept"), ("2026-09-23", "kept"),
        ("2026-09-22", "idle"), ("false", "idle"), ("No", "idle"), ("", "idle"),
    ],
)  # fmt: skip
def test_a_keep_tag_keeps_for_good_or_until_its_date(tag: str, verdict: str) -> None:
    assert _judged(_world(tags={naming.TAG_KEEP: tag}))[0] == verdict


def test_a_minimum_age_counts_from_when_the_endpoint_came_up() -> None:
    history = (
        HistoryEntry(state=D.ASLEEP, at=START),
        HistoryEntry(state=D.LIVE, at=START + HOUR),
        HistoryEntry(state=D.LIVE, at=START + 5),
    )
    world = _world(idle_min_age_hours=72)
    world.services.ledger.change(f"dataset/{DATASET}", lambda r: r.but(history=history))
    assert _judged(world) == ("kept", "it came up 47.0 h ago and IDLE_MIN_AGE_HOURS is 72")
    world.clock.now += 25 * HOUR
    assert _judged(world)[0] == "idle"


def test_nothing_is_idle_in_the_hours_in_which_it_is_kept_warm() -> None:
    world = _world(keep_warm="Wed 16:00-17:00 Europe/Berlin")  # START + 48 h: a Wednesday, 16:13 in Berlin
    assert _judged(world) == ("kept", "it is kept warm at this hour: KEEP_WARM is Wed 16:00-17:00 Europe/Berlin")
    world.clock.now += HOUR
    assert _judged(world)[0] == "idle"


def test_asking_twice_to_sleep_is_asking_once_and_a_dry_run_asks_nobody() -> None:
    world = _world()
    assert idle.request_sleep(world.services) == [DATASET]
    first = world.services.ledger.read(f"dataset/{DATASET}")
    world.clock.now += 60
    idle.request_sleep(world.services)
    assert world.services.ledger.read(f"dataset/{DATASET}") == first
    dry = _world(idle_dry_run=True)
    assert idle.request_sleep(dry.services) == []
    assert dry.services.ledger.read(f"dataset/{DATASET}").row.requested is None
