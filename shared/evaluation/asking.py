"""Asks a candidate its prompts, and what is live the same ones, in visits of bounded time.

Whatever comes back is stored before anything else is asked, create-only, so a visit that is cut off loses no more than
the questions in flight. Two places:

    <snapshot>/<deployment>/answers/<key>.json               a good answer of this release, to whomever asked for it
    <snapshot>/<deployment>/tries/<side>/<key>-<n>.json      the n-th try of this gate that brought no answer

So a release is asked a prompt once in its life: what it answered to its own gate is there when the next candidate is
compared with it, even if its endpoint sleeps by then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from shared import scoring
from shared.errors import LedgerConflict, ServiceBusy
from shared.evaluation.prompts import CONTAINER, Chosen, Prompt, Turns, folder
from shared.lifecycle import DatasetState
from shared.records import Struct

if TYPE_CHECKING:
    from shared.clients import Parts
    from shared.records import Dataset, Release
    from shared.storage import Lease

# One visit begins no question after so long (s); the next one goes on.
VISIT_SECONDS = 60.0
# Statuses that say "not now" rather than "I cannot": no answer at all, time-outs, too many, a gateway in between.
NOT_NOW = frozenset({0, 408, 429, 502, 503, 504})

type Who = Literal["candidate", "live"]
type Pending = tuple[Side, list[tuple[Prompt, int]]]


class Kept(Struct, frozen=True, kw_only=True):
    """What one question brought. `again`: it says nothing about the model, so the prompt is asked once more."""

    prompt: Turns
    parameters: dict[str, Any]
    status: int
    text: str | None = None
    detail: str = ""
    seconds: float
    at: float
    again: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two releases that are asked, how many questions at once, and where its failed tries are kept."""

    who: Who
    release: Release
    at_once: int
    tries: str

    def answer(self, key: str) -> str:
        """The blob of its answer to a prompt."""
        return f"{folder(self.release)}/answers/{key}.json"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one side: the keys that are answered, and the tries of those that are not (again or not)."""

    answered: frozenset[str]
    tried: Mapping[str, tuple[bool, ...]]

    def settled(self, key: str, limit: int) -> bool:
        """Whether there is nothing more to ask."""
        tries = self.tried.get(key, ())
        return key in self.answered or len(tries) >= limit or not all(tries)


def sides(parts: Parts, row: Dataset, release: Release) -> list[Side]:
    """The candidate, and what is live, awake or not. People use live meanwhile: it is asked one question at a time."""
    tries = f"{folder(release)}/tries"
    found = [Side("candidate", release, parts.settings.serving_concurrency, f"{tries}/candidate/")]
    if row.live:
        found.append(Side("live", row.live, 1, f"{tries}/live/"))
    return found


def standing(parts: Parts, side: Side) -> Standing:
    """What one side has been asked so far."""
    answers = f"{folder(side.release)}/answers/"
    tried: dict[str, tuple[bool, ...]] = {}
    for blob in parts.storage.list(CONTAINER, side.tries):
        key = blob.name.removeprefix(side.tries).rpartition("-")[0]
        tried[key] = (*tried.get(key, ()), blob.metadata.get("again") == "1")
    names = (blob.name for blob in parts.storage.list(CONTAINER, answers))
    return Standing(frozenset(name.removeprefix(answers).removesuffix(".json") for name in names), tried)


def visit(parts: Parts, row: Dataset, release: Release, chosen: Chosen, lease: Lease) -> float | None:
    """Asks what is not settled yet. None when nothing is left, else the seconds until the next visit.

    Once more prompts failed than may fail, the rest is not asked: the judgement stands, and time costs money.
    """
    pause = 0.0
    pending = _pending(parts, row, release, chosen)
    if pending:
        pause = asyncio.run(_Visit(parts, row, chosen, lease).run(pending))
        pending = _pending(parts, row, release, chosen)
    return pause if pending else None


def _pending(parts: Parts, row: Dataset, release: Release, chosen: Chosen) -> list[Pending]:
    """What is left to ask of each side: the prompts, with the number of tries so far."""
    limit = parts.settings.gate_tries
    left: list[Pending] = []
    for side in sides(parts, row, release):
        if side.who == "live" and row.resting != DatasetState.LIVE:
            continue
        found = standing(parts, side)
        wanted = [p for p in chosen.prompts if side.who == "candidate" or p.comparable]
        if side.who == "candidate" and _hopeless(parts, chosen, found):
            return []
        prompts = [(p, len(found.tried.get(p.key, ()))) for p in wanted if not found.settled(p.key, limit)]
        if prompts:
            left.append((side, sorted(prompts, key=lambda item: item[1])))
    return left


def _hopeless(parts: Parts, chosen: Chosen, found: Standing) -> bool:
    """Whether so many prompts failed for good that no number of good answers helps."""
    given = parts.settings
    failed = sum(found.settled(key, given.gate_tries) for key in found.tried if key not in found.answered)
    return failed > len(chosen.prompts) * given.gate_max_error_percent / 100


class _Visit:
    """One round of questions to both sides."""

    def __init__(self, parts: Parts, row: Dataset, chosen: Chosen, lease: Lease) -> None:
        self._parts, self._row, self._chosen, self._lease = parts, row, chosen, lease
        self._key = parts.workspace.key(row.endpoint)
        self._until = time.monotonic() + VISIT_SECONDS

    async def run(self, pending: Sequence[Pending]) -> float:
        """Asks both sides at the same time; returns the longest pause that an answer asks for."""
        try:
            return max(await asyncio.gather(*(self._side(side, prompts) for side, prompts in pending)))
        finally:
            await self._parts.scorer.close()

    async def _side(self, side: Side, prompts: Sequence[tuple[Prompt, int]]) -> float:
        """As many at once as the side can bear, until time is up or it asks for patience."""
        for some in batched(prompts, side.at_once, strict=False):
            self._lease.check()
            if time.monotonic() > self._until:
                return 0.0
            answers = await asyncio.gather(*(self._asked(side, prompt) for prompt, _ in some))
            for (prompt, tries), (answer, seconds) in zip(some, answers, strict=True):
                self._keep(side, prompt, tries, answer, seconds)
            if busy := [answer for answer, _ in answers if answer.status in NOT_NOW]:
                return max(_patience(answer, self._parts.settings.look_seconds) for answer in busy)
        return 0.0

    async def _asked(self, side: Side, prompt: Prompt) -> tuple[scoring.Answer, float]:
        """The answer and the seconds it took; a refused key is read anew, once."""
        key = self._key
        answer, seconds = await self._timed(side, prompt, key)
        if answer.status == 401:
            self._key = await asyncio.to_thread(self._parts.workspace.key, self._row.endpoint)
            answer, seconds = await self._timed(side, prompt, self._key)
        if answer.status == 401 or (answer.status == 404 and side.who == "candidate"):
            where = f"{self._row.endpoint}/{side.release.deployment}"
            raise ServiceBusy(f"{where} answered HTTP {answer.status}: {answer.detail}")
        return answer, seconds

    async def _timed(self, side: Side, prompt: Prompt, key: str) -> tuple[scoring.Answer, float]:
        started = time.perf_counter()
        answer = await self._parts.scorer.ask(
            self._row.scoring_uri,
            key,
            scoring.payload(prompt.turns, self._chosen.parameters),
            self._parts.settings.scoring_timeout_seconds,
            deployment=side.release.deployment,
        )
        return answer, time.perf_counter() - started

    def _keep(self, side: Side, prompt: Prompt, tries: int, answer: scoring.Answer, seconds: float) -> None:
        """Stores what came back; the first of two workers' answers stays.

        Whatever goes wrong with live is asked again: it must never be the candidate's gain. An empty answer of the
        candidate is its answer.
        """
        answered = answer.text is not None if side.who == "candidate" else answer.good
        kept = Kept(
            prompt=prompt.turns,
            parameters=self._chosen.parameters,
            status=answer.status,
            text=answer.text,
            detail=answer.detail,
            seconds=round(seconds, 4),
            at=self._parts.clock(),
            again=not answered and (side.who == "live" or answer.status in NOT_NOW),
        )
        name = side.answer(prompt.key) if answered else f"{side.tries}{prompt.key}-{tries + 1}.json"
        try:
            self._parts.storage.create(CONTAINER, name, msgspec.json.encode(kept), {"again": "1"} if kept.again else {})
        except LedgerConflict:
            return


def _patience(answer: scoring.Answer, usual: float) -> float:
    """How long (s) an endpoint wants to be left alone."""
    asked = answer.retry_after.strip()
    return min(float(asked), 600.0) if asked.isdigit() else usual
