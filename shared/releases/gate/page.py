"""The evaluation of a release: one page with every prompt, answer and score, the numbers, and the judgement on them.

Stored as `<snapshot>/<deployment>/evaluation.json` in the container `evaluations`, for people to read; what the app
needs of it is the Judgement, which stays in the dataset's row.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import msgspec

from shared.errors import NotFound
from shared.ledger.rows import GateMetrics, Judgement, Struct
from shared.releases.gate import judging, measures
from shared.releases.gate.asking import Side, StoredAnswer, sides, standing
from shared.releases.gate.judging import Thresholds
from shared.releases.gate.prompts import CONTAINER, Chosen, Prompt, Turns, folder

if TYPE_CHECKING:
    from shared.ledger.rows import Dataset, Release
    from shared.runtime import Services

VERSION = 1


class Scored(Struct, frozen=True, kw_only=True):
    """What one release made of one prompt. `flaw` says why the answer cannot be used; `failed` that there is none."""

    text: str = ""
    failed: str = ""
    flaw: str = ""
    likeness: float | None = None
    seconds: float = 0.0
    tries: int = 0


class PromptResult(Struct, frozen=True, kw_only=True):
    """One prompt, both answers, and why they are not compared (empty: they are)."""

    prompt: Turns
    reference: str
    candidate: Scored | None = None
    live: Scored | None = None
    left_out: str = ""

    @property
    def difference(self) -> float | None:
        """Live's likeness minus the candidate's; None when the two are not compared."""
        if self.left_out or not (self.candidate and self.live) or self.live.likeness is None:
            return None
        return self.live.likeness - (self.candidate.likeness or 0.0)


class Evaluation(Struct, frozen=True, kw_only=True):
    """The whole page. `version` goes up when a reader has to know that something changed."""

    version: int = VERSION
    snapshot: str
    deployment: str
    model: str
    live: str
    at: float
    parameters: dict[str, object]
    thresholds: Thresholds
    judgement: Judgement
    prompts: tuple[PromptResult, ...]


_EVALUATION, _KEPT = msgspec.json.Decoder(Evaluation), msgspec.json.Decoder(StoredAnswer)


def read(services: Services, name: str) -> Evaluation:
    """An evaluation as it was written. Raises NotFound."""
    return _EVALUATION.decode(services.storage.read(CONTAINER, name)[0])


def written(services: Services, row: Dataset, release: Release, chosen: Chosen, thresholds: Thresholds) -> Judgement:
    """Judges what was asked, and writes the page; repeated, it writes the same."""
    candidate, *others = sides(services, row, release)
    scored = _scored(services, candidate, chosen)
    live = _scored(services, others[0], chosen) if others else {}
    lines = tuple(_line(p, scored.get(p.key), live.get(p.key), bool(others)) for p in chosen.prompts)
    judgement = judging.judged(
        _numbers([line.candidate for line in lines if line.candidate], failures_count=True),
        thresholds,
        _numbers([line.live for line in lines if line.live], failures_count=False) if others else None,
        [line.difference for line in lines if line.difference is not None],
    )
    name = f"{folder(release)}/evaluation.json"
    full: Judgement = judgement.but(evaluation=name, notes=(*judgement.notes, *_notes(lines, chosen)))
    page = Evaluation(
        snapshot=release.snapshot,
        deployment=release.deployment,
        model=f"{release.model.name}:{release.model.version}",
        live=chosen.live,
        at=services.clock(),
        parameters=chosen.parameters,
        thresholds=thresholds,
        judgement=full,
        prompts=lines,
    )
    services.storage.put(CONTAINER, name, msgspec.json.format(msgspec.json.encode(page), indent=1))
    return full


def _scored(services: Services, side: Side, chosen: Chosen) -> dict[str, Scored]:
    """What one side made of the prompts it was asked, by key. Equal answers score equally, whoever gave them."""
    found, limit = standing(services, side), int(chosen.parameters.get("max_new_tokens", 0)) or 2**31
    scores = {}
    for prompt in chosen.prompts:
        tries = len(found.tried.get(prompt.key, ()))
        if prompt.key in found.answered:
            scores[prompt.key] = _score(_kept(services, side.answer(prompt.key)), prompt, tries + 1, limit)
        elif tries:
            last = _kept(services, f"{side.tries}{prompt.key}-{tries}.json")
            scores[prompt.key] = Scored(failed=_why(last), tries=tries)
    return scores


def _kept(services: Services, name: str) -> StoredAnswer | None:
    try:
        return _KEPT.decode(services.storage.read(CONTAINER, name)[0])
    except NotFound:
        return None


def _score(kept: StoredAnswer | None, prompt: Prompt, tries: int, limit: int) -> Scored:
    text = (kept.text if kept else "") or ""
    flaw = measures.flaw(text, prompt.reference, limit)
    like = measures.likeness(text, prompt.reference) if prompt.reference.strip() else None
    if flaw and like is not None:
        like = 0.0
    return Scored(
        text=text,
        flaw=flaw,
        likeness=None if like is None else round(like, 2),
        seconds=kept.seconds if kept else 0.0,
        tries=tries,
    )


def _why(kept: StoredAnswer | None) -> str:
    if kept is None:
        return "not kept"
    return f"HTTP {kept.status}: {kept.detail}".rstrip(": ") if kept.status else kept.detail


def _line(prompt: Prompt, candidate: Scored | None, live: Scored | None, compared: bool) -> PromptResult:
    left_out = ""
    if compared:
        if prompt.seen_by:
            left_out = f"trained on by {', '.join(prompt.seen_by)}"
        elif not prompt.reference.strip():
            left_out = "no reference answer"
        elif candidate is None:
            left_out = "not asked"
        elif live is None:
            left_out = "no stored answer of live"
        elif live.failed or live.flaw == "empty":
            left_out = f"live gave no answer: {_briefly(live.failed or live.flaw)}"
    return PromptResult(
        prompt=prompt.turns, reference=prompt.reference, candidate=candidate, live=live, left_out=left_out
    )


def _numbers(scores: Sequence[Scored], *, failures_count: bool) -> GateMetrics:
    answered = [score for score in scores if not score.failed]
    likenesses = [score.likeness for score in answered if score.likeness is not None]
    if failures_count:
        likenesses += [0.0] * (len(scores) - len(answered))
    seconds = [score.seconds for score in answered if score.flaw != "empty"]
    return GateMetrics(
        asked=len(scores),
        failed=len(scores) - len(answered),
        unusable=sum(bool(score.flaw) for score in answered),
        likeness=round(fmean(likenesses), 2) if likenesses else None,
        p50_seconds=measures.percentile(seconds, 0.5),
        p95_seconds=measures.percentile(seconds, 0.95),
    )


def _notes(lines: Sequence[PromptResult], chosen: Chosen) -> list[str]:
    """What a person should know besides: what was left out, what could not be checked, what failed first."""
    notes = []
    if left_out := [line.left_out for line in lines if line.left_out]:
        notes.append(f"{len(left_out)} prompts were not compared, e.g. {left_out[0]}")
    if chosen.unsearched:
        notes.append(f"what {' and '.join(chosen.unsearched)} was trained on is not there any more to be checked")
    failures = [s.failed or s.flaw for line in lines if (s := line.candidate) and (s.failed or s.flaw)]
    if failures:
        notes.append(f"the first that went wrong: {_briefly(failures[0])}")
    return notes


def _briefly(failure: str) -> str:
    """A failure without what came after it: that may quote an answer, and judgements are kept in the ledger."""
    return failure.partition(":")[0]
