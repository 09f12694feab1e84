"""What a job logs while it trains, kept with its snapshot: `reports/<snapshot>.training-<attempt>.json`.

Called by the step that polls the job: one read a poll while it runs, and once it has ended the whole curves, so that
polls that were missed leave no gap. Nothing here fails a training: what cannot be read is told in `why`, once, and read
at the next poll. A repeat writes the same; where nothing new was logged, nothing is written.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from shared import naming
from shared.azure.workspace.tracking import MetricPoint
from shared.errors import Damaged
from shared.ledger.record import Struct, cut
from shared.ledger.states import JOB_ENDED
from shared.ledger.storage import read_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.azure.workspace.jobs import Job
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

log = logging.getLogger(__name__)

CONTAINER = "reports"
# Jobs that have begun to log, or have ended.
_RUNNING = ("Running", "Finalizing")
# So many points tell what a curve looks like, and so many metrics are kept, those of the trainer first.
MOST_POINTS, MOST_METRICS = 200, 20
_OF_TRAINER = ("loss", "eval_loss", "learning_rate", "epoch", "grad_norm", "train_loss")
# Whose whole history is read when the job has ended.
_CURVES = ("loss", "eval_loss", "learning_rate")

type Curves = dict[str, tuple[MetricPoint, ...]]


class TrainingMetrics(Struct, frozen=True, kw_only=True):
    """What one attempt's job has logged, by metric, oldest first and thinned; `why` it is not known, if it is not."""

    job: str
    attempt: int
    read_at: float = 0.0
    curves: Curves = msgspec.field(default_factory=dict)
    why: str = ""


_DECODER = msgspec.json.Decoder(TrainingMetrics)


def metrics_of(services: Services, row: Snapshot) -> TrainingMetrics:
    """What is kept of the job of the row's present attempt; nothing where nobody has read any. Raises Damaged."""
    name = naming.training_metrics(row.id, row.attempt)
    return read_record(services.storage, CONTAINER, name, _DECODER, _nothing(row))[0]


def note(services: Services, row: Snapshot, job: Job) -> None:
    """Reads what the job logged since the last poll, and keeps it. Never raises."""
    if not job.tracking or job.status not in (*_RUNNING, *JOB_ENDED):
        return
    try:
        known = _known(services, row)
        found = _read(services, job, known)
        if (found.curves, found.why) != (known.curves, known.why):
            name = naming.training_metrics(row.id, row.attempt)
            services.storage.put(CONTAINER, name, msgspec.json.encode(found))
    except Exception as error:  # noqa: BLE001 - whatever the reason: the job is what counts
        log.warning("what %s logs is not kept: %s", row.job, type(error).__name__)


def _nothing(row: Snapshot) -> TrainingMetrics:
    return TrainingMetrics(job=row.job, attempt=row.attempt)


def _known(services: Services, row: Snapshot) -> TrainingMetrics:
    """What is kept; what cannot be read any more is read anew from the workspace."""
    try:
        return metrics_of(services, row)
    except Damaged:
        return _nothing(row)


def _read(services: Services, job: Job, known: TrainingMetrics) -> TrainingMetrics:
    """What is known, and what the workspace has now; or why that cannot be read."""
    tracking = services.workspace.tracking
    try:
        latest = tracking.latest(job.tracking, job.name)
        curves = merged(known.curves, {name: (point,) for name, point in latest.items()})
        for name in _CURVES if job.status in JOB_ENDED else ():
            if name in latest:
                curves = merged(curves, {name: tracking.history(job.tracking, job.name, name)})
    except Exception as error:  # noqa: BLE001 - see above
        why = cut(str(error), 300)
        if why != known.why:
            log.warning("metrics of %s are not known: %s", job.name, why)
        unread: TrainingMetrics = known.but(why=why)
        return unread
    read: TrainingMetrics = known.but(curves=curves, why="", read_at=services.clock())
    return read


def merged(known: Mapping[str, Iterable[MetricPoint]], found: Mapping[str, Iterable[MetricPoint]]) -> Curves:
    """The curves with these points in them, each once, oldest first; of bounded number and length."""
    names = sorted({*known, *found}, key=lambda name: (name not in _OF_TRAINER, name not in known, name))
    return {
        name: thinned(sorted({*known.get(name, ()), *found.get(name, ())}, key=_by_time))
        for name in names[:MOST_METRICS]
    }


def thinned(points: list[MetricPoint]) -> tuple[MetricPoint, ...]:
    """At most `MOST_POINTS` of them, evenly, with the first and the last."""
    while len(points) > MOST_POINTS:
        points = [*points[:-1:2], points[-1]]
    return tuple(points)


def _by_time(point: MetricPoint) -> tuple[float, int, float]:
    return point.at, point.step, point.value
