"""Which snapshot is released next."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger.rows import Dataset
from shared.ledger.states import DatasetState as D
from shared.ledger.states import ReleaseState, SnapshotState
from shared.releases.deploy import Deploy
from tests.builders import NEWER, a_dataset, a_request, a_snapshot, a_trained_snapshot
from tests.fakes import World


def _act(row: Dataset, *snapshots: Any) -> Any:
    world = World()
    for snapshot in snapshots:
        world.services.ledger.create(snapshot)
    return Deploy(world.services).act(row, world.services.storage.lease("support-bot"))


def test_the_newest_snapshot_with_a_model_becomes_the_candidate() -> None:
    result = _act(a_dataset(newest_registered=NEWER), a_trained_snapshot(id=NEWER))
    assert (result.state, result.changes["candidate"].snapshot) == (D.DEPLOYING, NEWER)


@pytest.mark.parametrize("rows", [(), (a_snapshot(SnapshotState.CLEANED, id=NEWER),)], ids=["gone", "without a model"])
def test_a_snapshot_without_a_model_ends_and_stands_in_nobodys_way(rows: tuple[Any, ...]) -> None:
    row = a_dataset(newest_registered=NEWER)
    result = _act(row, *rows)
    after = row.but(state=result.state, **result.changes)
    assert (after.state, after.outcomes[NEWER].state, after.next_release) == (D.LIVE, ReleaseState.DEPLOY_FAILED, "")
    assert NEWER in result.reason


def test_a_retry_of_a_snapshot_without_a_model_is_dropped_with_the_reason() -> None:
    result = _act(a_dataset(requested=a_request("retry", snapshot=NEWER)))
    assert (result.state, result.changes) == (D.LIVE, {"requested": None})
    assert "has no registered model any more" in result.reason
