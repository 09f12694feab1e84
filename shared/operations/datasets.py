"""A page of datasets for people: what each serves, on how many machines, for how much, and until when.

Called by the HTTP status functions. It is made of what lies ready: one listing of the datasets, one of the cards of
open snapshots, one of what was spent this month, the calls of the day as far as the last sweep counted them, and the
two newest parts of the index of snapshots that ended. No row is read, so a page takes the same few requests however
many datasets there are, and whatever part of them it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from shared.ledger.cards import Card
from shared.ledger.listed import ListedDataset
from shared.ledger.month_costs import month_of
from shared.ledger.record import Struct
from shared.ledger.states import ROLLOUT, DatasetState, SnapshotState
from shared.ledger.uptime import Machines
from shared.operations import costs, ledger_lists, paging
from shared.operations.pages import with_part
from shared.operations.paging import PageQuery, SortKey
from shared.operations.status import DAMAGED
from shared.operations.times import known_sum, shown_if_known, shown_time

if TYPE_CHECKING:
    from shared.operations.costs import CostLine
    from shared.operations.ledger_lists import LedgerLists
    from shared.runtime import Services

# Words of the filter `state` that are no state of a row.
ROLLING_OUT, NEEDS_ATTENTION, PAUSED = "ROLLING_OUT", "NEEDS_ATTENTION", "PAUSED"
STATES = frozenset({*map(str, DatasetState), ROLLING_OUT, NEEDS_ATTENTION, PAUSED, DAMAGED})
FILTERS = ("state", "prefix", "sort")


class DatasetSummary(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One dataset in the list. Money is None where `PRICES` lacks a size; `calls_today` where nothing was counted yet.

    `newest` is the newest snapshot, whatever became of it; its reason may be cut short. `sleeps_after`: from then on
    the next look for idle endpoints may put it to sleep, if nobody asks it before; None: it has no endpoint, or is not
    put to sleep by itself.
    """

    name: str
    state: str
    reason: str
    waiting: str | None
    needs_attention: bool
    paused: bool
    requested: str | None
    since: str | None
    live: str | None
    candidate: str | None
    newest: str | None
    newest_state: str | None
    newest_reason: str | None
    traffic: dict[str, int]
    machines: Machines
    price_per_hour: float | None
    spent_this_month: float | None
    calls_today: int | None
    last_asked_at: str | None
    sleeps_after: str | None


class DatasetTotals(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Of all datasets that the filters let through, not of the page alone. Money is None if any part is not known."""

    datasets: int
    machines: int
    needs_attention: int
    price_per_hour: float | None
    spent_this_month: float | None
    calls_today: int | None


class DatasetPage(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A page of datasets. `next` is what to give as `before` for the page after this one."""

    datasets: list[DatasetSummary]
    next: str | None
    total: DatasetTotals
    month: str
    currency: str


def page(services: Services, query: PageQuery) -> DatasetPage:
    """The datasets that the query asks for, in its order. Raises BadPageQuery."""
    state, sort = check(query)
    found = [one for one in summaries(services, query.filter("prefix")) if is_in(one, state)]
    shown, following = paging.cut(((_SORTS[sort](one), one) for one in found), query)
    return DatasetPage(
        datasets=shown,
        next=following,
        total=totals(found),
        month=month_of(services.clock()),
        currency=services.settings.currency,
    )


def check(query: PageQuery) -> tuple[str, str]:
    """The state and the order that are asked for. Raises BadPageQuery."""
    sort = paging.one_of("sort", query.filter("sort"), _SORTS) or "name"
    return paging.one_of("state", query.filter("state"), STATES), sort


def is_in(one: DatasetSummary, state: str) -> bool:
    """Whether a dataset is in the state that is asked for; an empty one is any."""
    match state:
        case "ROLLING_OUT":
            return one.state in ROLLOUT
        case "NEEDS_ATTENTION":
            return one.needs_attention
        case "PAUSED":
            return one.paused
    return state in ("", one.state)


def summaries(services: Services, prefix: str = "", lists: LedgerLists | None = None) -> Iterator[DatasetSummary]:
    """Every dataset whose name begins so, in no order; also those whose first snapshot is not read yet."""
    lists = lists or ledger_lists.read(services)
    newest, found = _newest(lists), {row.name: row for row in lists.datasets}
    spent = costs.spent_hours(services, month_of(services.clock()), lists.datasets, lists.cards, prefix)
    calls = services.call_days.today()
    for name in found.keys() | newest.keys():
        if name.startswith(prefix):
            cost = costs.line(services, name, spent.get(name, ()))
            counted = None if calls is None else calls.get(name, 0)
            yield _summary(services, _readable(name, found.get(name)), newest.get(name), cost, counted)


def totals(found: Iterable[DatasetSummary]) -> DatasetTotals:
    """The sums over these datasets."""
    every = list(found)
    return DatasetTotals(
        datasets=len(every),
        machines=sum(one.machines.count for one in every),
        needs_attention=sum(one.needs_attention for one in every),
        price_per_hour=known_sum(one.price_per_hour for one in every),
        spent_this_month=known_sum(one.spent_this_month for one in every),
        calls_today=None
        if any(one.calls_today is None for one in every)
        else sum(one.calls_today or 0 for one in every),
    )


def _summary(
    services: Services, row: ListedDataset, newest: Card | None, cost: CostLine, calls: int | None
) -> DatasetSummary:
    card, machines = row.card, _machines(services, row)
    price = services.settings.price_of(machines.size)
    if row.newest_registered and (newest is None or newest.id < row.newest_registered):
        newest = Card(id=row.newest_registered, state=str(SnapshotState.REGISTERED))
    part = with_part(newest, row) if newest else None
    return DatasetSummary(
        name=row.name,
        state=row.state,
        reason=card.reason,
        waiting=card.waiting or None,
        needs_attention=row.attention,
        paused=card.paused,
        requested=card.requested or None,
        since=shown_if_known(row.since),
        live=row.live or None,
        candidate=row.candidate or None,
        newest=part.id if part else None,
        newest_state=part.state if part else None,
        newest_reason=part.reason if part else None,
        traffic=card.traffic,
        machines=machines,
        price_per_hour=0.0 if not machines.count else None if price is None else round(price * machines.count, 4),
        spent_this_month=None if cost.unpriced_hours else cost.spent,
        calls_today=calls,
        last_asked_at=shown_if_known(card.last_asked_at),
        sleeps_after=_sleeps_after(services, row),
    )


def _machines(services: Services, row: ListedDataset) -> Machines:
    """What its deployments have together; those of an older version have what the settings say."""
    given, running = services.settings, row.card.running
    size = next((one.size for one in running if one.size), given.serving_instance_type)
    return Machines(size=size, count=sum(one.machines or given.serving_instances for one in running))


def _sleeps_after(services: Services, row: ListedDataset) -> str | None:
    given, card = services.settings, row.card
    if row.state != DatasetState.LIVE or given.idle_dry_run:
        return None
    unused = max(card.last_asked_at, row.since) + given.idle_hours * 3600
    return shown_time(max(unused, card.up_since + given.idle_min_age_hours * 3600))


def _newest(lists: LedgerLists) -> dict[str, Card]:
    """The newest snapshot of each dataset, of those that are open or among the few thousand that ended last."""
    found: dict[str, Card] = lists.index.newest()
    for kept in lists.cards:
        card = kept.card
        if card is not None and card.id >= found.get(card.dataset, card).id:
            found[card.dataset] = card
    return found


def _readable(name: str, row: ListedDataset | None) -> ListedDataset:
    """The dataset as it is listed; without what cannot be read of it, or if it has no row yet."""
    if row is not None and not row.damage:
        return row
    return ListedDataset(f"dataset/{name}", DAMAGED if row else str(DatasetState.EMPTY), None, row is not None)


def _greatest_first(amount: Callable[[DatasetSummary], float | None]) -> Callable[[DatasetSummary], SortKey]:
    """The order from the greatest to the smallest; what is not known comes last."""

    def key(one: DatasetSummary) -> SortKey:
        found = amount(one)
        return (-found if found is not None else 1.0, one.name)

    return key


def _latest_first(moment: Callable[[DatasetSummary], str | None]) -> Callable[[DatasetSummary], SortKey]:
    def seconds(one: DatasetSummary) -> float | None:
        found = moment(one)
        return datetime.fromisoformat(found).timestamp() if found else None

    return _greatest_first(seconds)


_SORTS: dict[str, Callable[[DatasetSummary], SortKey]] = {
    "name": lambda one: (0.0, one.name),
    "price": _greatest_first(lambda one: one.price_per_hour),
    "spent": _greatest_first(lambda one: one.spent_this_month),
    "calls": _greatest_first(lambda one: one.calls_today),
    "asked": _latest_first(lambda one: one.last_asked_at),
    "since": _latest_first(lambda one: one.since),
}
