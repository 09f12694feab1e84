"""What a job logs is kept while it trains, bounded, and never costs the training anything."""

from __future__ import annotations

import pytest

from shared import naming
from shared.azure.workspace.tracking import MetricPoint
from shared.operations import training
from shared.training import progress
from tests.builders import DATASET
from tests.fake_workspace import DATA_SCIENTIST
from tests.fakes import World, dialogues


def _training(logs: bool = True, role: str = DATA_SCIENTIST) -> World:
    """A world whose only snapshot trains for ten minutes, of which less than two have passed."""
    world = World()
    world.workspace.pace = 600.0
    world.workspace.tracking.logs, world.workspace.tracking.role = logs, role
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.run(until=100)
    assert world.snapshots()[0]["state"] == "TRAINING"
    return world


def _points(*values: tuple[int, float, float]) -> list[MetricPoint]:
    return [MetricPoint(step=step, at=at, value=value) for step, at, value in values]


def test_progress_is_seen_while_it_trains_with_the_time_that_is_left() -> None:
    world = _training()
    world.run(until=250)
    found = training.training(world.services, world.snapshots()[0]["id"])
    assert found.job_status == "Running"
    assert found.step
    assert found.share == pytest.approx(found.step / 600)
    assert found.steps == 600
    assert found.seconds_left == pytest.approx(600 - found.step - (world.clock() - found.curves["loss"][-1].at), abs=1)
    assert found.latest["loss"] == pytest.approx(20 / found.step)
    assert found.tokens_per_second
    assert found.why is None


def test_a_poll_asks_once_and_at_the_end_the_whole_curve_is_read() -> None:
    world = _training()
    world.run(until=400)
    assert set(world.workspace.tracking.reads) == {"latest"}
    assert len(world.workspace.tracking.reads) <= 500 // world.services.settings.look_seconds + 1
    world.run()
    found = training.training(world.services, world.snapshots()[0]["id"])
    assert world.workspace.tracking.reads[-3:] == ["latest", "loss", "learning_rate"]
    assert [point.step for point in found.curves["loss"]] == list(range(10, 601, 10))
    assert (found.share, found.seconds_left) == (1.0, None)


def test_where_nothing_new_was_logged_nothing_is_written() -> None:
    world = _training(logs=False)
    before = world.snapshots()[0]["id"]
    world.run(until=400)
    assert ("reports", naming.training_metrics(before, 1)) not in world.storage.blobs
    found = training.training(world.services, before)
    assert (found.share, found.seconds_left, found.why) == (None, None, "the job has not logged anything yet")


def test_a_missing_role_is_named_once_and_the_snapshot_goes_live_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    world = _training(role="a role of its own")
    world.workspace.missing.add("a role of its own")
    world.run(until=300)
    found = training.training(world.services, world.snapshots()[0]["id"])
    assert found.why is not None
    assert found.why.endswith("it needs the role a role of its own")
    assert sum("a role of its own" in record.message for record in caplog.records) == 1
    world.workspace.missing.clear()
    world.run()
    assert world.snapshots()[0]["state"] == "LIVE"
    assert training.training(world.services, world.snapshots()[0]["id"]).why is None


def test_a_damaged_curve_fails_no_training_and_is_read_anew() -> None:
    world = _training()
    world.storage.put("reports", naming.training_metrics(world.snapshots()[0]["id"], 1), b"damaged")
    world.run()
    assert world.snapshots()[0]["state"] == "LIVE"
    assert training.training(world.services, world.snapshots()[0]["id"]).share == 1.0


def test_a_retry_has_a_curve_of_its_own() -> None:
    from shared.operations import actions

    world = _training()
    world.workspace.jobs.outcome = lambda name: "Failed" if name.endswith("-1") else "Completed"
    world.run(until=2000)
    row = world.snapshots()[0]
    assert row["state"] == "TRAINING_FAILED"
    assert training.training(world.services, row["id"]).attempt == 1
    assert actions.retry(world.services, row["id"], "ada").done
    world.run()
    found = training.training(world.services, row["id"])
    assert (found.attempt, found.job[-2:]) == (2, "-2")
    assert {naming.training_metrics(row["id"], n) for n in (1, 2)} <= {name for _, name in world.storage.blobs}


def test_curves_are_bounded_in_number_and_length_and_keep_their_ends() -> None:
    many = _points(*((n, float(n), 1.0 / n) for n in range(1, 5000)))
    curves = progress.merged({}, {"loss": many, **{f"metric_{n:03}": many[:1] for n in range(100)}})
    assert len(curves) == progress.MOST_METRICS
    assert "loss" in curves
    assert progress.MOST_POINTS / 2 <= len(curves["loss"]) <= progress.MOST_POINTS
    assert (curves["loss"][0].step, curves["loss"][-1].step) == (1, 4999)


def test_points_come_in_the_order_of_time_and_each_once() -> None:
    first, second, third = _points((10, 1.0, 3.0), (20, 2.0, 2.0), (30, 3.0, 1.0))
    assert progress.merged({"loss": (first, third)}, {"loss": [second, third]})["loss"] == (first, second, third)
