"""Numbers in, judgement out: each threshold, and the interval against what is live."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config.settings import Settings
from shared.ledger.release import GateMetrics
from shared.releases.gate.judging import Thresholds, interval, judge, summary

# An interval takes many milliseconds to draw.
FEW = settings(max_examples=25, deadline=None)
POINTS = st.floats(-100, 100, allow_nan=False)
GOOD = GateMetrics(asked=50, likeness=60.0, p50_seconds=1.0, p95_seconds=2.0)


def _thresholds(**changes: Any) -> Thresholds:
    ids: dict[str, Any] = {"azure_subscription_id": "s", "azure_resource_group": "g", "azureml_workspace": "w"}
    found: Thresholds = Thresholds.of(Settings(data="fake", **ids)).but(**changes)
    return found


@pytest.mark.parametrize(
    ("numbers", "strict", "reason"),
    [
        ({}, {}, ""),
        ({"failed": 1}, {}, ""),
        ({"failed": 2}, {}, "2 of 50 prompts failed (4 %, 2 % allowed)"),
        ({"unusable": 5}, {}, ""),
        ({"unusable": 6}, {}, "6 of 50 answers are unusable (12 %, 10 % allowed)"),
        ({"failed": 49, "unusable": 1}, {"max_error_percent": 99}, "1 of 1 answers are unusable (100 %, 10 % allowed)"),
        ({"likeness": 12.34}, {}, ""),
        ({"likeness": 12.34}, {"min_likeness": 20}, "likeness 12.3 to the reference answers, 20 wanted"),
        ({"likeness": None}, {"min_likeness": 20}, ""),
        ({}, {"max_p95_seconds": 1.5}, "95 % of the answers took up to 2.0 s, 1.5 s allowed"),
        ({"p95_seconds": None}, {"max_p95_seconds": 1.5}, ""),
        ({"asked": 0}, {}, "there is no held-out prompt to ask"),
    ],
)
def test_a_first_release_has_to_keep_every_threshold(
    numbers: dict[str, Any], strict: dict[str, Any], reason: str
) -> None:
    found = judge(GOOD.but(**numbers), _thresholds(**strict), None, [])
    assert (found.passed, found.against_live, found.reasons) == (not reason, "first", (reason,) if reason else ())


@FEW
@given(st.integers(8, 60))
def test_the_same_answers_as_live_pass(count: int) -> None:
    found = judge(GOOD, _thresholds(), GOOD, [0.0] * count)
    assert (found.passed, found.against_live) == (True, "not worse")


@FEW
@given(st.lists(st.floats(10.01, 100), min_size=8, max_size=60))
def test_whoever_is_worse_by_more_than_the_margin_on_every_prompt_is_withheld(differences: list[float]) -> None:
    found = judge(GOOD, _thresholds(in_doubt="release"), GOOD, differences)
    assert (found.passed, found.against_live) == (False, "worse")
    assert "live is +" in found.reasons[0]


@FEW
@given(st.lists(POINTS, min_size=8, max_size=60))
def test_nobody_passes_who_is_behind_by_more_than_the_margin_on_the_mean(differences: list[float]) -> None:
    found = judge(GOOD, _thresholds(), GOOD, differences)
    if sum(differences) / len(differences) > 10:
        assert not found.passed


@FEW
@given(st.lists(POINTS, min_size=2, max_size=60), st.randoms())
def test_the_interval_holds_the_mean_and_is_the_same_whatever_the_order(
    differences: list[float], order: random.Random
) -> None:
    found = interval(differences)
    assert found.low - 0.01 <= found.mean <= found.high + 0.01
    assert min(differences) - 0.01 <= found.low
    assert found.high <= max(differences) + 0.01
    order.shuffle(differences)
    assert interval(differences) == found


@FEW
@given(st.lists(POINTS, min_size=8, max_size=60), st.floats(0, 50))
def test_a_wider_margin_withholds_nobody_who_passed(differences: list[float], more: float) -> None:
    passes = [judge(GOOD, _thresholds(margin=m), GOOD, differences).passed for m in (10, 10 + more)]
    assert passes[0] <= passes[1]


def test_few_prompts_that_differ_much_are_a_doubt_that_more_of_the_same_resolve() -> None:
    few = [40.0, -30.0, 25.0, -20.0, 0.0, 10.0, -15.0, 30.0]
    withheld = judge(GOOD, _thresholds(), GOOD, few)
    assert (withheld.passed, withheld.against_live) == (False, "in doubt")
    assert "more held-out rows would tell" in withheld.reasons[0]
    released = judge(GOOD, _thresholds(in_doubt="release"), GOOD, few)
    assert (released.passed, released.reasons) == (True, ())
    assert released.notes[0].startswith("in doubt: ")
    assert judge(GOOD, _thresholds(), GOOD, few * 20).against_live == "not worse"


def test_too_few_prompts_are_not_judged_and_the_thresholds_decide() -> None:
    for numbers, passes in ((GOOD, True), (GOOD.but(failed=9), False)):
        found = judge(numbers, _thresholds(), GOOD, [100.0] * 7)
        assert (found.passed, found.against_live, found.gap) == (passes, "unjudged", None)
        assert found.notes == ("unjudged against live: 7 prompts to compare on, 8 needed",)


def test_a_judgement_is_told_with_its_numbers_and_who_overrode_it() -> None:
    found = judge(GOOD.but(failed=9), _thresholds(), None, []).but(overridden_by="ada")
    assert summary(found) == (
        "41 of 50 held-out prompts answered, likeness 60.0; 9 of 50 prompts failed (18 %, 2 % allowed); "
        "released all the same, overridden by ada"
    )
