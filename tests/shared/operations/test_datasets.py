"""The list of datasets: what each is, has and costs now, in pages and filtered, for a fixed number of requests."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger.cards import card_of
from shared.ledger.listed import metadata
from shared.ledger.rows import HistoryEntry
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from shared.ledger.uptime import Machines
from shared.operations import datasets, nightly, sweep
from shared.operations.datasets import DatasetPage, DatasetSummary
from shared.operations.paging import BadPageQuery, page_query
from shared.operations.times import shown_time
from tests.builders import (
    DATASET,
    NEWER,
    SNAPSHOT,
    a_dataset,
    a_fault,
    a_release,
    a_request,
    a_snapshot,
    a_trained_snapshot,
)
from tests.fakes import GPU, START, World
from tests.old_ledger import OldLedger

HOUR = 3600.0


@pytest.fixture
def world() -> World:
    return World()


def listed(world: World, **asked: str) -> DatasetPage:
    return datasets.page(world.services, page_query(asked, datasets.FILTERS))


def only(world: World) -> DatasetSummary:
    (found,) = listed(world).datasets
    return found


def named(world: World, *rows: tuple[str, dict[str, Any]]) -> None:
    for name, changes in rows:
        world.services.ledger.create(a_dataset(**{"name": name, **changes}))


def priced(world: World, **changes: Any) -> None:
    world.settings |= {"prices": {GPU.upper(): 2.5}, "currency": "EUR", "serving_instances": 2, **changes}
    world.services = world.new_process()


def test_a_live_dataset_is_told_with_its_machines_its_price_and_until_when_it_is_up(world: World) -> None:
    priced(world)
    world.services.ledger.create(a_dataset(last_asked_at=START + HOUR))
    found = only(world)
    assert (found.state, found.live, found.needs_attention) == ("LIVE", SNAPSHOT, False)
    assert found.machines == Machines(size=GPU, count=2)
    assert found.price_per_hour == 5.0
    assert found.last_asked_at == shown_time(START + HOUR)
    assert found.sleeps_after == shown_time(START + 25 * HOUR)


def test_a_price_that_is_not_known_is_no_price_and_no_total(world: World) -> None:
    world.services.ledger.create(a_dataset())
    assert only(world).price_per_hour is None
    assert listed(world).total.price_per_hour is None


@pytest.mark.parametrize(
    ("changes", "machines"),
    [
        ({"state": D.EMPTY}, 0),
        ({"state": D.ASLEEP}, 0),
        ({"state": D.WAKING}, 1),
        ({"state": D.SLEEPING}, 1),
        ({"previous": a_release(NEWER)}, 2),
        ({"previous": a_release(NEWER, deployment="")}, 1),
        ({"state": D.SHIFTING, "before_rollout": D.LIVE, "candidate": a_release(NEWER)}, 2),
        ({"state": D.DEPLOYING, "before_rollout": D.ASLEEP, "candidate": a_release(NEWER)}, 1),
        ({"state": D.DEPLOYING, "before_rollout": D.LIVE, "candidate": a_release(NEWER, deployment="")}, 1),
    ],
)
def test_every_deployment_that_is_up_has_machines(world: World, changes: dict[str, Any], machines: int) -> None:
    priced(world, serving_instances=1)
    world.services.ledger.create(a_dataset(**changes))
    assert only(world).machines.count == machines
    assert only(world).price_per_hour == 2.5 * machines, "nothing up costs nothing, and that is known"


def test_what_sleeps_by_itself_is_only_what_is_live(world: World) -> None:
    named(world, ("aa", {"state": D.ASLEEP}), ("bb", {"state": D.WAKING}), ("cc", {}))
    assert [one.sleeps_after is not None for one in listed(world).datasets] == [False, False, True]
    world.services.settings = world.services.settings.model_copy(update={"idle_dry_run": True})
    assert all(one.sleeps_after is None for one in listed(world).datasets)


def test_a_young_endpoint_is_up_for_as_long_as_the_setting_says(world: World) -> None:
    world.services.settings = world.services.settings.model_copy(update={"idle_min_age_hours": 100.0})
    world.services.ledger.create(a_dataset())
    assert only(world).sleeps_after == shown_time(START + 100 * HOUR)


def test_the_newest_snapshot_is_told_whatever_became_of_it(world: World) -> None:
    world.services.ledger.create(a_trained_snapshot())
    world.services.ledger.create(a_dataset(newest_registered=SNAPSHOT))
    assert (only(world).newest, only(world).newest_state) == (SNAPSHOT, "LIVE")
    world.services.ledger.create(a_snapshot(S.TRAINING, id=NEWER))
    assert (only(world).newest, only(world).newest_state) == (NEWER, "TRAINING")


def test_the_newest_snapshot_is_told_when_it_ended_long_ago(world: World) -> None:
    row = world.services.ledger.create(a_snapshot(S.REJECTED)).row
    world.services.ledger.create(a_dataset(D.EMPTY))
    world.services.ledger.index.add([card_of(row)])
    world.services.ledger.cards.remove(next(world.services.ledger.cards.list()))
    assert (only(world).newest, only(world).newest_state) == (row.id, "REJECTED")
    world.services.ledger.index.rebuild(world.services.ledger.index.cards(), world.services.ledger.index.cards())
    assert (only(world).newest, only(world).newest_state) == (row.id, "REJECTED")


def test_a_dataset_whose_first_snapshot_is_not_read_yet_is_there(world: World) -> None:
    world.services.ledger.create(a_snapshot())
    found = only(world)
    assert (found.name, found.state, found.newest, found.newest_state) == (DATASET, "EMPTY", SNAPSHOT, "RECEIVED")


def test_what_is_asked_for_and_what_is_in_the_way_is_told(world: World) -> None:
    history = (HistoryEntry(state="ASLEEP", at=START, reason="Grüße " * 100),)
    row = a_dataset(D.ASLEEP, requested=a_request("wake"), attention=True, waiting="a role", history=history)
    world.services.ledger.create(row)
    found = only(world)
    assert (found.requested, found.waiting, found.needs_attention) == ("wake", "a role", True)
    assert found.reason.startswith("Grüße Grüße")
    assert listed(world).total.needs_attention == 1


def test_the_longest_texts_fit_into_what_a_blob_may_have_of_metadata(world: World) -> None:
    history = (HistoryEntry(state="LIVE", at=START, reason="\U0001f600" * 500),)
    long = "\U0001f600" * 500
    others: dict[str, Any] = {
        "previous": a_release(NEWER),
        "candidate": a_release(NEWER),
        "fault": a_fault(message=long),
    }
    row = a_dataset(waiting=long, history=history, **others)
    assert sum(len(name) + len(value) for name, value in metadata(row).items()) < 8000


def test_filters_and_their_totals(world: World) -> None:
    priced(world, serving_instances=1)
    named(
        world,
        ("aa", {}),
        ("ab", {"state": D.ASLEEP}),
        ("bb", {"state": D.SHIFTING, "candidate": a_release(NEWER)}),
        ("bc", {"attention": True}),
    )

    def names(**asked: str) -> list[str]:
        return [one.name for one in listed(world, **asked).datasets]

    assert names() == ["aa", "ab", "bb", "bc"]
    assert names(prefix="a") == ["aa", "ab"]
    assert names(state="LIVE") == ["aa", "bc"]
    assert names(state="ROLLING_OUT") == ["bb"]
    assert names(state="NEEDS_ATTENTION") == ["bc"]
    assert names(state="LIVE", prefix="b") == ["bc"]
    total = listed(world, prefix="b", limit="1").total
    assert (total.datasets, total.machines, total.price_per_hour) == (2, 3, 7.5), "of all, not of the page"


@pytest.mark.parametrize("sort", ["", "name", "price", "spent", "calls", "asked", "since"])
def test_pages_follow_each_other_in_every_order(world: World, sort: str) -> None:
    priced(world)
    for n in range(7):
        named(world, (f"bot-{n}", {"last_asked_at": START + n % 3, "state": D.LIVE if n % 2 else D.ASLEEP}))
    whole = [one.name for one in listed(world, sort=sort).datasets]
    assert sorted(whole) == [f"bot-{n}" for n in range(7)]
    found, before = [], ""
    for _ in range(4):
        page = listed(world, sort=sort, limit="2", before=before)
        found += [one.name for one in page.datasets]
        before = page.next or ""
    assert (found, before) == (whole, "")
    first = {"price": "bot-1", "asked": "bot-2"}
    assert whole[0] == first.get(sort, "bot-0")


def test_a_dataset_that_is_gone_since_the_page_before_ends_no_list(world: World) -> None:
    named(world, ("aa", {}), ("bb", {}), ("cc", {}))
    before = listed(world, limit="2").next or ""
    world.storage.delete("ledger", "datasets/bb.json")
    assert [one.name for one in listed(world, before=before).datasets] == ["cc"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"limit": "0"}, "limit: 1 to 200"),
        ({"limit": "0001000"}, "limit: 1 to 200"),
        ({"limit": "000100" + "0" * 5000}, "limit: 1 to 200"),
        ({"state": "LVE"}, "state: one of ASLEEP, DAMAGED, DELETING, DEPLOYING"),
        ({"sort": "size"}, "sort: one of asked, calls, name, price, since, spent"),
        ({"before": "aa"}, "before: the `next` of the page before"),
        ({"before": "nan~aa"}, "before: the `next` of the page before"),
        ({"before": "~aa"}, "before: the `next` of the page before"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_can(world: World, asked: dict[str, str], says: str) -> None:
    with pytest.raises(BadPageQuery, match=says):
        listed(world, **asked)


def test_a_row_that_cannot_be_read_hides_no_other_one(world: World) -> None:
    named(world, ("aa", {}), ("bb", {}))
    world.storage.blobs["ledger", "datasets/aa.json"].metadata["since"] = "yesterday"
    found = listed(world).datasets
    assert [(one.name, one.state, one.needs_attention) for one in found] == [
        ("aa", "DAMAGED", True),
        ("bb", "LIVE", False),
    ]
    world.storage.blobs["ledger", "datasets/bb.json"].metadata["card"] = "{"
    assert [one.state for one in listed(world).datasets] == ["DAMAGED", "LIVE"]


def test_a_page_takes_the_same_requests_however_many_datasets_there_are() -> None:
    counted = []
    for many in (10, 100):
        old = OldLedger(ended=many * 3, datasets=many, opened=5)
        services = old.services()
        nightly.every_night(services)
        for _ in range(3):
            sweep.sweep(services)
        old.storage.reset()
        page = datasets.page(services, page_query({"limit": "3", "sort": "price"}, datasets.FILTERS))
        assert page.total.datasets == many
        counted.append(old.storage.requests.total())
    assert counted[0] == counted[1] <= 6
