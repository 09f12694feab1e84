"""Thirty days in seconds: questions on some days, rollouts good and bad, sleep, wake by a question, and the bill."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from shared.azure.inference import EndpointAnswer
from shared.ledger.rows import Origin
from shared.ledger.states import DatasetState as D
from shared.operations import actions, nightly, status
from tests.fakes import World, dialogues

HOUR, DAY = 3600.0, 86_400.0
NAME = "support-bot"


def _row(world: World) -> Any:
    return world.services.ledger.read(f"dataset/{NAME}").row


def _used(world: World) -> None:
    """A question as the app would take it: it wakes what sleeps and is noted where it is answered."""
    if _row(world).state == D.ASLEEP:
        for _ in range(5):
            actions.ask(world.services, NAME, "wake", "a call", Origin.CALL)
        world.run(until=HOUR)
    now = world.clock()
    world.services.ledger.change(f"dataset/{NAME}", lambda r: r.but(last_asked_at=now))


def _until(world: World, at: float) -> None:
    world.run(until=max(0.0, at - world.clock()))
    world.clock.now = max(world.clock.now, at)


def test_a_month_of_idle_nights_wakes_and_rollouts() -> None:
    world = World(settings={"idle_hours": 20, "prices": {"Standard_NC24ads_A100_v4": 4.0}, "currency": "EUR"})
    start = world.clock.now
    world.drop(f"{NAME}.jsonl", dialogues(40))
    world.run()
    slept, woken = 0, 0
    for day in range(30):
        morning = start + day * DAY + 8 * HOUR
        _until(world, morning)
        if day in (9, 16, 23):  # new data; once while it is asked every day, once bad, once in a quiet week
            known = set(world.workspace.deployments.created)
            world.inference.answers = lambda name, question, known=known, bad=day == 16: (  # type: ignore[misc]
                EndpointAnswer(200, "") if bad and name not in known else None
            )
            world.drop(f"{NAME}/{day}.jsonl", dialogues(60, str(day)))
            world.run()
        if day % 7 < 4 and day < 21:  # four days of three weeks; then nobody comes any more
            woken += _row(world).state == D.ASLEEP
            _used(world)
            assert _row(world).state == D.LIVE, day
        _until(world, start + day * DAY + 23 * HOUR)
        report = nightly.run(world.services)
        slept += any(line.asked_to_sleep for line in report.datasets)
        world.run(until=HOUR)

    assert (slept, woken) == (4, 2)
    assert _row(world).state == D.ASLEEP
    assert not world.workspace.endpoints.made
    assert len(world.workspace.jobs.submitted) == 4
    assert sorted(world.states().values()) == ["ASLEEP", "RETIRED", "RETIRED", "WITHHELD"]
    assert not world.workspace.deployments.made
    reports = [
        json.loads(s.data) for (c, n), s in world.storage.blobs.items() if c == "reports" and n.startswith("idle/")
    ]
    assert len(reports) == 30
    hours = sum(report["asleep_hours"] for report in reports)
    assert sum(report["saved"] for report in reports) == pytest.approx(hours * 4, abs=1)
    assert 5 * 24 < hours < 15 * 24
    history = " ".join(f"{e['state']} {e['reason']}" for e in status.dataset(world.services, NAME)["history"])
    assert history.count("ASLEEP asked for by timer") == 4


def _asleep(**settings: Any) -> World:
    world = World(settings={"wake_backoff_minutes": 5, **settings})
    world.drop(f"{NAME}.jsonl", dialogues(40))
    world.run()
    assert actions.ask(world.services, NAME, "sleep", "me").done
    world.run()
    return world


def test_wakes_that_fail_are_tried_again_by_questions_at_growing_distances() -> None:
    world = _asleep()
    world.workspace.deployments.outcome = lambda name: "Failed"
    tried = []
    for minute in range(24 * 60):
        _until(world, world.clock() + 60)
        before = len(world.workspace.endpoints.created)
        actions.ask(world.services, NAME, "wake", "a call", Origin.CALL)
        world.run(until=50)
        if len(world.workspace.endpoints.created) > before:
            tried.append(minute)
    gaps = [later - earlier for earlier, later in pairwise(tried)]
    assert gaps == sorted(gaps)
    assert len(tried) <= 9
    _until(world, world.clock() + HOUR)
    row = _row(world)
    assert (row.state, row.wake_failures) == (D.ASLEEP, len(tried))
    assert not world.workspace.endpoints.made


def test_a_person_wakes_it_all_the_same_and_a_wake_that_works_ends_the_pause() -> None:
    world = _asleep(wake_backoff_minutes=600)
    world.workspace.deployments.outcome = lambda name: "Failed"
    actions.ask(world.services, NAME, "wake", "a call", Origin.CALL)
    world.run()
    row = _row(world)
    assert (row.state, row.wake_failures) == (D.ASLEEP, 1)
    assert "no question wakes it for 600 min" in row.reason
    world.workspace.deployments.outcome = lambda name: "Succeeded"
    refused = actions.ask(world.services, NAME, "wake", "a call", Origin.CALL)
    assert (refused.done, "could not be woken" in refused.text) == (False, True)
    assert actions.ask(world.services, NAME, "wake", "ada").done
    world.run()
    assert (_row(world).state, _row(world).wake_failures, _row(world).wake_not_before) == (D.LIVE, 0, 0.0)


def test_a_late_message_wakes_nobody() -> None:
    world = _asleep()
    made = len(world.workspace.endpoints.created)
    for _ in range(3):
        world.services.ledger.hint(f"dataset/{NAME}")
    world.run()
    assert _row(world).state == D.ASLEEP
    assert len(world.workspace.endpoints.created) == made


def test_a_wake_that_keeps_failing_is_given_up_before_it_needs_a_person() -> None:
    world = _asleep()
    start = world.workspace.deployments.create

    def defect(spec: Any) -> str:
        raise RuntimeError("unexpected")

    world.workspace.deployments.create = defect  # type: ignore[method-assign]
    actions.ask(world.services, NAME, "wake", "ada")
    world.run()
    world.workspace.deployments.create = start  # type: ignore[method-assign]
    row = _row(world)
    assert (row.state, row.attention, row.wake_failures) == (D.ASLEEP, False, 1)
    assert "failed 4 times: RuntimeError" in row.reason
    assert not world.workspace.endpoints.made
