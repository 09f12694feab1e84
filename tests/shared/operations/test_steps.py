"""The handlers of all steps, by table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from shared.config.settings import Settings
from shared.ledger.rows import Dataset, Origin, Snapshot
from shared.ledger.states import DATASET, SNAPSHOT, DatasetState, LifeCycle, SnapshotState
from shared.operations import steps
from tests.builders import a_dataset, a_release, a_request, a_snapshot
from tests.fakes import START, World


@dataclass
class OnlyPure:
    """Services of which a pure function may have these; anything else has no such attribute."""

    settings: Settings
    installation: str = "0a1b2c3d"

    def clock(self) -> float:
        return START + 1e6


def _rows() -> list[Snapshot | Dataset]:
    requests = [None, *(a_request(what) for what in ("sleep", "wake", "roll_back", "retry"))]
    requests += [a_request("sleep", by="timer", origin=Origin.TIMER)]
    previous = [None, a_release(deployment="r1"), a_release(deployment="")]
    datasets = [
        a_dataset(state, requested=request, previous=kept, newest_registered=newest)
        for state in DatasetState
        for request in requests
        for kept in previous
        for newest in ("", "z-20990101000000-0123abcd")
    ]
    return [*(a_snapshot(state) for state in SnapshotState), *datasets]


def test_whether_a_step_has_something_to_do_is_asked_without_any_service() -> None:
    only: Any = OnlyPure(World().services.settings)
    handlers = steps.handlers(only)
    for row in _rows():
        table = SNAPSHOT if isinstance(row, Snapshot) else DATASET
        for step in table.steps_from(row.state):
            if step.name in handlers[table.name]:
                assert handlers[table.name][step.name].ready(row) in (True, False)


@pytest.mark.parametrize("table", [SNAPSHOT, DATASET], ids=["snapshot", "dataset"])
def test_every_step_that_no_action_does_has_a_handler(table: LifeCycle) -> None:
    by_actions = {"receive", "retry", "retry_registration", "retry_canceled", "override", "delete"}
    handlers = steps.handlers(World().services)[table.name]
    assert set(handlers) == {step.name for step in table.steps} - by_actions
