"""A snapshot's state as people see it: its own, and from REGISTERED on the part it plays in its dataset."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger import listed
from shared.ledger.cards import card_of
from shared.ledger.release import ReleaseOutcome
from shared.ledger.rows import HistoryEntry
from shared.ledger.states import DatasetState as D
from shared.ledger.states import ReleaseState
from shared.ledger.states import SnapshotState as S
from shared.operations import pages
from shared.operations.status import visible_state
from tests.builders import NEWER, SNAPSHOT, a_dataset, a_release, a_snapshot, a_trained_snapshot
from tests.fakes import START

ROLLOUT = (D.DEPLOYING, D.EVALUATING, D.SHIFTING)


def _seen(dataset: Any, **changes: Any) -> str:
    return visible_state(a_trained_snapshot(**changes), dataset)[0]


@pytest.mark.parametrize("state", [state for state in S if state != S.REGISTERED])
def test_before_it_is_registered_a_snapshot_shows_its_own_state(state: S) -> None:
    row = a_snapshot(state, history=(HistoryEntry(state=state, at=START, reason="why"),))
    assert visible_state(row, a_dataset()) == visible_state(row, None) == (state.value, "why")


def test_a_registered_snapshot_shows_so_until_its_turn_comes() -> None:
    assert _seen(None) == _seen(a_dataset(D.EMPTY)) == "REGISTERED"
    assert _seen(a_dataset(), id=NEWER) == "REGISTERED"


@pytest.mark.parametrize("state", ROLLOUT)
@pytest.mark.parametrize("before_rollout", [D.EMPTY, D.LIVE, D.ASLEEP])
def test_a_candidate_shows_what_its_dataset_does_and_live_shows_where_it_rests(state: D, before_rollout: D) -> None:
    live = None if before_rollout == D.EMPTY else a_release()
    dataset = a_dataset(state, live=live, candidate=a_release(NEWER), before_rollout=before_rollout)
    assert _seen(dataset, id=NEWER) == state.value
    if live:
        assert _seen(dataset) == before_rollout.value


@pytest.mark.parametrize(
    ("state", "part"),
    [(D.LIVE, "LIVE"), (D.SLEEPING, "LIVE"), (D.ASLEEP, "ASLEEP"), (D.WAKING, "ASLEEP")],
)
def test_what_was_released_is_live_or_asleep(state: D, part: str) -> None:
    assert _seen(a_dataset(state)) == part


@pytest.mark.parametrize(
    "part", [ReleaseState.WITHHELD, ReleaseState.DEPLOY_FAILED, ReleaseState.ROLLED_BACK, ReleaseState.RETIRED]
)
def test_how_a_release_ended_stays_with_its_snapshot_and_its_reason(part: ReleaseState) -> None:
    ended = {SNAPSHOT: ReleaseOutcome(state=part, at=START, reason="why")}
    dataset = a_dataset(live=a_release(NEWER), outcomes=ended)
    assert visible_state(a_trained_snapshot(), dataset) == (part.value, "why")


def test_a_retried_release_shows_its_new_turn_not_its_old_end() -> None:
    ended = {SNAPSHOT: ReleaseOutcome(state=ReleaseState.WITHHELD, at=START)}
    dataset = a_dataset(D.DEPLOYING, live=None, candidate=a_release(), outcomes=ended)
    assert _seen(dataset) == "DEPLOYING"


def test_a_release_that_was_overtaken_was_never_served() -> None:
    state, reason = visible_state(a_trained_snapshot(), a_dataset(live=a_release(NEWER)))
    assert state == "SUPERSEDED"
    assert NEWER in reason


def test_a_candidate_that_failed_tells_why_while_it_is_removed() -> None:
    dataset = a_dataset(D.DEPLOYING, candidate=a_release(NEWER, failed="no quota"))
    assert visible_state(a_trained_snapshot(id=NEWER), dataset) == ("DEPLOYING", "no quota")


def test_every_state_that_people_see_is_one_of_the_tables() -> None:
    known = {*S, *D, *ReleaseState}
    for dataset in (None, *(a_dataset(state) for state in D), a_dataset(D.SHIFTING, candidate=a_release(NEWER))):
        for snapshot in (SNAPSHOT, NEWER):
            assert _seen(dataset, id=snapshot) in known


def test_the_reason_of_what_is_live_is_never_that_of_another_release() -> None:
    story = (
        ("LIVE", f"{SNAPSHOT} serves"),
        ("DEPLOYING", f"release of {NEWER}"),
        ("EVALUATING", "deployment r1 is up, and speaks /score alone"),
        ("LIVE", f"{NEWER}: WITHHELD: 8 of 8 answers are empty"),
    )
    history = tuple(HistoryEntry(state=state, at=START + at, reason=reason) for at, (state, reason) in enumerate(story))
    row = a_dataset(D.LIVE, history=history)
    snapshot = a_trained_snapshot()
    assert visible_state(snapshot, row) == ("LIVE", f"{SNAPSHOT} serves")
    asleep = row.but(history=(*history, HistoryEntry(state="ASLEEP", at=START + 9, reason="asked for by ada")))
    assert visible_state(snapshot, asleep)[1] == "asked for by ada"
    shown = listed.listed(row.key, listed.metadata(row))
    assert isinstance(shown, listed.ListedDataset)
    assert pages.with_part(card_of(snapshot), shown).reason == f"{SNAPSHOT} serves"
