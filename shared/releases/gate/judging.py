"""Judges a release by its numbers. Pure: the same numbers give the same judgement, on any machine, at any time.

Every release has to keep the thresholds. One that would replace another must besides not be behind it by more than a
margin. That is judged by an interval and not by the bare mean, because few prompts and a lucky draw make a mean of
anything: of the differences (live minus candidate, prompt by prompt) a bootstrap gives the 95 % interval of their mean.

| interval | `against_live` | |
|---|---|---|
| its upper end is within the margin | not worse | passes |
| its lower end is above the margin | worse | is withheld |
| the margin is inside it | in doubt | as the setting says |
| fewer prompts than it takes | unjudged | the thresholds alone decide |
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from shared.ledger.record import Struct
from shared.ledger.release import GateMetrics, Judgement, LikenessGap

if TYPE_CHECKING:
    from shared.config.settings import Settings

# The ends of a percentile interval of so many resamples move by about a twentieth of its width with the seed.
RESAMPLES = 2000
CONFIDENCE = 0.95
# Any fixed number does: with it, the interval is a function of the differences.
SEED = 20_261_101

type AgainstLive = Literal["first", "not worse", "worse", "in doubt", "unjudged"]


class Thresholds(Struct, frozen=True, kw_only=True):
    """What a release has to keep; 0 for `min_likeness` and `max_p95_seconds` means that it is only recorded."""

    max_error_percent: float
    max_unusable_percent: float
    min_likeness: float
    max_p95_seconds: float
    margin: float
    min_compared: int
    in_doubt: Literal["withhold", "release"]

    @classmethod
    def of(cls, settings: Settings) -> Thresholds:
        """Those of the settings."""
        return cls(**{name: getattr(settings, f"gate_{name}") for name in cls.__struct_fields__})


def judge(
    candidate: GateMetrics, thresholds: Thresholds, live: GateMetrics | None, differences: Sequence[float]
) -> Judgement:
    """The judgement. `live`: None when nothing is. `differences`: live's likeness minus the candidate's, by prompt."""
    reasons = _broken(candidate, thresholds)
    notes: list[str] = []
    against: AgainstLive = "first"
    gap = None
    if live is not None:
        gap = interval(differences) if len(differences) >= thresholds.min_compared else None
        against = _against(gap, thresholds.margin)
        said = _comparison(against, gap, len(differences), thresholds)
        fails = against == "worse" or (against == "in doubt" and thresholds.in_doubt == "withhold")
        (reasons if fails else notes).append(said)
    return Judgement(
        passed=not reasons,
        against_live=against,
        candidate=candidate,
        live=live,
        gap=gap,
        reasons=tuple(reasons),
        notes=tuple(notes),
    )


def summary(found: Judgement) -> str:
    """A judgement in one sentence, for histories and reasons."""
    numbers = found.candidate
    answered = f"{numbers.asked - numbers.failed} of {numbers.asked} held-out prompts answered"
    if numbers.likeness is not None:
        answered += f", likeness {numbers.likeness:.1f}"
    released = (f"released all the same, overridden by {found.overridden_by}",) if found.overridden_by else ()
    return "; ".join((answered, *found.reasons, *released, *found.notes))


def _broken(found: GateMetrics, given: Thresholds) -> list[str]:
    """Every threshold that was not kept, with both numbers."""
    if not found.asked:
        return ["there is no held-out prompt to ask"]
    reasons = []
    answered = found.asked - found.failed
    failed, unusable = 100 * found.failed / found.asked, 100 * found.unusable / max(answered, 1)
    if failed > given.max_error_percent:
        reasons.append(
            f"{found.failed} of {found.asked} prompts failed ({failed:.0f} %, {given.max_error_percent:g} % allowed)"
        )
    if unusable > given.max_unusable_percent:
        reasons.append(
            f"{found.unusable} of {answered} answers are unusable "
            f"({unusable:.0f} %, {given.max_unusable_percent:g} % allowed)"
        )
    if found.likeness is not None and found.likeness < given.min_likeness:
        reasons.append(f"likeness {found.likeness:.1f} to the reference answers, {given.min_likeness:g} wanted")
    if given.max_p95_seconds and (found.p95_seconds or 0.0) > given.max_p95_seconds:
        reasons.append(f"95 % of the answers took up to {found.p95_seconds:.1f} s, {given.max_p95_seconds:g} s allowed")
    return reasons


def _against(gap: LikenessGap | None, margin: float) -> AgainstLive:
    if gap is None:
        return "unjudged"
    if gap.high <= margin:
        return "not worse"
    return "worse" if gap.low > margin else "in doubt"


def _comparison(against: AgainstLive, gap: LikenessGap | None, prompts: int, given: Thresholds) -> str:
    if gap is None:
        return f"unjudged against live: {prompts} prompts to compare on, {given.min_compared} needed"
    numbers = (
        f"live is {gap.mean:+.1f} points of likeness ahead on {gap.prompts} prompts "
        f"(95 % interval {gap.low:+.1f} to {gap.high:+.1f}, margin {given.margin:g})"
    )
    more = "; more held-out rows would tell" if against == "in doubt" else ""
    return f"{against}: {numbers}{more}" if against == "in doubt" else f"{against} than live: {numbers}"


def interval(differences: Sequence[float]) -> LikenessGap:
    """The mean difference with its 95 % percentile bootstrap interval: means of samples drawn with replacement."""
    draw = random.Random(SEED)
    ordered, count = sorted(differences), len(differences)
    means = sorted(fmean(draw.choices(ordered, k=count)) for _ in range(RESAMPLES))
    beyond = (1 - CONFIDENCE) / 2
    return LikenessGap(
        mean=round(fmean(differences), 2),
        low=round(means[math.floor(beyond * RESAMPLES)], 2),
        high=round(means[math.ceil((1 - beyond) * RESAMPLES) - 1], 2),
        prompts=count,
    )
