"""What a job will take, by tokens and speed; more than it may cost is refused, and ended when its time costs more."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger.rows import Check, ReportSummary, Snapshot, TrainingEstimate
from shared.ledger.states import SnapshotState
from shared.training import estimate, preflight
from tests.builders import a_base_model, a_trained_snapshot
from tests.fakes import GPU, World

SPEED = {"training_tokens_per_second": 10, "prices": {GPU.lower(): 4.0}, "currency": "EUR"}


def _row(tokens_per_row: float = 360.0, **hyperparameters: Any) -> Snapshot:
    """A snapshot with 100 rows to train on, at so many tokens each."""
    report = ReportSummary(blob="r", verdict="accepted", rows=120, errors=0, warnings=0, tokens_per_row=tokens_per_row)
    return a_trained_snapshot(
        SnapshotState.VALIDATED,
        report=report,
        counts={"train": 100, "validation": 10, "test": 10},
        hyperparameters=hyperparameters,
        context_tokens=4096,
    )


def _estimate(row: Snapshot, **settings: Any) -> TrainingEstimate | None:
    return estimate.estimate(World(settings=settings).services, row)


def test_tokens_times_epochs_by_speed_and_price_are_hours_and_money() -> None:
    assert _estimate(_row(num_train_epochs=3), **SPEED) == TrainingEstimate(
        tokens=108_000, size=GPU, machines=1, hours=3.0, cost=12.0, currency="EUR", basis="set"
    )


def test_more_machines_take_less_time_and_cost_the_same() -> None:
    found = _estimate(_row(num_train_epochs=3), training_nodes=3, **SPEED)
    assert found is not None
    assert (found.machines, found.hours, found.cost) == (3, 1.0, 12.0)


@pytest.mark.parametrize(
    ("hyperparameters", "tokens"),
    [
        ({}, 36_000),
        ({"max_seq_length": 100}, 10_000),
        ({"pad_to_max_length": "true"}, 409_600),
        ({"pad_to_max_length": "true", "max_seq_length": 1000}, 100_000),
        ({"max_steps": 50, "num_train_epochs": 9}, 18_000),
        ({"max_steps": 50, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}, 144_000),
    ],
)
def test_what_is_cut_padded_or_counted_in_steps_counts_as_such(hyperparameters: dict[str, Any], tokens: int) -> None:
    found = _estimate(_row(**hyperparameters))
    assert found is not None
    assert found.tokens == tokens


def test_without_a_speed_or_a_price_only_tokens_are_known() -> None:
    found = _estimate(_row())
    assert found == TrainingEstimate(tokens=36_000, size=GPU, machines=1)
    found = _estimate(_row(), training_tokens_per_second=10)
    assert found is not None
    assert (found.hours, found.cost) == (1.0, None)


def test_rows_that_were_never_measured_have_no_estimate() -> None:
    assert _estimate(_row(0.0), **SPEED) is None
    assert _estimate(_row().but(report=None), **SPEED) is None


def test_the_speed_is_that_of_earlier_jobs_of_the_same_model_and_size() -> None:
    world = World()
    row = _row().but(estimate=estimate.estimate(world.services, _row()))
    world.clock.now += 1800
    for _ in range(2):
        estimate.measure(world.services, row)  # a repeat keeps it once
    found = estimate.estimate(world.services, _row(num_train_epochs=4))
    assert found is not None
    assert (found.hours, found.basis) == (2.0, "measured")
    other = World(settings={"training_instance_type": "Standard_E8s_v3"})
    other.storage.blobs.update(world.storage.blobs)
    slower = estimate.estimate(other.services, _row())
    assert slower is not None
    assert slower.hours is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"runs": {"a": 1}}', b"\xff"])
def test_a_damaged_record_of_speeds_is_as_none(data: bytes) -> None:
    world = World()
    world.storage.put(estimate.CONTAINER, estimate.BLOB, data)
    found = estimate.estimate(world.services, _row())
    assert found is not None
    assert found.hours is None


def test_only_the_latest_jobs_are_kept() -> None:
    world = World()
    for number in range(25):
        row = _row().but(estimate=estimate.estimate(world.services, _row()), job=f"job-{number}")
        world.clock.now += 60
        estimate.measure(world.services, row)
    text = world.storage.read(estimate.CONTAINER, estimate.BLOB)[0].decode()
    assert ('"job-24"' in text, '"job-5"' in text, '"job-4"' in text) == (True, True, False)


def test_a_job_that_costs_more_than_it_may_is_refused_with_its_numbers_and_can_be_excused() -> None:
    world, row = World(settings={**SPEED, "max_run_cost": 11.5}), _row(num_train_epochs=3)
    (problem,) = preflight.examine(world.services, row, a_base_model()).blockers
    assert problem.text == (
        f"by estimate training costs 12.00 EUR (3.0 h of 1 x {GPU} for 108000 tokens), and MAX_RUN_COST is 11.5: "
        "drop fewer rows, train fewer epochs, or use a cheaper size"
    )
    assert (problem.check, problem.poll_in) == (Check.COST, None)
    assert preflight.examine(world.services, row.but(overrides=("cost",)), a_base_model()).blockers == []


@pytest.mark.parametrize("settings", [{"max_run_cost": 12}, {"max_run_cost": 1, "prices": {"another": 4}}, {}])
def test_a_job_within_the_bound_or_of_unknown_price_goes_on(settings: dict[str, Any]) -> None:
    world = World(settings={**SPEED, **settings})
    assert preflight.examine(world.services, _row(num_train_epochs=3), a_base_model()).blockers == []
