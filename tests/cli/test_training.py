"""A training as one line: what is known, and no more."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cli import training, watching
from cli.client import AppClient
from cli.printing import duration
from cli.target import find_target
from shared import naming
from shared.azure.workspace.tracking import MetricPoint
from shared.ledger.states import SnapshotState as S
from shared.operations.training import progress_of
from shared.training.progress import TrainingMetrics
from tests.builders import DATASET, SNAPSHOT, a_trained_snapshot
from tests.cli.test_droptune import droptune
from tests.fakes import START, World


def _metrics(count: int) -> TrainingMetrics:
    """Ten steps of a hundred in a minute, so often; the whole is one epoch."""
    loss = tuple(MetricPoint(step=10 * n, at=START + 60 * n, value=3.0 - n / 10) for n in range(1, count + 1))
    epoch = tuple(MetricPoint(step=10 * n, at=START + 60 * n, value=n / 10) for n in range(1, count + 1))
    rate = (MetricPoint(step=10 * count, at=START + 60 * count, value=5e-6),)
    return TrainingMetrics(
        job="j", attempt=1, read_at=START, curves={"loss": loss, "epoch": epoch, "learning_rate": rate}
    )


def _line(count: int, **changes: Any) -> str:
    row = a_trained_snapshot(S.TRAINING, job="j", job_status="Running", hyperparameters={}, **changes)
    found = progress_of(row, _metrics(count) if count else TrainingMetrics(job="j", attempt=1), START + 60 * count)
    return training.line(found.brief())


def test_a_line_says_step_loss_and_the_time_left() -> None:
    line = _line(4)
    assert line.startswith("step 40 of 100 (40%), loss 2.6 █▆▃▁, learning rate 5e-06")
    assert line.endswith("about 6 min 0 s left")


def test_what_is_not_known_is_not_guessed() -> None:
    assert _line(0) == "time left not known"
    assert _line(1).endswith("loss 2.9, learning rate 5e-06, time left not known")


def test_steps_that_are_set_count_and_epochs_do_not() -> None:
    row = a_trained_snapshot(S.TRAINING, job="j", job_status="Running", hyperparameters={"max_steps": 400})
    found = progress_of(row, _metrics(4), START + 240)
    assert (found.step, found.steps, found.share, found.epochs) == (40, 400, 0.1, None)
    assert found.seconds_left == pytest.approx(360 * 6)


def test_a_trainer_that_stopped_logging_has_no_time_left_that_is_known() -> None:
    row = a_trained_snapshot(S.TRAINING, job="j", job_status="Running", hyperparameters={})
    assert progress_of(row, _metrics(4), START + 240 + 350).seconds_left == pytest.approx(10)
    assert progress_of(row, _metrics(4), START + 240 + 370).seconds_left is None


@pytest.mark.parametrize(
    ("values", "picture"), [([], ""), ([1.0], ""), ([2.0, 2.0], "▁▁"), ([3.0, 2.0, 1.0], "█▅▁"), ([0.0, 7.0], "▁█")]
)
def test_a_picture_of_a_curve(values: list[float], picture: str) -> None:
    assert training.sparkline(values) == picture


@pytest.mark.parametrize(("seconds", "said"), [(4.4, "4 s"), (61, "1 min 1 s"), (3600 * 5 + 65, "5 h 1 min")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_show_and_watch_tell_how_far_a_training_is(an_app: World) -> None:
    row = a_trained_snapshot(S.TRAINING, job="j", job_status="Running", hyperparameters={})
    an_app.services.ledger.create(row)
    assert "training     time left not known" in droptune("show", DATASET).stdout
    an_app.storage.put("reports", naming.training_metrics(SNAPSHOT, 1), msgspec.json.encode(_metrics(4)))
    an_app.clock.now = START + 240
    shown = droptune("show", DATASET).stdout
    assert "training     step 40 of 100 (40%), loss 2.6 █▆▃▁" in shown

    def ends() -> None:
        an_app.services.ledger.change(f"snapshot/{SNAPSHOT}", lambda row: row.but(state=S.TRAINING_FAILED))

    with AppClient(find_target()) as client:
        told = list(watching.changes(client, SNAPSHOT, ends))
    (found,) = (change["training"] for change in told if "training" in change)
    assert (found["step"], found["steps"], "curves" in found) == (40, 100, False)
