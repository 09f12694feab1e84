"""What is paid for by the hour: on record once, in its month, at its price; told now, in a month, by night.

Assumptions: `machine-hours`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.errors import LedgerConflict, NotFound
from shared.ledger.machine_time import MachineTime
from shared.ledger.month_costs import bounds, month_of, months
from shared.ledger.rows import HistoryEntry, TrainingEstimate
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from shared.operations import costs, nightly, sweep
from shared.operations.costs import CostLine, CostPage
from shared.operations.paging import BadPageQuery, page_query
from shared.training import attempt, spent
from tests.builders import DATASET, DEPLOYMENT, NEWER, SNAPSHOT, a_dataset, a_release, a_snapshot, a_trained_snapshot
from tests.fakes import GPU, START, World
from tests.old_ledger import OldLedger

HOUR = 3600.0
MONTH = month_of(START)


def priced(**changes: Any) -> World:
    return World(settings={"prices": {GPU: 2.0}, "currency": "EUR", **changes})


def page(world: World, **asked: str) -> CostPage:
    return costs.page(world.services, page_query(asked, costs.FILTERS))


def only(world: World, **asked: str) -> CostLine:
    (found,) = page(world, **asked).costs
    return found


def put(world: World, **changes: Any) -> None:
    """The dataset's row is written once more, with these changes."""
    world.services.ledger.change(f"dataset/{DATASET}", lambda row: row.but(**changes))


def a_time(**changes: Any) -> MachineTime:
    time = MachineTime(
        what="endpoint", name=DEPLOYMENT, snapshot=SNAPSHOT, size=GPU, machines=1, began=START, ended=START + HOUR
    )
    changed: MachineTime = time.but(**changes)
    return changed


# -- what runs, in the row ------------------------------------------------------------------------


def test_an_endpoint_costs_from_when_it_is_made_until_it_sleeps_and_again_from_when_it_wakes() -> None:
    world = priced(serving_instances=2)
    world.services.ledger.create(a_dataset())
    world.clock.now += 3 * HOUR
    assert only(world) == CostLine(
        name=DATASET,
        training_hours=0.0,
        training=0.0,
        endpoint_hours=6.0,
        endpoint=12.0,
        spent=12.0,
        unpriced_hours=0.0,
    )
    put(world, state=D.ASLEEP)
    world.clock.now += 5 * HOUR
    assert only(world).spent == 12.0, "asleep it costs nothing"
    put(world, state=D.WAKING)
    world.clock.now += HOUR
    assert only(world).spent == 16.0
    sweep.sweep(world.services)
    assert only(world).spent == 16.0, "on record or in the row: it is the same"
    assert only(world, month=MONTH) == only(world)


def test_a_rollout_costs_a_second_deployment_and_what_is_kept_to_go_back_to_goes_on() -> None:
    world = priced()
    world.services.ledger.create(a_dataset())
    put(world, state=D.DEPLOYING, before_rollout=D.LIVE, candidate=a_release(NEWER))
    world.clock.now += HOUR
    put(world, state=D.LIVE, candidate=None, live=a_release(NEWER), previous=a_release())
    world.clock.now += HOUR
    put(world, previous=a_release(deployment=""))
    world.clock.now += HOUR
    assert only(world).endpoint_hours == 5.0
    found = {one.name: one.endpoint_hours for one in costs.of_dataset(world.services, DATASET).snapshots}
    assert found == {SNAPSHOT: 2.0, NEWER: 3.0}


def test_a_release_that_one_goes_back_to_is_counted_once() -> None:
    world = priced()
    world.services.ledger.create(a_dataset(previous=a_release(NEWER)))
    world.clock.now += HOUR
    put(world, state=D.SHIFTING, before_rollout=D.LIVE, candidate=a_release(NEWER), previous=None)
    world.clock.now += HOUR
    put(world, state=D.LIVE, candidate=None, live=a_release(NEWER), previous=a_release())
    row = world.services.ledger.read(f"dataset/{DATASET}").row
    assert [(one.began, one.ended) for one in row.machine_time] == [(START, 0.0)] * 2


def test_what_an_older_version_deployed_counts_from_its_newest_entry_on() -> None:
    world = priced()
    world.services.ledger.create(a_dataset())
    world.storage.blobs["ledger", f"datasets/{DATASET}.json"].data = json.dumps(
        {**json.loads(world.storage.blobs["ledger", f"datasets/{DATASET}.json"].data), "machine_time": []}
    ).encode()
    world.storage.blobs["ledger", f"datasets/{DATASET}.json"].metadata.pop("form")
    world.clock.now += 2 * HOUR
    assert only(world).endpoint_hours == 2.0
    put(world, last_asked_at=world.clock.now)
    assert only(world).endpoint_hours == 2.0


def test_what_ended_is_moved_to_the_months_record_and_a_worker_that_dies_in_between_counts_nothing_twice() -> None:
    world = priced()
    world.services.ledger.create(a_dataset())
    world.clock.now += HOUR
    put(world, state=D.ASLEEP)
    write = world.services.ledger.write

    def dies(*_: Any) -> Any:
        raise KeyboardInterrupt

    world.services.ledger.write = dies  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        costs.record(world.services, DATASET)
    world.services.ledger.write = write  # type: ignore[method-assign]
    assert world.services.month_costs.times(MONTH, DATASET) == [a_time(price=2.0)]
    for _ in range(3):
        sweep.sweep(world.services)
    assert world.services.ledger.read(f"dataset/{DATASET}").row.machine_time == ()
    assert only(world).spent == 2.0


# -- the record of a month ------------------------------------------------------------------------


def test_a_time_is_told_once_at_its_first_price() -> None:
    world = priced()
    add = world.services.month_costs.add
    for told in (a_time(price=None), a_time(price=3.0), a_time(price=5.0, ended=START + 9 * HOUR)):
        add(DATASET, [told])
    assert world.services.month_costs.times(MONTH, DATASET) == [a_time(price=3.0)]
    before = world.storage.blobs["ledger", f"costs/{MONTH}/{DATASET}.json"].etag
    add(DATASET, [a_time(price=3.0)])
    assert world.storage.blobs["ledger", f"costs/{MONTH}/{DATASET}.json"].etag == before, "nothing new: nothing written"


def test_two_that_tell_of_different_times_at_once_lose_none() -> None:
    world = priced()
    create, other = world.storage.create, a_time(name="other")

    def beaten(container: str, name: str, data: bytes, metadata: Any = None) -> str:
        world.storage.create = create  # type: ignore[method-assign]
        world.services.month_costs.add(DATASET, [other])
        raise LedgerConflict(name)

    world.storage.create = beaten  # type: ignore[method-assign]
    world.services.month_costs.add(DATASET, [a_time()])
    assert {one.name for one in world.services.month_costs.times(MONTH, DATASET)} == {"other", DEPLOYMENT}


def test_a_time_over_the_end_of_a_month_counts_in_each_with_its_part() -> None:
    end = bounds("2026-12")[1]
    assert month_of(end) == "2027-01"
    assert list(months(end - 70 * 86_400, end + 1)) == ["2026-10", "2026-11", "2026-12", "2027-01"]
    world = priced()
    world.services.month_costs.add(DATASET, [a_time(began=end - HOUR, ended=end + 2 * HOUR, price=2.0)])
    assert (only(world, month="2026-12").spent, only(world, month="2027-01").spent) == (2.0, 4.0)


def test_what_was_spent_is_known_when_the_rows_are_gone() -> None:
    world = priced()
    world.clock.now += HOUR
    world.services.month_costs.add(DATASET, [a_time(price=2.0)])
    assert only(world).spent == 2.0
    (line,) = costs.of_dataset(world.services, DATASET).snapshots
    assert (line.name, line.spent) == (SNAPSHOT, 2.0)
    with pytest.raises(NotFound):
        costs.of_dataset(world.services, "nobody")


def test_hours_at_many_prices_are_summed_from_the_record_itself() -> None:
    world = priced()
    times = [a_time(name=f"r{n}", size=f"{GPU}-{n}", price=float(n)) for n in range(50)]
    world.services.month_costs.add(DATASET, times)
    assert only(world).spent == sum(range(50))
    metadata = world.storage.blobs["ledger", f"costs/{MONTH}/{DATASET}.json"].metadata
    assert sum(map(len, metadata.values())) < 8000


def test_a_damaged_record_is_named_and_stops_no_sweep() -> None:
    world = priced()
    world.services.ledger.create(a_dataset())
    world.storage.put("ledger", f"costs/{MONTH}/{DATASET}.json", b"{")
    put(world, state=D.ASLEEP)
    sweep.sweep(world.services)
    from shared.operations import damage

    assert [one.blob for one in damage.on_record(world.services)] == [f"ledger/costs/{MONTH}/{DATASET}.json"]
    damage.mend(world.services, damage.on_record(world.services)[0])
    sweep.sweep(world.services)
    assert damage.on_record(world.services) == ()
    assert len(world.services.month_costs.times(MONTH, DATASET)) == 1, "nothing was lost"


# -- training -------------------------------------------------------------------------------------


def _in_training(**changes: Any) -> Any:
    planned = TrainingEstimate(tokens=1, size=GPU, machines=3)
    history = tuple(HistoryEntry(state=state, at=START + n) for n, state in enumerate(("VALIDATED", "TRAINING")))
    row = a_trained_snapshot(S.TRAINING, estimate=planned, history=history)
    return row.but(**changes)


def test_a_job_costs_all_its_machines_from_when_it_was_submitted() -> None:
    world = priced()
    row = _in_training()
    world.clock.now += 1 + 2 * HOUR
    for _ in range(2):
        spent.record(world.services, row)
        world.clock.now += HOUR
    found = only(world)
    assert (found.training_hours, found.training) == (6.0, 12.0), "as it was told first"


@pytest.mark.parametrize(("how", "hours"), [("fails", 3.0), ("is canceled", 3.0), ("never begins", 0.0)])
def test_a_job_that_failed_or_was_canceled_costs_and_one_that_never_began_does_not(how: str, hours: float) -> None:
    world, row = priced(), _in_training()
    world.clock.now += 1 + HOUR
    if how == "is canceled":
        attempt.canceled(world.services, row.but(state=S.CANCELING))
    else:
        attempt.fail(world.services, row, "it failed", {}, begun=how == "fails")
    assert sum(one.training_hours for one in page(world).costs) == hours


def test_a_row_that_was_resumed_in_training_costs_from_the_beginning() -> None:
    history = (*_in_training().history, HistoryEntry(state="TRAINING", at=START + 900, reason="resumed by ada"))
    assert spent.training_since(_in_training(history=history)) == START + 1
    canceling = (*history, HistoryEntry(state="CANCELING", at=START + 950))
    assert spent.training_since(_in_training(history=canceling)) == START + 1
    assert spent.training_since(_in_training(history=history[:1])) is None
    again = (*history, HistoryEntry(state="TRAINING_FAILED", at=START + 1000))
    assert spent.training_since(_in_training(history=again)) is None


def test_a_job_that_runs_costs_until_now() -> None:
    world = priced(training_nodes=2)
    world.services.ledger.create(a_snapshot(S.TRAINING))
    world.clock.now += 2 * HOUR
    assert (only(world).training_hours, only(world).training) == (4.0, 8.0)
    world.services.ledger.dataset(DATASET)
    (line,) = costs.of_dataset(world.services, DATASET).snapshots
    assert (line.name, line.training) == (SNAPSHOT, 8.0)


def test_the_cost_of_a_whole_life_is_the_same_however_often_it_is_told() -> None:
    from tests.fakes import dialogues

    world = priced(idle_hours=1.0)
    world.drop("support-bot.jsonl", dialogues(40))
    world.run()
    world.clock.now += 30 * HOUR
    before = page(world).costs
    assert len(before) == 1
    assert before[0].training > 0
    assert before[0].endpoint > 0
    for _ in range(3):
        sweep.sweep(world.services)
    assert page(world).costs == before


# -- pages ----------------------------------------------------------------------------------------


def test_what_has_no_price_is_said_and_counted_in_hours() -> None:
    world = World()
    world.services.ledger.create(a_dataset())
    world.clock.now += HOUR
    found = page(world)
    assert (found.total.spent, found.total.unpriced_hours) == (0.0, 1.0)
    assert found.unknown == [f"PRICES has no price of {GPU}"]
    assert any("storage" in one for one in found.not_counted)
    world.settings["prices"] = {GPU: 2.0}
    world.services = world.new_process()
    assert page(world).total.spent == 2.0, "a price that is set later counts for what had none"


def test_pages_orders_and_filters_of_costs() -> None:
    world = priced()
    for n, name in enumerate(("ab", "aa", "bb")):
        world.services.month_costs.add(name, [a_time(machines=n + 1, price=2.0)])
    assert [one.name for one in page(world).costs] == ["bb", "aa", "ab"]
    assert [one.name for one in page(world, sort="name").costs] == ["aa", "ab", "bb"]
    first = page(world, limit="1", prefix="a")
    assert ([one.name for one in first.costs], first.total.spent) == (["aa"], 6.0)
    assert [one.name for one in page(world, limit="1", prefix="a", before=first.next or "").costs] == ["ab"]
    assert page(world, month="2025-01").costs == []


@pytest.mark.parametrize("month", ["2026", "2026-13", "2026-1", "x", "0000-01", "9999-12-01"])
def test_a_month_that_is_none_is_named(month: str) -> None:
    with pytest.raises(BadPageQuery, match="month: a year and a month"):
        page(World(), month=month)


def test_what_nights_saved_is_told_night_by_night_and_for_the_month() -> None:
    world = priced()
    world.services.ledger.create(a_dataset(D.ASLEEP))
    for _ in range(2):
        world.clock.now += 12 * HOUR
        nightly.run(world.services)
    found = nightly.page(world.services, page_query({"limit": "1"}, ("month",)))
    assert (found.nights[0].saved, found.nights[0].asleep_hours) == (24.0, 12.0)
    assert found.nights[0].summary.startswith("idle endpoints")
    older = nightly.page(world.services, page_query({"before": found.next or ""}, ("month",)))
    assert [night.saved for night in older.nights] == [24.0]
    assert (page(world).saved, page(world).asleep_hours) == (48.0, 24.0)
    assert nightly.page(world.services, page_query({"month": "2025-01"}, ("month",))).nights == []


def test_a_report_that_an_older_version_wrote_is_listed_by_its_name() -> None:
    world = priced()
    world.storage.put("reports", "idle/2026-09-20T020000.json", b"{}")
    world.storage.put("reports", "idle/notes.txt", b"by hand")
    found = nightly.page(world.services, page_query({}, ("month",)))
    assert next((night.night, night.saved) for night in found.nights) == ("2026-09-20T020000", None)
    nightly.run(world.services)


def test_costs_take_the_same_requests_however_many_datasets_there_are() -> None:
    counted = []
    for many in (10, 100):
        old = OldLedger(ended=many * 3, datasets=many, opened=5)
        services = old.services()
        for n in range(many):
            services.month_costs.add(f"bot-{n:03}", [a_time(began=old.clock() - HOUR, ended=old.clock())])
        for _ in range(3):
            sweep.sweep(services)
        old.storage.reset()
        assert len(costs.page(services, page_query({"limit": "200"}, costs.FILTERS)).costs) == many
        counted.append(old.storage.requests.total())
    assert counted[0] == counted[1] <= 4


def test_what_training_would_cost_is_told_before_anything_is_dropped() -> None:
    world = priced(training_tokens_per_second=100.0, hyperparameters={"num_train_epochs": 2})
    found = costs.planned(world.services, 3600, 200.0)
    assert (found.tokens, found.hours, found.cost, found.basis) == (1_440_000, 4.0, 8.0, "set")
    assert costs.planned(world.services, 3600, 200.0, epochs=1).cost == 4.0
    unknown = costs.planned(World().services, 10, 10.0).unknown
    assert ["TRAINING_TOKENS_PER_SECOND" in unknown[0], "droptune prices" in unknown[1]] == [True, True]
    with pytest.raises(BadPageQuery):
        costs.planned(world.services, 0, 10.0)
