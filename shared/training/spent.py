"""How long the machines of a training job ran, put on record when the job has ended, however it did.

Called by the step that polls the job, before what it found is written. A repeat tells the same job, which is on record
then. Counted are all its machines from when the job was submitted until it was seen to have ended: Azure tells nobody
what of it was waiting for machines, which costs nothing, or what a cluster ran on after it, which does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ledger.machine_time import MachineTime
from shared.ledger.states import SnapshotState

if TYPE_CHECKING:
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services


def record(services: Services, row: Snapshot) -> None:
    """Puts the time of a snapshot's job on record. Raises what storage raises, and Damaged."""
    began = training_since(row)
    if row.job and began is not None:
        services.month_costs.add(row.dataset, [machine_time(services, row, began, services.clock())])


def machine_time(services: Services, row: Snapshot, began: float, ended: float) -> MachineTime:
    """The time of its job; of the size and the number that were estimated with, else of those that are set."""
    given, planned = services.settings, row.estimate
    size = planned.size if planned else given.training_instance_type
    return MachineTime(
        what="training",
        name=row.job,
        snapshot=row.id,
        size=size,
        machines=planned.machines if planned else given.training_nodes,
        began=began,
        ended=ended,
        price=given.price_of(size),
    )


def training_since(row: Snapshot) -> float | None:
    """When the training that is under way or being canceled began, whatever was noted since; None where none is."""
    began = None
    for entry in reversed(row.history):
        if entry.state == SnapshotState.TRAINING:
            began = entry.at
        elif began is not None or entry.state != SnapshotState.CANCELING:
            break
    return began
