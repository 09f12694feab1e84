"""What the deletion of a dataset takes away, what it leaves, and what the dataset costs now. For whoever is to confirm.

Called by the HTTP functions. It only reads, so a repeat says what is so by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import Damaged, NotFound
from shared.ledger.record import Struct
from shared.ledger.states import ENDED, WITHOUT_ENDPOINT, DatasetState, SnapshotState
from shared.operations import datasets, deletion
from shared.operations.times import size_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ledger.rows import Dataset
    from shared.runtime import Services


class DeletionPlan(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What goes and what stays, in words and in numbers. `confirm` is what the deletion is to be called with.

    `price_per_hour` is what the dataset costs now; None: a price is missing. Files are those that were dropped.
    """

    dataset: str
    state: str
    goes: list[str]
    stays: list[str]
    machines: int
    price_per_hour: float | None
    currency: str
    snapshots: int
    open_snapshots: int
    models: int
    files: int
    file_bytes: int
    confirm: str


def plan(services: Services, name: str, with_files: bool = False) -> DeletionPlan:
    """The plan for one dataset. Raises NotFound for one that is not there."""
    summary = next((one for one in datasets.summaries(services, name) if one.name == name), None)
    rows = list(services.ledger.list("snapshot", name))
    if summary is None and not rows:
        raise NotFound(f"there is no dataset {name[:60]!r}")
    models = sum(row.state == SnapshotState.REGISTERED for row in rows)
    opened = sum(row.state not in ENDED for row in rows)
    files = list(deletion.dropped(services, name))
    size = sum(blob.size for blob in files)
    dropped = f"{_count(len(files), 'dropped file')} ({size_in_words(size)}) in the container snapshots"
    made = "reports, evaluations, logs and training files"
    goes = [*_paid(services, name), f"{_count(len(rows), 'snapshot')} with {made}"]
    stays = [
        f"{_count(models, 'registered model')} in Azure ML" if models else "",
        "what was spent, in the months' costs",
    ]
    (goes if with_files else stays).append(dropped if files else "")
    if opened:
        goes.insert(0, f"{opened} of its snapshots are under way: their jobs are canceled first")
    return DeletionPlan(
        dataset=name,
        state=summary.state if summary else str(DatasetState.EMPTY),
        goes=[text for text in goes if text],
        stays=[text for text in stays if text],
        machines=summary.machines.count if summary else 0,
        price_per_hour=summary.price_per_hour if summary else 0.0,
        currency=services.settings.currency,
        snapshots=len(rows),
        open_snapshots=opened,
        models=models,
        files=len(files),
        file_bytes=size,
        confirm=name,
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _paid(services: Services, name: str) -> Iterator[str]:
    """What costs money by the hour."""
    try:
        row: Dataset = services.ledger.read(f"dataset/{name}").row
    except (NotFound, Damaged):
        return
    if row.endpoint and row.state not in WITHOUT_ENDPOINT:
        yield f"endpoint {row.endpoint} with its deployments"
