"""What a training job will take in tokens, hours and money, as far as that is known; and what the latest ones took.

Called by preflight (above `MAX_RUN_COST` a job is refused), by the step that reserves a slot (the estimate goes on
record) and by the one that polls a job (what it took is kept in `reports`; a repeat keeps it once). Two jobs that end
at the same moment may lose one of the measurements, which costs nothing: an estimate is no promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shared.config import hyperparameters
from shared.errors import BadSnapshot, NotFound
from shared.ledger.record import Struct
from shared.ledger.rows import Blocker, Check, ModelPin, ReportSummary, Snapshot, TrainingEstimate
from shared.ledger.states import SnapshotState
from shared.training import compute, spent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.azure.workspace.compute import Cluster
    from shared.runtime import Services

CONTAINER, BLOB = "reports", "training-speed.json"
# Old measurements say little: components and images change.
_KEPT = 20


class MeasuredRun(Struct, frozen=True, kw_only=True):
    """What a job took, from when it was submitted to its end: tokens, and seconds times machines."""

    model: str
    size: str
    tokens: float
    machine_seconds: float


class MeasuredRuns(Struct, frozen=True, kw_only=True):
    """The latest jobs that completed, by name, oldest first."""

    runs: dict[str, MeasuredRun] = msgspec.field(default_factory=dict)


_DECODER = msgspec.json.Decoder(MeasuredRuns)


def estimate(services: Services, row: Snapshot) -> TrainingEstimate | None:
    """What the job of a validated snapshot will take; hours and cost are None where speed or price is not known.

    None where nothing is known of the rows: before they were read, or when an older version of the app read them.
    """
    return _estimate(services, row, compute.cluster(services))


def beforehand(services: Services, rows: int, tokens_per_row: float, epochs: int = 0) -> TrainingEstimate | None:
    """What a job will take on rows that nobody has dropped yet, by the settings; `epochs` 0: as these say.

    What the base model's tag or a `snapshot.json` says of hyperparameters is not known here. Raises BadSnapshot for
    hyperparameters that cannot be.
    """
    given = services.settings
    asked = {"num_train_epochs": epochs} if epochs else {}
    values = hyperparameters.merged(("HYPERPARAMETERS", given.hyperparameters), ("epochs", asked))
    pin = ModelPin(registry=given.registry_of_models, name=given.base_model, version="", id="")
    found = ReportSummary(
        blob="", verdict="accepted", rows=rows, errors=0, warnings=0, tokens_per_row=tokens_per_row
    )  # fmt: skip
    planned = Snapshot(
        id="", dataset="", state=SnapshotState.VALIDATED, source="", uploaded_at=0.0, files=(), base_model=pin,
        hyperparameters=values.inputs(), counts={"train": rows}, report=found,
    )  # fmt: skip
    return estimate(services, planned)


def _estimate(services: Services, row: Snapshot, cluster: Cluster | None) -> TrainingEstimate | None:
    """The same, on this cluster."""
    tokens = _tokens(services, row)
    if not tokens or row.base_model is None:
        return None
    given = services.settings
    size = cluster.size if cluster else given.training_instance_type
    speed, basis = _speed(services, row.base_model.name, size)
    hours = tokens / (speed * given.training_nodes) / 3600 if speed else None
    price = price_per_hour(services, size)
    return TrainingEstimate(
        tokens=round(tokens),
        size=size,
        machines=given.training_nodes,
        hours=None if hours is None else round(hours, 2),
        cost=None if hours is None or price is None else round(hours * price, 2),
        currency=given.currency,
        basis=basis,
    )


def blockers(services: Services, row: Snapshot, cluster: Cluster | None) -> Iterator[Blocker]:
    """What a job would cost more than it may. `cluster` trains; None: there is none (yet), or compute is serverless."""
    most = services.settings.max_run_cost
    found = _estimate(services, row, cluster) if most else None
    if found is not None and found.cost is not None and found.cost > most:
        takes = f"{found.hours:.1f} h of {found.machines} x {found.size} for {found.tokens} tokens"
        text = (
            f"by estimate training costs {_money(found.cost, found.currency)} ({takes}), and MAX_RUN_COST is {most:g}"
        )
        yield Blocker(text=f"{text}: drop fewer rows, train fewer epochs, or use a cheaper size", check=Check.COST)


def price_per_hour(services: Services, size: str) -> float | None:
    """The price of all machines that train, together; None where `PRICES` has none for their size."""
    price = services.settings.price_of(size)
    return None if price is None else price * services.settings.training_nodes


def measure(services: Services, row: Snapshot) -> None:
    """Keeps what a completed job took, for later estimates."""
    if row.estimate is None or row.base_model is None:
        return
    runs = _measured(services)
    began = spent.training_since(row)
    seconds = max(1.0, services.clock() - (row.since if began is None else began)) * row.estimate.machines
    run = MeasuredRun(
        model=row.base_model.name, size=row.estimate.size, tokens=row.estimate.tokens, machine_seconds=seconds
    )
    kept = dict(list(({**runs, row.job: runs.get(row.job, run)}).items())[-_KEPT:])
    services.storage.put(CONTAINER, BLOB, msgspec.json.encode(MeasuredRuns(runs=kept)))


def _tokens(services: Services, row: Snapshot) -> float:
    """How many tokens the job will go through, by what validation estimated of the rows."""
    given, rows = row.hyperparameters, row.counts.get("train", 0)
    mean = row.report.tokens_per_row if row.report else 0.0
    if not mean or not rows:
        return 0.0
    cut = given.get("max_seq_length", -1)
    longest = cut if cut > 0 else row.context_tokens
    each = longest if longest and given.get("pad_to_max_length") == "true" else min(mean, longest or mean)
    steps = given.get("max_steps", -1)
    if steps <= 0:
        return each * rows * float(given.get("num_train_epochs", 1))
    batch = given.get("per_device_train_batch_size", 1) * given.get("gradient_accumulation_steps", 1)
    return float(each * steps * batch * _gpus(services) * services.settings.training_nodes)


def _gpus(services: Services) -> int:
    try:
        return max(1, compute.training_size(services).gpus)
    except BadSnapshot:  # said by preflight
        return 1


def _speed(services: Services, model: str, size: str) -> tuple[float, str]:
    """Tokens a second of one machine, and where that is from; 0 where nothing is known."""
    if given := services.settings.training_tokens_per_second:
        return given, "set"
    runs = [r for r in _measured(services).values() if r.model == model and r.size.lower() == size.lower()]
    seconds = sum(run.machine_seconds for run in runs)
    return (sum(run.tokens for run in runs) / seconds, "measured") if seconds else (0.0, "")


def _measured(services: Services) -> dict[str, MeasuredRun]:
    """The latest jobs; none where the record is not there, or cannot be read."""
    try:
        data, _ = services.storage.read(CONTAINER, BLOB)
        return _DECODER.decode(data).runs
    except (NotFound, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _money(amount: float, currency: str) -> str:
    return f"{amount:.2f} {currency}".strip()
