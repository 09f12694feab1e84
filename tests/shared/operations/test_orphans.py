"""What no row explains is found, reported, and removed after the grace time; in doubt nothing is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from shared import naming
from shared.azure.workspace.deployments import DeploymentSpec
from shared.errors import ServiceBusy
from shared.ledger.states import DatasetState as D
from shared.operations import orphans, sweep
from tests.builders import DATASET, DEPLOYMENT, ENDPOINT, NEWER, a_dataset, a_release
from tests.fakes import World

HOUR = 3600.0
GRACE = 6 * HOUR
LOST = "lost-0a1b2c3d"


class Field:
    """A world with one live dataset, its endpoint and its deployment; everything has settled."""

    def __init__(self) -> None:
        self.world = World()
        self.services, self.workspace = self.world.services, self.world.workspace
        self.services.ledger.create(a_dataset(D.LIVE))
        self.endpoint(ENDPOINT, DATASET)
        self.deployment(ENDPOINT, DEPLOYMENT)

    def endpoint(self, name: str, dataset: str, **tags: str) -> None:
        installation = self.services.installation
        made = {naming.TAG_INSTALLATION: installation, naming.TAG_DATASET: dataset, **tags}
        self.workspace.endpoints.write(name, made, {})
        self.world.clock.now += 600

    def deployment(self, endpoint: str, name: str) -> None:
        tags = naming.tags(self.services.installation, DATASET, NEWER, 1)
        spec = DeploymentSpec(
            endpoint=endpoint, name=name, model_id="m", instance_type="s", instances=1, concurrency=1,
            timeout_seconds=1, tags=tags,
        )  # fmt: skip
        self.workspace.deployments.create(spec)
        self.world.clock.now += 600

    def row(self, **changes: Any) -> None:
        self.services.ledger.change(f"dataset/{DATASET}", lambda row: row.but(**changes))

    def look(self, later: float = 0) -> list[str]:
        self.world.clock.now += later
        removed = orphans.collect(self.services, self.services.ledger.datasets())
        self.world.clock.now += 600
        return removed

    def left(self) -> tuple[set[str], set[str]]:
        deployments = {name for name in list(self.workspace.deployments.made) if self.workspace.deployments.find(*name)}
        return {name for name in list(self.workspace.endpoints.made) if self.workspace.endpoints.find(name)}, {
            name for _, name in deployments
        }


@pytest.fixture
def field() -> Field:
    return Field()


def test_what_a_row_explains_stays_for_ever(field: Field) -> None:
    for _ in range(5):
        assert field.look(GRACE) == []
    assert field.left() == ({ENDPOINT}, {DEPLOYMENT})
    assert orphans.on_record(field.services) == orphans.Orphans()


def test_an_endpoint_without_a_row_is_reported_at_once_and_removed_after_the_grace_time(field: Field) -> None:
    field.endpoint(LOST, "lost")
    assert field.look() == []
    (found,) = orphans.on_record(field.services).found
    assert (found.name, found.why) == (LOST, "its dataset has no row")
    assert field.look(GRACE - 2 * HOUR) == []
    assert field.look(2 * HOUR) == [LOST]
    assert field.left() == ({ENDPOINT}, {DEPLOYMENT})
    assert field.look() == []
    record = orphans.on_record(field.services)
    assert (record.found, [gone.name for gone in record.removed]) == ((), [LOST])


def test_a_deployment_that_is_none_of_the_rows_releases_is_removed_alone(field: Field) -> None:
    field.row(previous=a_release(NEWER, deployment="kept"), kept_until=9e12)
    field.deployment(ENDPOINT, "kept")
    field.deployment(ENDPOINT, "stray")
    field.look()
    assert field.look(GRACE) == [f"{ENDPOINT}/stray"]
    assert field.left() == ({ENDPOINT}, {DEPLOYMENT, "kept"})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": D.ASLEEP}, "is ASLEEP"),
        ({"state": D.EMPTY, "live": None}, "is EMPTY"),
        ({"endpoint": "another-1"}, "has the endpoint another-1"),
    ],
)
def test_a_row_that_has_no_endpoint_there_does_not_explain_it(field: Field, changes: dict[str, Any], why: str) -> None:
    field.row(**changes)
    field.look()
    assert why in orphans.on_record(field.services).found[0].why
    assert field.look(GRACE) == [ENDPOINT]


@pytest.mark.parametrize("tags", [{naming.TAG_INSTALLATION: "other"}, {naming.TAG_INSTALLATION: ""}])
def test_what_others_made_is_not_even_reported(field: Field, tags: dict[str, str]) -> None:
    field.endpoint(LOST, "lost", **tags)
    for _ in range(3):
        assert field.look(GRACE) == []
    assert orphans.on_record(field.services).found == ()


def test_what_was_gone_in_between_is_waited_for_anew(field: Field) -> None:
    field.endpoint(LOST, "lost")
    field.look()
    del field.workspace.endpoints.made[LOST]
    field.look(HOUR)
    field.endpoint(LOST, "lost")
    assert field.look(GRACE) == []
    assert field.look(GRACE) == [LOST]


def test_a_ledger_that_lists_nothing_removes_nothing(field: Field) -> None:
    for key in [key for key in field.world.storage.blobs if key[1].startswith("datasets/")]:
        del field.world.storage.blobs[key]
    for _ in range(3):
        assert field.look(GRACE) == []
    assert field.left() == ({ENDPOINT}, {DEPLOYMENT})


@pytest.mark.parametrize("at", ["first", "second"])
def test_a_ledger_that_cannot_be_listed_removes_nothing(field: Field, at: str) -> None:
    field.endpoint(LOST, "lost")
    field.look()
    field.world.clock.now += GRACE
    listing, count = field.world.storage.list, 0

    def broken(container: str, prefix: str = "") -> Any:
        nonlocal count
        count += container == "ledger" and prefix == "datasets/"
        if prefix == "datasets/" and (at == "first" or count > 1):
            raise ServiceBusy("HTTP 503")
        return listing(container, prefix)

    field.world.storage.list = broken  # type: ignore[method-assign]
    with contextlib.suppress(ServiceBusy):
        assert orphans.collect(field.services, field.services.ledger.datasets()) == []
    assert LOST in field.left()[0]


def test_a_row_that_appears_just_before_the_removal_saves_its_endpoint(field: Field) -> None:
    field.endpoint(LOST, "lost")
    field.look()
    field.world.clock.now += GRACE
    hold = field.world.storage.lease

    def late(name: str, take_over: bool = False) -> Any:
        if name == "lost":
            field.services.ledger.create(a_dataset(D.WAKING, name="lost", endpoint=LOST))
        return hold(name)

    field.world.storage.lease = late  # type: ignore[method-assign]
    assert orphans.collect(field.services, field.services.ledger.datasets()) == []
    assert LOST in field.left()[0]


def test_a_dataset_that_is_worked_on_is_left_alone(field: Field) -> None:
    field.endpoint(LOST, "lost")
    field.look()
    field.world.clock.now += GRACE
    field.world.storage.lease("lost")
    assert orphans.collect(field.services, field.services.ledger.datasets()) == []
    assert field.look(60) == [LOST]


def test_two_sweeps_at_once_remove_a_thing_once(field: Field) -> None:
    field.endpoint(LOST, "lost")
    field.look()
    field.world.clock.now += GRACE
    assert orphans.collect(field.services, field.services.ledger.datasets()) == [LOST]
    assert orphans.collect(field.services, field.services.ledger.datasets()) == []


BUSY: Callable[[], Any] = lambda: (_ for _ in ()).throw(ServiceBusy("HTTP 503"))  # noqa: E731


def test_a_busy_workspace_does_not_keep_the_sweep_from_its_other_work(field: Field) -> None:
    field.workspace.endpoints.list = BUSY  # type: ignore[method-assign]
    field.row(poll_at=field.world.clock() - 1)
    assert sweep.sweep(field.services) == [f"dataset/{DATASET}"]


def test_a_live_dataset_whose_endpoint_is_gone_goes_to_sleep_and_says_why(field: Field) -> None:
    field.workspace.endpoints.made.clear()
    field.look()
    field.world.run()
    row = field.services.ledger.read(f"dataset/{DATASET}").row
    assert (row.state, row.reason) == (D.ASLEEP, "asked for by the sweep: its endpoint is gone")


def test_an_endpoint_that_a_listing_left_out_stays(field: Field) -> None:
    listing, field.workspace.endpoints.list = field.workspace.endpoints.list, list  # type: ignore[method-assign]
    field.look()
    field.workspace.endpoints.list = listing  # type: ignore[method-assign]
    assert field.services.ledger.read(f"dataset/{DATASET}").row.requested.what == "sleep"
    field.world.run()
    row = field.services.ledger.read(f"dataset/{DATASET}").row
    assert (row.state, row.requested) == (D.LIVE, None)
    assert field.left() == ({ENDPOINT}, {DEPLOYMENT})


def test_a_removal_that_azure_accepts_and_does_not_carry_out_is_started_ever_more_seldom_and_counted(
    field: Field,
) -> None:
    field.endpoint(LOST, DATASET)
    field.workspace.accepted.clear()
    field.workspace.breaks = lambda kind, name: "InternalServerError"
    end = field.world.clock() + 14 * 24 * HOUR
    while field.world.clock() < end:
        field.look(HOUR)
    assert 4 <= field.workspace.accepted.count(("removal", LOST)) <= 6
    (orphan,) = orphans.on_record(field.services).found
    assert f"its removal was started {orphan.tries} times, and it is there" in orphan.why
    field.workspace.breaks = lambda kind, name: ""
    for _ in range(24 * 14):
        field.look(HOUR)
    assert LOST not in field.left()[0]
