"""Whether a candidate serves worse than what is live, by how the calls to both ended. Pure; called by `traffic`.

There are two sources, the app's own counts and Azure's metrics, and each is judged by itself. Only calls that were
answered speak for a candidate. Against it speak calls that failed, were refused or were given up by their callers, each
kind beyond its share of live's calls: callers make mistakes and leave, whoever they ask. Few calls prove little: a
share counts as too high only if even the lower end of its 95 % interval is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shared.ledger.release import CallComparison, CallStats

if TYPE_CHECKING:
    from shared.config.settings import Settings

type Verdict = Literal["bad", "unknown", "good", "few"]

# How many standard deviations the ends of a 95 % interval are from its middle.
_Z = 1.96
# So many calls that went wrong are no accident, however few calls there were; fewer may be.
_FEWEST_FAILURES = 3
# What may speak against a candidate: fields of CallStats, and how that is said.
_WRONG = (("failed", "fail"), ("refused", "be refused"), ("left", "be given up by callers"))
# Points by which more calls may be turned away as busy than live turns away. How many call at once is nobody's fault;
# but a release that turns most of them away serves nobody.
_BUSY_POINTS = 50.0
# A difference of latencies up to this (s) is noticed by nobody, whatever the ratio is.
_NOTICEABLE = 0.1


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """How much worse than live a candidate may be, and how many calls it takes to say that it is not."""

    min_requests: int
    max_error_points: float
    max_latency_ratio: float

    @classmethod
    def of(cls, settings: Settings) -> HealthLimits:
        """Those of the settings."""
        return cls(**{name: getattr(settings, f"rollout_{name}") for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """What is known of a candidate, and `why`, with the numbers: `bad`, `good`, `few` (too few calls to tell), or
    `unknown` (a source cannot be read)."""

    verdict: Verdict
    why: str


def judge(found: Iterable[CallComparison], limits: HealthLimits) -> HealthVerdict:
    """What all sources say together: a bad one decides, one that cannot be read leaves it open, one good one is enough.

    Metrics lag behind and have no first minute, so that they may know few calls where the app has counted many.
    """
    verdicts = {health.verdict: health for health in (_judge_source(one, limits) for one in reversed([*found]))}
    return next(verdicts[verdict] for verdict in ("bad", "unknown", "good", "few") if verdict in verdicts)


def _judge_source(found: CallComparison, limits: HealthLimits) -> HealthVerdict:
    candidate, live = found.candidate, found.live
    if candidate is None or live is None:
        return HealthVerdict("unknown", f"{found.source}: {found.why}")
    numbers = f"{found.source}: candidate {candidate}; live {live}"
    shares = [(getattr(candidate, kind), live.percent(getattr(live, kind)), word) for kind, word in _WRONG]
    for calls, usual, word in shares:
        allowed = usual + limits.max_error_points
        if calls >= _FEWEST_FAILURES and 100 * _lower_end(calls, candidate.judged) > allowed:
            return HealthVerdict("bad", f"{numbers}; {allowed:.1f} % may {word}")
    if busy := _turns_away(candidate, live):
        return HealthVerdict("bad", f"{numbers}; {busy}")
    if slow := _slower(candidate, live, limits):
        return HealthVerdict("bad", f"{numbers}; {slow}")
    if candidate.answered < limits.min_requests:
        return HealthVerdict("few", f"{numbers}; {limits.min_requests} answered calls needed")
    for calls, usual, word in shares:
        allowed = usual + limits.max_error_points
        if candidate.percent(calls) > allowed:
            return HealthVerdict("few", f"{numbers}; too few to tell whether more than {allowed:.1f} % {word}")
    return HealthVerdict("good", numbers)


def _lower_end(failed: int, asked: int) -> float:
    """The lower end of Wilson's 95 % interval of a share: sound for few calls, and for shares near 0."""
    if not asked:
        return 0.0
    share, z2 = failed / asked, _Z**2
    middle = share + z2 / (2 * asked)
    half = _Z * math.sqrt(share * (1 - share) / asked + z2 / (4 * asked**2))
    return max(0.0, (middle - half) / (1 + z2 / asked))


def _turns_away(candidate: CallStats, live: CallStats) -> str:
    """How many more calls the candidate turns away as busy (429) than live does, or nothing."""
    allowed = _BUSY_POINTS + (100 * live.busy / live.asked if live.asked else 0.0)
    if candidate.busy < _FEWEST_FAILURES or 100 * _lower_end(candidate.busy, candidate.asked) <= allowed:
        return ""
    return f"{candidate.busy} of {candidate.asked} calls were turned away as busy; {allowed:.0f} % may be"


def _slower(candidate: CallStats, live: CallStats, limits: HealthLimits) -> str:
    """How the candidate is too slow, or nothing; with few answers on either side a percentile says nothing."""
    fewest = min(candidate.answered, live.answered)
    if fewest < limits.min_requests or candidate.p95_seconds is None or live.p95_seconds is None:
        return ""
    allowed = max(limits.max_latency_ratio * live.p95_seconds, live.p95_seconds + _NOTICEABLE)
    return f"p95 may be {allowed:.2f} s" if candidate.p95_seconds > allowed else ""
