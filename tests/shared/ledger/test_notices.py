"""Which change of a row tells people what, and what is told of nobody."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger import notices
from shared.ledger.outbox import Notice, left
from shared.ledger.release import ReleaseOutcome
from shared.ledger.rows import Dataset, HistoryEntry, Snapshot
from shared.ledger.states import DatasetState as D
from shared.ledger.states import ReleaseState as R
from shared.ledger.states import SnapshotState as S
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_fault, a_release, a_snapshot
from tests.fakes import START

PASSING = {S.VALIDATING, S.SUBMITTING, S.REGISTERING, S.CANCELING, S.CLEANING}


def _changes(before: Any, after: Any) -> list[tuple[str, ...]]:
    """What is told, in brief: the type, and its snapshot or dataset with the state."""
    found: list[tuple[str, ...]] = []
    for data in notices.changes(before, after):
        shown: Any = data
        found.append((type(data).__name__, getattr(shown, "snapshot", "") or shown.dataset, shown.state))
    return found


@pytest.mark.parametrize("state", S)
def test_a_snapshot_tells_of_every_state_but_those_in_which_a_step_acts(state: S) -> None:
    before = a_snapshot(S.TRAINING if state != S.TRAINING else S.VALIDATED)
    expected = [] if state in PASSING else [("SnapshotChanged", SNAPSHOT, state)]
    assert _changes(before, a_snapshot(state)) == expected


def test_a_new_snapshot_tells_that_it_arrived() -> None:
    assert _changes(None, a_snapshot()) == [("SnapshotChanged", SNAPSHOT, "RECEIVED")]


def test_a_snapshot_that_is_noted_on_tells_nothing() -> None:
    row = a_snapshot(S.TRAINING)
    more = (*row.history, HistoryEntry(state=S.TRAINING, at=START + 1, reason="still at it"))
    assert _changes(row, row.but(history=more, waiting="quota", job_status="Running")) == []


def test_a_release_tells_of_its_snapshot_what_people_see() -> None:
    live = a_dataset()
    tried = a_dataset(D.DEPLOYING, candidate=a_release(NEWER), before_rollout=D.LIVE)
    assert _changes(live, tried) == [("SnapshotChanged", NEWER, "DEPLOYING")]
    judged = tried.but(state=D.EVALUATING)
    assert _changes(tried, judged) == [("SnapshotChanged", NEWER, "EVALUATING")]
    withheld = live.but(outcomes={NEWER: ReleaseOutcome(state=R.WITHHELD, at=START, reason="worse")})
    assert _changes(judged, withheld) == [("SnapshotChanged", NEWER, "WITHHELD"), ("DatasetChanged", DATASET, "LIVE")]
    shifted = judged.but(state=D.SHIFTING)
    ended = {SNAPSHOT: ReleaseOutcome(state=R.RETIRED, at=START)}
    newest = a_dataset(live=a_release(NEWER), previous=a_release(), outcomes=ended)
    assert sorted(_changes(shifted, newest)) == [
        ("DatasetChanged", DATASET, "LIVE"),
        ("SnapshotChanged", SNAPSHOT, "RETIRED"),
        ("SnapshotChanged", NEWER, "LIVE"),
    ]


def test_sleep_and_wake_are_told_of_dataset_and_snapshot_and_a_wake_that_failed_too() -> None:
    live, going, asleep, waking = a_dataset(), a_dataset(D.SLEEPING), a_dataset(D.ASLEEP), a_dataset(D.WAKING)
    slept = [("SnapshotChanged", SNAPSHOT, "ASLEEP"), ("DatasetChanged", DATASET, "ASLEEP")]
    woke = [("SnapshotChanged", SNAPSHOT, "LIVE"), ("DatasetChanged", DATASET, "LIVE")]
    assert [_changes(live, going), _changes(going, asleep), _changes(asleep, waking)] == [[], slept, []]
    assert [_changes(waking, live), _changes(waking, asleep)] == [woke, slept[1:]]


def test_a_dataset_that_is_made_anew_tells_nothing() -> None:
    assert _changes(None, a_dataset()) == []


@pytest.mark.parametrize("row", [a_snapshot(S.TRAINING), a_dataset()], ids=["snapshot", "dataset"])
def test_attention_is_told_once_with_the_step_and_what_went_wrong(row: Snapshot | Dataset) -> None:
    waiting = row.but(attention=True, fault=a_fault(count=5))
    (found,) = notices.changes(row, waiting)
    assert isinstance(found, notices.AttentionNeeded)
    assert (found.dataset, found.step, found.reason) == (DATASET, "finish", "ServiceBusy: HTTP 503")
    assert list(notices.changes(waiting, waiting.but(poll_at=START))) == []


def test_an_id_is_of_what_happened_and_when() -> None:
    def ids(before: Any, after: Any, now: float) -> list[str]:
        return [one.id for one in notices.of_write(before, after, "0a1b2c3d", now, ("topic",))]

    rows = (a_snapshot(), a_snapshot(S.REJECTED))
    assert ids(*rows, START) == ids(*rows, START)
    assert ids(*rows, START) != ids(*rows, START + 1)
    assert ids(None, rows[0], START) != ids(*rows, START)


def test_a_notice_is_left_until_every_channel_is_over_with_it() -> None:
    one = Notice(id="1", type="t", subject="s", at=0.0, data={}, to=("topic", "webhook"))
    (half,) = left([one], lambda notice, name: name == "topic")
    assert half.to == ("webhook",)
    assert left([one], lambda notice, name: True) == ()
