"""How far a training is, as people see it. Called by the HTTP status functions, the event stream and the page.

It is made of what the polls of the job kept; reading changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from shared.azure.workspace.tracking import MetricPoint
from shared.errors import NotFound
from shared.ledger.states import SnapshotState
from shared.operations.times import shown_if_known
from shared.training import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.ledger.rows import Snapshot
    from shared.runtime import Services
    from shared.training.progress import Curves, TrainingMetrics

# Enough to see which way a curve goes.
_FEW = 24
# A pace that is measured over less (s) says nothing.
_SHORTEST = 1.0


class TrainingProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the job of a snapshot's newest attempt is. None: not known.

    `share` is what is done of the training, from 0 to 1, `steps` about how many there will be; `seconds_left` are those
    of the training at its pace until now, without what comes after it (the model is converted and registered).
    `tokens_per_second` is by the estimate of the snapshot's tokens. `curves` are points `[step, at, value]` by metric,
    under the trainer's own names, `latest` the newest value of each, `losses` a few of those of `loss`.
    """

    snapshot: str
    attempt: int
    job: str
    job_status: str
    step: int | None = None
    steps: int | None = None
    epoch: float | None = None
    epochs: float | None = None
    share: float | None = None
    seconds_left: float | None = None
    tokens_per_second: float | None = None
    latest: dict[str, float] = {}
    losses: tuple[float, ...] = ()
    curves: dict[str, tuple[MetricPoint, ...]] = {}
    read_at: str | None = None
    why: str | None = None

    def brief(self) -> dict[str, Any]:
        """The same without curves, for a line of text or an event."""
        known = msgspec.to_builtins(self)
        return {name: known[name] for name in _BRIEF}


_BRIEF = ("attempt", "job_status", "step", "steps", "epoch", "epochs", "share", "seconds_left", "tokens_per_second",
          "latest", "losses", "why")  # fmt: skip


def training(services: Services, snapshot: str) -> TrainingProgress:
    """How far the training of a snapshot is, or was. Raises NotFound while it has no job."""
    return training_of(services, services.ledger.read(f"snapshot/{snapshot}").row)


def training_of(services: Services, row: Snapshot) -> TrainingProgress:
    """The same of its row."""
    if not row.job:
        raise NotFound(f"{row.id} has no training job: it is {row.state}")
    return progress_of(row, progress.metrics_of(services, row), services.clock())


def progress_of(row: Snapshot, metrics: TrainingMetrics, now: float) -> TrainingProgress:
    """The same of its row and what its job logged."""
    latest = {name: points[-1] for name, points in metrics.curves.items() if points}
    given = row.hyperparameters
    most, epochs = int(given.get("max_steps", -1)), float(given.get("num_train_epochs", 1))
    epoch = latest["epoch"].value if "epoch" in latest else None
    step = max((point.step for point in latest.values()), default=0) or None
    shares = _shares(metrics.curves, most, epochs)
    share = shares[-1][1] if shares else None
    pace = _pace(shares)
    trains = row.state == SnapshotState.TRAINING
    return TrainingProgress(
        snapshot=row.id,
        attempt=row.attempt,
        job=row.job,
        job_status=row.job_status,
        step=step,
        steps=most if most > 0 else (round(step / share) if step and share else None),
        epoch=epoch,
        epochs=None if most > 0 else epochs,
        share=share,
        seconds_left=_left(shares, pace, now) if trains else None,
        tokens_per_second=round(pace * row.estimate.tokens, 1) if pace and row.estimate else None,
        latest={name: point.value for name, point in latest.items()},
        losses=_few([point.value for point in metrics.curves.get("loss", ())]),
        curves=metrics.curves,
        read_at=shown_if_known(metrics.read_at),
        why=metrics.why or (None if metrics.curves else "the job has not logged anything yet"),
    )


def _few(values: Sequence[float]) -> tuple[float, ...]:
    """At most `_FEW` of them, evenly, with the first and the last."""
    if len(values) <= _FEW:
        return tuple(values)
    return tuple(values[n * (len(values) - 1) // (_FEW - 1)] for n in range(_FEW))


def _shares(curves: Curves, most: int, epochs: float) -> list[tuple[float, float]]:
    """When which share was done: by steps where their number is set, else by epochs, which trainers log."""
    if most > 0:
        return [(point.at, min(1.0, point.step / most)) for point in curves.get("loss", ()) if point.step]
    return [(point.at, min(1.0, point.value / epochs)) for point in curves.get("epoch", ()) if point.value > 0]


def _pace(shares: Sequence[tuple[float, float]]) -> float | None:
    """Which share is done in a second, from the first point that is known to the last."""
    if len(shares) < 2:
        return None
    (begun, first), (at, last) = shares[0], shares[-1]
    return (last - first) / (at - begun) if at - begun >= _SHORTEST and last > first else None


def _left(shares: Sequence[tuple[float, float]], pace: float | None, now: float) -> float | None:
    """The seconds that are left; None where the pace is not known, or the last point is older than all that was left:
    then the trainer has stopped, or does something else."""
    if not pace:
        return None
    at, share = shares[-1]
    left = (1 - share) / pace - max(0.0, now - at)
    return round(left, 1) if left >= 0 else None
