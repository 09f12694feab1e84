"""What machines cost: now, in a month, by dataset and by snapshot. Called by the HTTP status functions and the sweep.

Told is the time of machines that train and serve, by the prices in the settings; `NOT_COUNTED` says what else there is.
What ended is on record for each month (`shared.ledger.month_costs`), what runs is counted until now. A list takes four
listings however many datasets there are, and a repeat gives the same sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from functools import partial
from typing import TYPE_CHECKING

from shared import naming
from shared.errors import NotFound
from shared.ledger import month_costs
from shared.ledger.machine_time import MachineTime
from shared.ledger.month_costs import MachineHours
from shared.ledger.record import Struct
from shared.ledger.states import SnapshotState
from shared.operations import nightly, paging
from shared.operations.paging import BadPageQuery, PageQuery
from shared.operations.rounds import for_each
from shared.operations.times import known_sum
from shared.training import estimate

if TYPE_CHECKING:
    from shared.ledger.cards import KeptCard
    from shared.ledger.listed import ListedDataset
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

FILTERS = ("month", "prefix", "sort")
NOT_COUNTED = (
    "storage, the app, logs, events and the workspace's registry",
    "the machines on which a serverless job imports the model and prepares the rows",
    "what a cluster runs on after a job, before it scales down",
    "taxes, discounts, reservations and credits",
)


class CostLine(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What one dataset or snapshot cost in a month. `spent` is all that has a price; `unpriced_hours` have none."""

    name: str
    training_hours: float
    training: float
    endpoint_hours: float
    endpoint: float
    spent: float
    unpriced_hours: float


class CostPage(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What the datasets of a page cost in a month, and all that the filter lets through together.

    `asleep_hours` and `saved` are of all datasets, by the reports of the nights in the month so far.
    `unknown` says in words which prices are missing, `not_counted` what no number here has.
    """

    month: str
    currency: str
    costs: list[CostLine]
    next: str | None
    total: CostLine
    asleep_hours: float
    saved: float | None
    unknown: list[str]
    not_counted: list[str]


class DatasetCosts(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What each snapshot of a dataset cost in a month: its training, and the time that its deployments were up."""

    dataset: str
    month: str
    currency: str
    snapshots: list[CostLine]
    total: CostLine
    unknown: list[str]
    not_counted: list[str]


class TrainingPlan(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What a training will take and cost, as far as that is known; `unknown` says what is missing."""

    tokens: int
    size: str
    machines: int
    hours: float | None
    cost: float | None
    currency: str
    basis: str
    unknown: list[str]


def planned(services: Services, rows: int, tokens_per_row: float, epochs: int = 0) -> TrainingPlan:
    """What training on so many rows would cost. Raises BadSnapshot for settings that cannot train."""
    found = estimate.beforehand(services, rows, tokens_per_row, epochs)
    if found is None:
        raise BadPageQuery("rows and tokens_per_row: both above 0")
    missing = []
    if found.hours is None:
        missing.append("no job was measured yet: TRAINING_TOKENS_PER_SECOND says how fast one machine trains")
    if services.settings.price_of(found.size) is None:
        missing.append(f"PRICES has no price of {found.size}: `droptune prices` asks for it")
    return TrainingPlan(
        tokens=found.tokens,
        size=found.size,
        machines=found.machines,
        hours=found.hours,
        cost=found.cost,
        currency=found.currency,
        basis=found.basis,
        unknown=missing,
    )


def page(services: Services, query: PageQuery) -> CostPage:
    """What every dataset cost in the month that is asked for, or in this one. Raises BadPageQuery."""
    month, by_name = check(services, query)
    prefix = query.filter("prefix")
    hours = spent_hours(services, month, services.ledger.datasets(), services.ledger.cards.list(), prefix)
    lines = [line(services, name, found) for name, found in hours.items()]
    nights = nightly.cards(services, month)
    shown, following = paging.cut((((0.0 if by_name else -one.spent, one.name), one) for one in lines), query)
    return CostPage(
        month=month,
        currency=services.settings.currency,
        costs=shown,
        next=following,
        total=total(lines, "all"),
        asleep_hours=round(sum(night.asleep_hours for night in nights), 2),
        saved=known_sum(night.saved for night in nights),
        unknown=unknown(services, hours.values()),
        not_counted=[*NOT_COUNTED],
    )


def check(services: Services, query: PageQuery) -> tuple[str, bool]:
    """The month that is asked for, and whether the order is that of names. Raises BadPageQuery."""
    sort = paging.one_of("sort", query.filter("sort"), ("name", "spent"))
    return month_asked(services, query.filter("month")), sort == "name"


def month_asked(services: Services, month: str) -> str:
    """The month that is asked for; this one if none is. Raises BadPageQuery."""
    return paging.month(month) or month_costs.month_of(services.clock())


def of_dataset(services: Services, dataset: str, month: str = "") -> DatasetCosts:
    """What each snapshot of a dataset cost in a month. Raises BadPageQuery, NotFound where nothing is known of it."""
    month = month_asked(services, month)
    try:
        times = services.ledger.read(f"dataset/{dataset}").row.machine_time
    except NotFound:
        times = None
    return of_times(services, dataset, month, times, services.ledger.cards.list(dataset))


def of_times(
    services: Services, dataset: str, month: str, times: Iterable[MachineTime] | None, cards: Iterable[KeptCard]
) -> DatasetCosts:
    """The same of what the row of a dataset has, None where there is none, and of the cards of its open snapshots.

    Raises NotFound where nothing is known of it.
    """
    recorded = {one.key: one for one in services.month_costs.times(month, dataset)}
    if times is None and not recorded:
        raise NotFound(f"nothing is known of {dataset[:60]!r} in {month}")
    running = _running_jobs(services, cards)
    # One that was removed has no row, and what was spent on it is known.
    known = {one.key: one for one in (*(times or ()), *running)} | recorded
    by_snapshot: dict[str, list[MachineHours]] = {}
    for one in known.values():
        by_snapshot.setdefault(one.snapshot, []).extend(_hours(services, one, month))
    lines = [line(services, name, found) for name, found in sorted(by_snapshot.items(), reverse=True) if found]
    return DatasetCosts(
        dataset=dataset,
        month=month,
        currency=services.settings.currency,
        snapshots=lines,
        total=total(lines, dataset),
        unknown=unknown(services, by_snapshot.values()),
        not_counted=[*NOT_COUNTED],
    )


def spent_hours(
    services: Services, month: str, datasets: Iterable[ListedDataset], cards: Iterable[KeptCard], prefix: str = ""
) -> dict[str, list[MachineHours]]:
    """The hours of machines of each dataset in a month: those on record, and those that run or have just ended."""
    found = {name: [*sums] for name, sums in services.month_costs.sums(month, prefix).items()}
    for row in datasets:
        if row.name.startswith(prefix) and not row.damage:
            for one in row.card.machine_time:
                found.setdefault(row.name, []).extend(_hours(services, one, month))
    for kept in cards:
        for one in _running_jobs(services, [kept]):
            dataset = naming.dataset_part(one.snapshot)
            if dataset.startswith(prefix):
                found.setdefault(dataset, []).extend(_hours(services, one, month))
    return {name: hours for name, hours in found.items() if hours}


def line(services: Services, name: str, hours: Iterable[MachineHours]) -> CostLine:
    """What these hours cost."""
    time, money, unpriced = {"training": 0.0, "endpoint": 0.0}, {"training": 0.0, "endpoint": 0.0}, 0.0
    for one in hours:
        time[one.what] = time.get(one.what, 0.0) + one.hours
        price = _price(services, one)
        if price is None:
            unpriced += one.hours
        else:
            money[one.what] = money.get(one.what, 0.0) + one.hours * price
    return CostLine(
        name=name,
        training_hours=round(time["training"], 3),
        training=round(money["training"], 2),
        endpoint_hours=round(time["endpoint"], 3),
        endpoint=round(money["endpoint"], 2),
        spent=round(sum(money.values()), 2),
        unpriced_hours=round(unpriced, 3),
    )


def total(lines: Iterable[CostLine], name: str) -> CostLine:
    """The sum of lines."""
    every = list(lines)
    amounts = [field for field in CostLine.__struct_fields__ if field != "name"]
    return CostLine(name=name, **{field: round(sum(getattr(one, field) for one in every), 3) for field in amounts})


def unknown(services: Services, hours: Iterable[Iterable[MachineHours]]) -> list[str]:
    """Which prices are missing, in words."""
    sizes = {one.size for found in hours for one in found if _price(services, one) is None}
    return [f"PRICES has no price of {size or 'machines of an unknown size'}" for size in sorted(sizes)]


def record_ended(
    services: Services, datasets: Iterable[ListedDataset], damaged: MutableMapping[str, str]
) -> Iterator[str]:
    """Puts on record what deployments ran that have ended; gives the datasets.

    In `damaged` it collects what is wrong with blobs that cannot be read.
    """
    ended = [row.name for row in datasets if row.has_ended_time and not row.damage]
    return for_each(ended, partial(record, services), damaged)


def record(services: Services, dataset: str) -> None:
    """Moves the times of a dataset's deployments that ended from its row into the month's record.

    Cut off in between, they are in both, and the next call finds them on record. Raises what the ledger raises.
    """
    row: Dataset = services.ledger.read(f"dataset/{dataset}").row
    ended = [one.but(price=services.settings.price_of(one.size)) for one in row.machine_time if one.ended]
    if ended:
        services.month_costs.add(dataset, ended)
        services.ledger.change(row.key, partial(_without, gone={one.key for one in ended}))


def _without(row: Dataset, gone: set[str]) -> Dataset:
    left = tuple(one for one in row.machine_time if not one.ended or one.key not in gone)
    changed: Dataset = row.but(machine_time=left)
    return changed


def _hours(services: Services, one: MachineTime, month: str) -> Iterator[MachineHours]:
    """The hours of a time that are in a month, until now."""
    since, until = month_costs.bounds(month)
    given = services.settings
    whole = one if one.machines else one.but(machines=given.serving_instances, size=given.serving_instance_type)
    if hours := whole.hours(since, min(until, services.clock())):
        yield MachineHours(what=one.what, size=whole.size, hours=hours, price=one.price)


def _running_jobs(services: Services, cards: Iterable[KeptCard]) -> Iterator[MachineTime]:
    """The times of the jobs that run now."""
    given = services.settings
    for kept in cards:
        card = kept.card
        if card is not None and card.state == SnapshotState.TRAINING:
            yield MachineTime(
                what="training",
                name=card.id,
                snapshot=card.id,
                size=given.training_instance_type,
                machines=given.training_nodes,
                began=card.since,
            )


def _price(services: Services, one: MachineHours) -> float | None:
    return one.price if one.price is not None else services.settings.price_of(one.size)
