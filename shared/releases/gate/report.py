"""The gate's report on a release: every prompt, answer and score, the numbers, and the judgement on them.

Stored as `<snapshot>/<deployment>/evaluation.json` in the container `evaluations`, for people to read; what the app
needs of it is the Judgement, which stays in the dataset's row. Writing it again gives the same report.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import msgspec

from shared.errors import NotFound
from shared.ledger.record import Struct
from shared.ledger.release import GateMetrics, Judgement
from shared.releases.gate import judging, measures
from shared.releases.gate.asking import AskedRelease, StoredAnswer, asked_releases, progress
from shared.releases.gate.judging import Thresholds
from shared.releases.gate.prompts import CONTAINER, HeldOutPrompt, PromptSelection, Turns, folder

if TYPE_CHECKING:
    from shared.ledger.release import Release
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

VERSION = 1


class AnswerScore(Struct, frozen=True, kw_only=True):
    """A release's answer to one prompt and its scores.

    `flaw`: why the answer cannot be used (empty: it can). `failed`: why there is none (empty: there is).
    """

    text: str = ""
    failed: str = ""
    flaw: str = ""
    likeness: float | None = None
    seconds: float = 0.0
    tries: int = 0


class PromptResult(Struct, frozen=True, kw_only=True):
    """One prompt and both answers. `left_out`: why they are not compared (empty: they are)."""

    prompt: Turns
    reference: str
    candidate: AnswerScore | None = None
    live: AnswerScore | None = None
    left_out: str = ""

    @property
    def difference(self) -> float | None:
        """Live's likeness minus the candidate's; None when the two are not compared."""
        if self.left_out or not (self.candidate and self.live) or self.live.likeness is None:
            return None
        return self.live.likeness - (self.candidate.likeness or 0.0)


class GateReport(Struct, frozen=True, kw_only=True):
    """The whole report. `version` goes up when a reader has to know that something changed."""

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


_REPORT, _ANSWER = msgspec.json.Decoder(GateReport), msgspec.json.Decoder(StoredAnswer)


def read_report(services: Services, name: str) -> GateReport:
    """A report as it was written. Raises NotFound."""
    return _REPORT.decode(services.storage.read(CONTAINER, name)[0])


def write_report(
    services: Services, row: Dataset, release: Release, selection: PromptSelection, thresholds: Thresholds
) -> Judgement:
    """Judges what was asked and writes the report; a repeat writes the same."""
    candidate, *others = asked_releases(services, row, release)
    scores = _scores(services, candidate, selection)
    live_scores = _scores(services, others[0], selection) if others else {}
    results = tuple(
        _result(prompt, scores.get(prompt.key), live_scores.get(prompt.key), bool(others))
        for prompt in selection.prompts
    )
    judgement = judging.judge(
        _gate_metrics([result.candidate for result in results if result.candidate], failures_count=True),
        thresholds,
        _gate_metrics([result.live for result in results if result.live], failures_count=False) if others else None,
        [result.difference for result in results if result.difference is not None],
    )
    name = f"{folder(release)}/evaluation.json"
    full: Judgement = judgement.but(evaluation=name, notes=(*judgement.notes, *_notes(results, selection)))
    report = GateReport(
        snapshot=release.snapshot,
        deployment=release.deployment,
        model=f"{release.model.name}:{release.model.version}",
        live=selection.live,
        at=services.clock(),
        parameters=selection.parameters,
        thresholds=thresholds,
        judgement=full,
        prompts=results,
    )
    services.storage.put(CONTAINER, name, msgspec.json.format(msgspec.json.encode(report), indent=1))
    return full


def _scores(services: Services, asked: AskedRelease, selection: PromptSelection) -> dict[str, AnswerScore]:
    """The scores of a release by prompt key. Equal answers score equally, whoever gave them."""
    found, limit = progress(services, asked), int(selection.parameters.get("max_new_tokens", 0)) or 2**31
    scores = {}
    for prompt in selection.prompts:
        tries = len(found.tries.get(prompt.key, ()))
        if prompt.key in found.answered:
            scores[prompt.key] = _score(_stored(services, asked.answer(prompt.key)), prompt, tries + 1, limit)
        elif tries:
            last = _stored(services, f"{asked.tries}{prompt.key}-{tries}.json")
            scores[prompt.key] = AnswerScore(failed=_failure(last), tries=tries)
    return scores


def _stored(services: Services, name: str) -> StoredAnswer | None:
    try:
        return _ANSWER.decode(services.storage.read(CONTAINER, name)[0])
    except NotFound:
        return None


def _score(stored: StoredAnswer | None, prompt: HeldOutPrompt, tries: int, limit: int) -> AnswerScore:
    text = (stored.text if stored else "") or ""
    flaw = measures.flaw(text, prompt.reference, limit)
    likeness = measures.likeness(text, prompt.reference) if prompt.reference.strip() else None
    if flaw and likeness is not None:
        likeness = 0.0
    return AnswerScore(
        text=text[: measures.TEXT_LIMIT],
        flaw=flaw,
        likeness=None if likeness is None else round(likeness, 2),
        seconds=stored.seconds if stored else 0.0,
        tries=tries,
    )


def _failure(stored: StoredAnswer | None) -> str:
    if stored is None:
        return "not kept"
    return f"HTTP {stored.status}: {stored.detail}".rstrip(": ") if stored.status else stored.detail


def _result(
    prompt: HeldOutPrompt, candidate: AnswerScore | None, live: AnswerScore | None, compared: bool
) -> PromptResult:
    left_out = ""
    if compared:
        if prompt.trained_on_by:
            left_out = f"trained on by {', '.join(prompt.trained_on_by)}"
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


def _gate_metrics(scores: Sequence[AnswerScore], *, failures_count: bool) -> GateMetrics:
    """The numbers of one release. `failures_count`: a prompt without an answer has likeness 0, else it is left out."""
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
        p50_seconds=_percentile(seconds, 0.5),
        p95_seconds=_percentile(seconds, 0.95),
    )


def _percentile(seconds: Sequence[float], share: float) -> float | None:
    """The percentile by nearest rank; None of nothing."""
    import numpy

    return float(numpy.quantile(seconds, share, method="inverted_cdf")) if seconds else None


def _notes(results: Sequence[PromptResult], selection: PromptSelection) -> list[str]:
    """What a person should know besides: what was left out, what could not be checked, what failed first."""
    notes = []
    if left_out := [result.left_out for result in results if result.left_out]:
        notes.append(f"{len(left_out)} prompts were not compared, e.g. {left_out[0]}")
    if selection.unsearched:
        snapshots = " and ".join(selection.unsearched)
        notes.append(f"what {snapshots} was trained on is not there any more to be checked")
    failures = [s.failed or s.flaw for result in results if (s := result.candidate) and (s.failed or s.flaw)]
    if failures:
        notes.append(f"the first that went wrong: {_briefly(failures[0])}")
    return notes


def _briefly(failure: str) -> str:
    """A failure without what comes after its colon: that may quote an answer, and judgements are kept in the ledger."""
    return failure.partition(":")[0]
