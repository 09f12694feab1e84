"""Roles that the app's identity lacks: what goes on without them, what waits, and where each is named."""

from __future__ import annotations

from typing import Any

import pytest

from shared.operations import actions, nightly, status, sweep
from tests.fake_workspace import COMPUTE_OPERATOR, DATA_SCIENTIST, READER
from tests.fakes import World, dialogues

DAY = 86_400.0


def _world(*missing: str, **settings: Any) -> World:
    world = World(settings=settings)
    world.workspace.missing.update(missing)
    world.drop("support-bot.jsonl", dialogues(40))
    return world


def _shown(world: World) -> dict[str, Any]:
    (row,) = world.snapshots()
    return row


def test_without_a_role_on_the_subscription_a_file_is_served_all_the_same_and_says_what_was_not_checked() -> None:
    world = _world(READER)
    world.run()
    shown = _shown(world)
    assert (shown["state"], shown["fault"]) == ("LIVE", None)
    sizes, quota = shown["unchecked"]
    assert READER in sizes
    assert "registry's facts" in sizes
    assert READER in quota
    assert "Azure says it" in quota
    (spec,) = world.workspace.jobs.specs.values()
    assert spec.inputs["number_of_gpu_to_use_finetuning"] == 1


def test_what_is_checked_once_the_role_is_there_is_not_said_to_be_unchecked() -> None:
    world = _world()
    world.run()
    assert _shown(world)["unchecked"] == []


def test_what_does_not_need_the_subscription_is_refused_without_it() -> None:
    world = _world(READER, serving_instance_type="Standard_NC6")
    world.run()
    assert _shown(world)["state"] == "REJECTED"
    assert "too old" in _shown(world)["reason"]
    assert "does not offer" not in _shown(world)["reason"]


def test_while_metrics_may_not_be_read_nothing_sleeps_and_the_nights_report_says_why_first() -> None:
    world = _world(READER)
    world.run()
    world.clock.now += DAY
    nightly.run(world.services)
    world.run(600)
    world.clock.now += DAY
    report = nightly.run(world.services)
    world.run(600)
    assert _shown(world)["state"] == "LIVE"
    assert report.summary.startswith("not put to sleep, because it is not known whether they are asked: support-bot: ")
    assert READER in report.summary
    newest = max(name for container, name in world.storage.blobs if container == "reports" and name.startswith("idle/"))
    first = world.storage.blobs["reports", newest].data.decode().splitlines()[1]
    assert first.startswith(' "summary": "not put to sleep')
    world.workspace.missing.clear()
    world.clock.now += DAY
    assert nightly.run(world.services).summary.startswith("idle endpoints: 1 found, asked to sleep: support-bot")


@pytest.mark.parametrize(
    ("role", "settings", "states"),
    [
        (DATA_SCIENTIST, {}, ("VALIDATING", "SUBMITTING")),
        (COMPUTE_OPERATOR, {"training_compute": "gpus", "create_compute": True}, ("VALIDATED",)),
    ],
)
def test_a_role_that_is_needed_is_named_where_people_look_and_the_rest_follows_once_it_is_given(
    role: str, settings: dict[str, Any], states: tuple[str, ...]
) -> None:
    world = _world(role, **settings)
    world.run()
    shown = _shown(world)
    assert shown["state"] in states
    assert role in shown["waiting"]
    assert role in shown["fault"]["message"]
    assert shown["needs_attention"], "nobody is asked again and again without an end"
    sweep.sweep(world.services)
    assert any(role in problem["text"] for problem in status.not_allowed(world.services))
    world.workspace.missing.clear()
    assert actions.retry(world.services, shown["id"], "ada").done
    world.run()
    assert (_shown(world)["state"], _shown(world)["waiting"]) == ("LIVE", None)
    sweep.sweep(world.services)
    assert status.not_allowed(world.services) == []


def test_a_dataset_that_lacks_a_role_says_so_in_its_snapshot() -> None:
    world = _world()
    world.run(150)  # it is being trained
    while _shown(world)["state"] not in ("REGISTERED", "DEPLOYING"):
        world.run(60)
    world.workspace.missing.add(DATA_SCIENTIST)
    world.run()
    assert DATA_SCIENTIST in _shown(world)["waiting"]


def test_a_missing_role_is_found_before_anything_is_dropped_and_is_looked_for_again_once_an_hour() -> None:
    world = World()
    world.workspace.missing.add(DATA_SCIENTIST)
    sweep.sweep(world.services)
    (problem,) = status.not_allowed(world.services)
    assert DATA_SCIENTIST in problem["text"]
    world.clock.now += 300
    world.workspace.missing.clear()
    sweep.sweep(world.services)
    assert status.not_allowed(world.services) == [], "while one is missing each sweep looks"
    world.workspace.missing.add(READER)
    world.clock.now += 300
    sweep.sweep(world.services)
    assert status.not_allowed(world.services) == [], "it is known well enough for an hour"
    world.clock.now += 3600
    sweep.sweep(world.services)
    assert len(status.not_allowed(world.services)) == 1
