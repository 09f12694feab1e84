"""What people see: plain JSON with everything about a snapshot and a dataset, newest first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.errors import NotFound
from shared.ledger.release import GateMetrics, Judgement, ReleaseOutcome, Stage
from shared.ledger.rows import HistoryEntry
from shared.ledger.states import DatasetState as D
from shared.ledger.states import ReleaseState
from shared.ledger.states import SnapshotState as S
from shared.operations import nightly, pages, status, sweep
from shared.releases import outcomes
from tests.builders import (
    DATASET,
    DEPLOYMENT,
    ENDPOINT,
    NEWER,
    SNAPSHOT,
    a_dataset,
    a_fault,
    a_release,
    a_request,
    a_snapshot,
    a_trained_snapshot,
)
from tests.fakes import World


def _world(*rows: Any) -> World:
    world = World()
    for row in rows:
        world.services.ledger.create(row)
    return world


def test_everything_about_a_snapshot_is_there_and_is_json() -> None:
    world = _world(a_trained_snapshot(), a_dataset())
    found = status.snapshot(world.services, SNAPSHOT)
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "id": SNAPSHOT,
        "dataset": DATASET,
        "state": "LIVE",
        "reason": "",
        "source": "support-bot.jsonl",
        "uploaded_at": "2026-09-21T14:13:20.000Z",
        "files": [{"path": "support-bot.jsonl", "bytes": 1000, "split": None}],
        "passed_over": [],
        "note": None,
        "attempt": 1,
        "report": {"blob": f"{SNAPSHOT}.json", "verdict": "accepted", "rows": 40, "errors": 0, "warnings": 0},
        "rows": {"train": 30, "validation": 5, "test": 5},
        "duplicate_of": None,
        "blocked": [],
        "overrides": [],
        "unchecked": [],
        "estimate": None,
        "base_model": {"registry": "azureml", "name": "Phi-4", "version": "8", "id": "azureml://Phi-4/8"},
        "component": "chat_completion_pipeline:0.0.82",
        "hyperparameters": {"num_train_epochs": 1},
        "job": {
            "name": f"dt-00000000-{SNAPSHOT}-1",
            "status": "Completed",
            "studio_url": "https://ml.example.net/runs/1",
        },
        "model": {"name": "Phi-4-support-bot", "version": "20260921141320-0123abcd-1"},
        "deployment": {"endpoint": ENDPOINT, "name": DEPLOYMENT, "traffic": 100, "api": "score"},
        "gate": None,
        "stages": [],
        "history": [{"state": "REGISTERED", "at": "2026-09-21T14:13:20.000Z", "reason": ""}],
        "next_look_at": None,
        "fault": None,
        "waiting": None,
        "needs_attention": False,
    }


def test_a_fresh_snapshot_shows_what_is_not_known_yet_as_nothing() -> None:
    found = status.snapshot(_world(a_snapshot()).services, SNAPSHOT)
    for name in ("report", "base_model", "component", "job", "model", "deployment", "duplicate_of", "fault"):
        assert found[name] is None
    assert found["next_look_at"] == "2026-09-21T14:13:20.000Z"


def test_a_fault_and_the_need_for_a_person_are_shown() -> None:
    found = status.snapshot(_world(a_snapshot(fault=a_fault(count=5), attention=True)).services, SNAPSHOT)
    assert found["needs_attention"]
    assert (found["fault"]["type"], found["fault"]["message"], found["fault"]["count"]) == (
        "ServiceBusy",
        "HTTP 503",
        5,
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"waiting": "cluster a is Creating"}, "cluster a is Creating"), ({}, "")],
)
def test_what_a_snapshot_waits_for_is_its_reason_while_it_has_no_other(changes: dict[str, Any], reason: str) -> None:
    assert status.snapshot(_world(a_snapshot(S.SUBMITTING, **changes)).services, SNAPSHOT)["reason"] == reason


def test_a_candidate_shows_its_own_deployment_and_its_share_of_the_traffic() -> None:
    candidate = a_release(NEWER)
    dataset = a_dataset(D.SHIFTING, candidate=candidate, traffic={candidate.deployment: 20, DEPLOYMENT: 80})
    world = _world(a_trained_snapshot(), a_trained_snapshot(id=NEWER), dataset)
    newer, older = world.snapshots()
    assert newer["deployment"] == {"endpoint": ENDPOINT, "name": candidate.deployment, "traffic": 20, "api": "score"}
    assert older["deployment"]["traffic"] == 80


def test_snapshots_are_listed_newest_first_over_all_datasets() -> None:
    other = "aa-20260921150000-0123abcd"
    world = _world(a_snapshot(), a_snapshot(S.REJECTED, id=NEWER), a_snapshot(id=other, dataset="aa"))
    for _ in range(2):

        def ids(**asked: Any) -> list[str]:
            return [row["id"] for row in pages.snapshots(world.services, **asked)["snapshots"]]

        assert ids() == [NEWER, other, SNAPSHOT]
        assert ids(dataset="aa") == [other]
        assert ids(limit=1) == [NEWER]
        assert ids(before=other) == [SNAPSHOT]
        assert ids(state="REJECTED") == [NEWER]
        assert ids(dataset="nobody") == []
        sweep.sweep(world.services)  # what ended is in the index then


def test_pages_follow_one_another_until_there_is_none() -> None:
    ids = [f"{DATASET}-202609211413{second:02}-0123abcd" for second in range(7)]
    world = _world(*(a_snapshot(S.REJECTED if n % 2 else S.RECEIVED, id=one) for n, one in enumerate(ids)))
    sweep.sweep(world.services)
    found: list[str] = []
    before: Any = ""
    while before is not None:
        page = pages.snapshots(world.services, before=before, limit=3)
        found += [row["id"] for row in page["snapshots"]]
        before = page["next"]
    assert found == ids[::-1]


@pytest.mark.parametrize("told", ["cards", "index"])
def test_a_page_tells_the_state_that_the_snapshot_itself_tells(told: str) -> None:
    older, oldest, waits = (f"{DATASET}-2026090{day}141320-0123abcd" for day in (3, 2, 4))
    ended = ReleaseOutcome(state=ReleaseState.WITHHELD, at=1_790_000_000.0, reason="worse")
    world = _world(
        a_trained_snapshot(),
        a_trained_snapshot(id=NEWER),
        a_trained_snapshot(id=older, outcome=ended),
        a_trained_snapshot(id=oldest),
        a_snapshot(S.VALIDATED, id=waits, waiting="a slot"),
        a_dataset(D.SHIFTING, candidate=a_release(NEWER), newest_registered=NEWER),
    )
    if told == "index":
        sweep.sweep(world.services)
    shown = {row["id"]: row for row in pages.snapshots(world.services)["snapshots"]}
    whole = {row["id"]: row for row in world.snapshots()}
    assert {one: row["state"] for one, row in shown.items()} == {one: row["state"] for one, row in whole.items()}
    assert [shown[one]["state"] for one in (NEWER, SNAPSHOT, older, oldest)] == [
        "SHIFTING", "LIVE", "WITHHELD", "SUPERSEDED",
    ]  # fmt: skip
    assert (shown[older]["reason"], shown[waits]["waiting"]) == ("worse", "a slot")
    for state in ("SHIFTING", "LIVE", "WITHHELD", "SUPERSEDED", "VALIDATED"):
        page = pages.snapshots(world.services, state=state)["snapshots"]
        assert [row["id"] for row in page] == [one for one, row in shown.items() if row["state"] == state]


@pytest.mark.parametrize("later", [0.0, 5 * 3600.0])
def test_a_list_tells_how_a_release_ended_although_whoever_ended_it_was_cut_off(later: float) -> None:
    """The dataset's row was written, and its snapshot was not told: the sweep does it, and after hours the night."""
    world = World()
    ended = ReleaseOutcome(state=ReleaseState.WITHHELD, at=world.clock(), reason="worse")
    world.services.ledger.create(a_trained_snapshot(id=NEWER))
    since = (HistoryEntry(state=D.EMPTY, at=world.clock()),)
    world.services.ledger.create(
        a_dataset(D.EMPTY, live=None, outcomes={NEWER: ended}, newest_registered=NEWER, history=since)
    )
    world.clock.now += later
    sweep.sweep(world.services)
    if later:
        assert pages.snapshots(world.services)["snapshots"][0]["state"] == "REGISTERED"
        nightly.every_night(world.services)
    (shown,) = pages.snapshots(world.services)["snapshots"]
    assert (shown["state"], shown["reason"]) == ("WITHHELD", "worse")
    assert shown["state"] == status.snapshot(world.services, NEWER)["state"]
    sweep.sweep(world.services)
    assert pages.snapshots(world.services, state="WITHHELD")["snapshots"] == [shown]


def test_what_the_gate_and_the_stages_said_of_a_release_that_ended_lies_beside_its_evaluation() -> None:
    judged = Judgement(passed=False, against_live="worse", candidate=GateMetrics(asked=20))
    stage = Stage(percent=10, verdict="breach", why="it fails")
    ended = ReleaseOutcome(state=ReleaseState.ROLLED_BACK, at=1.0, reason="bad", gate=judged, stages=(stage,))
    world = _world(a_trained_snapshot(), a_dataset(live=None, outcomes={SNAPSHOT: ended}))
    before = status.snapshot(world.services, SNAPSHOT)
    row = world.services.ledger.read(f"dataset/{DATASET}").row
    kept = outcomes.settled(world.services, row, row.outcomes)
    assert kept == {SNAPSHOT: ended.brief}
    world.services.ledger.change(f"dataset/{DATASET}", lambda row: row.but(outcomes=kept))
    after = status.snapshot(world.services, SNAPSHOT)
    assert after == before
    assert (after["gate"]["against_live"], after["stages"][0]["why"]) == ("worse", "it fails")


def test_everything_about_a_dataset_is_there_and_is_json() -> None:
    row = a_dataset(requested=a_request("sleep"), last_asked_at=1_790_000_000.0)
    found = status.dataset(_world(row).services, DATASET)
    assert json.loads(json.dumps(found)) == found
    assert found["live"]["snapshot"] == SNAPSHOT
    assert found["requested"] == {"what": "sleep", "by": "me", "at": 1_790_000_000.0, "origin": "person"}
    assert found["last_asked_at"] == "2026-09-21T14:13:20.000Z"
    assert (found["state"], found["traffic"], found["endpoint"]) == ("LIVE", {DEPLOYMENT: 100}, ENDPOINT)


def test_an_empty_dataset_shows_nothing_served() -> None:
    found = status.dataset(_world(a_dataset(D.EMPTY)).services, DATASET)
    for name in ("live", "candidate", "previous", "requested", "endpoint", "last_asked_at"):
        assert found[name] is None
    assert found["outcomes"] == {}


@pytest.mark.parametrize("name", [SNAPSHOT, "x", "", "../x"])
def test_what_is_not_there_is_unknown(name: str) -> None:
    services = World().services
    with pytest.raises(NotFound):
        status.snapshot(services, name)
    with pytest.raises(NotFound):
        status.dataset(services, name)
