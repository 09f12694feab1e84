"""Two tallies in, one verdict out: bad only when it is no accident, good only when enough is known."""

from __future__ import annotations

import pytest

from shared.ledger.release import CallComparison, CallStats
from shared.releases.health import HealthLimits, HealthVerdict, Verdict, judge

LIMITS = HealthLimits(min_requests=20, max_error_points=2, max_latency_ratio=1.5)


def _of(
    candidate: CallStats | None, live: CallStats | None = None, source: str = "counts", why: str = ""
) -> CallComparison:
    return CallComparison(source=source, candidate=candidate, live=live or CallStats(asked=200), why=why)


def _said(candidate: CallStats, live: CallStats) -> HealthVerdict:
    return judge([_of(candidate, live)], LIMITS)


@pytest.mark.parametrize(
    ("failed", "asked", "live_failed", "verdict"),
    [
        (0, 0, 0, "few"),
        (0, 19, 0, "few"),
        (0, 20, 0, "good"),
        (2, 2, 0, "few"),  # two failures can be an accident, whatever their share
        (3, 3, 0, "bad"),
        (3, 100, 0, "few"),  # 3 %: more than allowed, and it may be an accident
        (3, 200, 0, "good"),
        (7, 200, 0, "few"),
        (9, 200, 0, "bad"),
        (10, 200, 12, "good"),  # live fails as often
        (200, 200, 200, "few"),  # nobody is answered: nothing speaks for it
    ],
)
def test_errors_count_against_a_candidate_only_beyond_what_live_does_and_beyond_chance(
    failed: int, asked: int, live_failed: int, verdict: Verdict
) -> None:
    found = _said(CallStats(asked=asked, failed=failed), CallStats(asked=200, failed=live_failed))
    assert found.verdict == verdict, found.why
    assert f"candidate {failed} of {asked} failed" in found.why


@pytest.mark.parametrize(
    ("candidate", "live", "asked", "verdict"),
    [
        (3.0, 2.0, 50, "good"),
        (3.1, 2.0, 50, "bad"),
        (3.1, 2.0, 19, "few"),  # a percentile of a few answers says nothing
        (0.09, 0.02, 50, "good"),  # nobody notices
        (0.13, 0.02, 50, "bad"),
        (None, 2.0, 50, "good"),
        (9.0, None, 50, "good"),  # nothing to compare with
    ],
)
def test_latency_counts_by_its_ratio_to_live(
    candidate: float | None, live: float | None, asked: int, verdict: Verdict
) -> None:
    found = _said(CallStats(asked=asked, p95_seconds=candidate), CallStats(asked=200, p95_seconds=live))
    assert found.verdict == verdict, found.why


@pytest.mark.parametrize(
    ("kind", "calls", "live_calls", "verdict"),
    [
        ("refused", 50, 0, "bad"),  # it refuses everything
        ("refused", 12, 0, "bad"),
        ("refused", 2, 0, "few"),
        ("refused", 2, 4, "good"),  # callers make mistakes, whoever they ask
        ("refused", 50, 200, "few"),  # nobody is answered by either
        ("left", 50, 0, "bad"),  # it hangs until callers leave
        ("left", 2, 4, "good"),
        ("busy", 30, 0, "good"),  # says how many called, not how good it is
        ("busy", 50, 0, "bad"),  # it serves nobody
        ("busy", 45, 0, "bad"),
        ("busy", 50, 200, "few"),  # everybody is turned away, by both
        ("busy", 45, 150, "few"),
    ],
)
def test_only_answered_calls_speak_for_a_candidate_and_others_against_it_beyond_lives_share(
    kind: str, calls: int, live_calls: int, verdict: Verdict
) -> None:
    found = _said(CallStats(asked=50, **{kind: calls}), CallStats(asked=200, **{kind: live_calls}))
    assert found.verdict == verdict, found.why


def test_calls_that_were_refused_or_given_up_are_in_the_reason() -> None:
    found = _said(CallStats(asked=50, refused=40, left=2), CallStats(asked=200))
    assert "0 of 50 failed (0.0 %), 40 refused, 2 given up by callers" in found.why
    assert "2.0 % may be refused" in found.why


GOOD, BAD, FEW = _of(CallStats(asked=50)), _of(CallStats(asked=50, failed=50)), _of(CallStats())
UNKNOWN = CallComparison(source="metrics", why="they could not be read")


@pytest.mark.parametrize(
    ("sources", "verdict"),
    [
        ((GOOD, GOOD), "good"),
        ((GOOD, FEW), "good"),
        ((FEW, GOOD), "good"),
        ((FEW, FEW), "few"),
        ((GOOD, UNKNOWN), "unknown"),
        ((FEW, UNKNOWN), "unknown"),
        ((GOOD, BAD), "bad"),
        ((BAD, UNKNOWN), "bad"),
    ],
)
def test_one_bad_source_decides_and_one_unknown_is_never_good(
    sources: tuple[CallComparison, ...], verdict: Verdict
) -> None:
    for order in (sources, sources[::-1]):
        found = judge(order, LIMITS)
        assert found.verdict == verdict, found.why
        assert verdict != "unknown" or "could not be read" in found.why


def test_half_an_answer_is_not_known() -> None:
    assert (
        judge([CallComparison(source="metrics", candidate=CallStats(asked=50), why="gap")], LIMITS).verdict == "unknown"
    )
