"""The two life cycles: every pair of state and step, every write, every picture."""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import product

import pytest

from shared.ledger.states import DATASET, SNAPSHOT, LifeCycle
from shared.ledger.states import DatasetState as D
from shared.ledger.states import Decision as V
from shared.ledger.states import SnapshotState as S

LETTERS = {"r": V.RUN, "d": V.ALREADY_DONE, "e": V.TOO_EARLY, "-": V.IMPOSSIBLE}

# What each step says: no row yet first, then the states in the order of their class.
SNAPSHOT_VERDICTS = {
    #                     none, RECEIVED VALIDATING VALIDATED, REJECTED DUPLICATE SUPERSEDED,
    #                     SUBMITTING TRAINING TRAINED, TRAINING_FAILED, REGISTERING REGISTERED REGISTER_FAILED,
    #                     CANCELING CANCELED, CLEANING CLEANED
    "receive": "r ddd ddd ddd d ddd dd dd",
    "cancel": "e rdr ddd drr d ddd rd dd",
    "validate": "e rrd ddd ddd d ddd dd dd",
    "reserve": "e ddr ddd ddd d ddd dd dd",
    "submit": "e ddr ddd rdd d ddd dd dd",
    "finish": "e ddd ddd drd d ddd dd dd",
    "register": "e ddd ddd ddr d rdd dd dd",
    "cancel_release": "e eee eee eee e ere ee --",
    "retry": "e ddd ddd ddd r ddd dd dd",
    "retry_registration": "e ddd ddd ddd d ddr dr dd",
    "retry_canceled": "e ddd ddd ddd d ddd dr dd",
    "override": "e ddd rrr ddd d ddd dd dd",
    "clean": "e eee rrr eee r e-r er rd",
}
DATASET_VERDICTS = {
    # none, EMPTY, DEPLOYING EVALUATING SHIFTING, LIVE SLEEPING ASLEEP WAKING, DELETING
    "roll_back": "e d ddd rddd d",
    "retire": "e d ddd rddd d",
    "deploy": "e r ddd rdrd d",
    "watch": "e d rdd dddd d",
    "gate": "e d drd dddd d",
    "shift": "e d ddr dddd d",
    "confirm_sleep": "e d ddd rddd d",
    "sleep": "e d ddd rrdd d",
    "wake": "e d ddd ddrr d",
    "probe": "e d ddd rddd d",
    "delete": "e r rrr rere d",
    "erase": "e e eee eeee r",
}
BOTH = pytest.mark.parametrize(("table", "states"), [(SNAPSHOT, S), (DATASET, D)], ids=["snapshot", "dataset"])


def _verdicts(table: LifeCycle, states: type[StrEnum], told: dict[str, str]) -> list[tuple[StrEnum | None, str, V]]:
    assert list(told) == [step.name for step in table.steps]
    return [
        (state, name, LETTERS[letter])
        for name, letters in told.items()
        for state, letter in zip((None, *states), letters.replace(" ", ""), strict=True)
    ]


@pytest.mark.parametrize(("state", "step", "verdict"), _verdicts(SNAPSHOT, S, SNAPSHOT_VERDICTS))
def test_every_step_has_its_verdict_in_every_state_of_a_snapshot(state: S | None, step: str, verdict: V) -> None:
    assert SNAPSHOT.decide(state, step) == verdict


@pytest.mark.parametrize(("state", "step", "verdict"), _verdicts(DATASET, D, DATASET_VERDICTS))
def test_every_step_has_its_verdict_in_every_state_of_a_dataset(state: D | None, step: str, verdict: V) -> None:
    assert DATASET.decide(state, step) == verdict


@BOTH
def test_one_write_goes_along_one_arrow_of_the_picture_and_nowhere_else(
    table: LifeCycle, states: type[StrEnum]
) -> None:
    arrows = set(re.findall(r"(\S+) --> (\w+)", table.diagram()))
    for before, after in product((None, *states), states):
        drawn = (before or "[*]", after) in arrows or before == after
        assert table.allows(before, after) == drawn, f"{before} -> {after}"


@BOTH
def test_no_step_skips_its_intent(table: LifeCycle, states: type[StrEnum]) -> None:
    for step in table.steps:
        others = {end for s in table.steps if s != step and s.intent is None for end in s.ends}
        for start, end in product(step.starts, step.ends):
            if step.intent and end not in others:
                assert not table.allows(start, end), f"{step.name}: {start} -> {end}"


@BOTH
def test_an_intent_is_left_only_towards_the_ends_of_its_own_step(table: LifeCycle, states: type[StrEnum]) -> None:
    for step in (s for s in table.steps if s.intent):
        assert step.intent is not None
        assert {after for after in states if table.allows(step.intent, after)} == {step.intent, *step.ends}
        assert table.steps_from(step.intent) == (step,)


@BOTH
def test_every_state_can_be_reached(table: LifeCycle, states: type[StrEnum]) -> None:
    first = (D.EMPTY,) if states is D else table.step("receive").ends
    assert table.reachable(first) == set(states)


@BOTH
def test_only_the_meant_states_have_no_way_out(table: LifeCycle, states: type[StrEnum]) -> None:
    dead = {state for state in states if not table.steps_from(state)}
    assert dead == ({S.CLEANED} if states is S else set())


@pytest.mark.parametrize("state", [s for s in S if s not in (S.REGISTERED, S.CLEANED)])
def test_every_snapshot_can_still_end(state: S) -> None:
    assert SNAPSHOT.reachable((state,)) & {S.REGISTERED, S.CLEANED}


@pytest.mark.parametrize("state", [d for d in D if d != D.DELETING])
def test_every_dataset_can_still_go_live(state: D) -> None:
    assert D.LIVE in DATASET.reachable((state,))


def test_steps_are_tried_in_the_order_of_the_table() -> None:
    assert [step.name for step in SNAPSHOT.steps_from(S.VALIDATED)] == ["cancel", "reserve", "submit"]
    assert [step.name for step in DATASET.steps_from(D.LIVE)] == [
        "roll_back",
        "retire",
        "deploy",
        "confirm_sleep",
        "sleep",
        "probe",
        "delete",
    ]


def test_what_a_person_asks_for_is_marked() -> None:
    asked = {step.name for table in (SNAPSHOT, DATASET) for step in table.steps if step.asked}
    assert asked == {
        "retry", "retry_registration", "retry_canceled", "override", "cancel", "cancel_release", "roll_back", "sleep",
        "wake", "delete",
    }  # fmt: skip


def test_an_unknown_step_is_an_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="snapshot has no step 'fly'"):
        SNAPSHOT.step("fly")


def test_the_picture_shows_intents_between_start_and_end() -> None:
    lines = SNAPSHOT.diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert "    [*] --> RECEIVED: receive" in lines
    assert "    VALIDATED --> SUBMITTING: submit" in lines
    assert "    SUBMITTING --> TRAINING" in lines
    assert "    TRAINING_FAILED --> VALIDATED: retry (asked)" in lines
    assert len(lines) == len(set(lines))
    assert SNAPSHOT.diagram() == SNAPSHOT.diagram()
