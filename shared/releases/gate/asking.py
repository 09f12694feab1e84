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
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from shared.azure import inference
from shared.errors import LedgerConflict, ServiceBusy
from shared.ledger.rows import Struct
from shared.ledger.states import DatasetState
from shared.releases.gate.prompts import CONTAINER, Chosen, Prompt, Turns, folder

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.ledger.rows import Dataset, Release
    from shared.runtime import Services

# One visit begins no question after so long (s); the next one goes on.
VISIT_SECONDS = 60.0
# Statuses that say "not now" rather than "I cannot": no answer at all, time-outs, too many, a gateway in between.
NOT_NOW = frozenset({0, 408, 429, 502, 503, 504})

type Who = Literal["candidate", "live"]
type Pending = tuple[Side, list[tuple[Prompt, int]]]


class StoredAnswer(Struct, frozen=True, kw_only=True):
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
        """Whether there is nothing more to ask: it is answered, tried often enough, or failed for good."""
        tries = self.tried.get(key, ())
        return key in self.answered or len(tries) >= limit or not all(tries)

    def unsettled(self, prompts: Sequence[Prompt], limit: int) -> list[tuple[Prompt, int]]:
        """The prompts that are left to ask, with the number of tries so far.

        What was tried already comes first: whether an endpoint is down for good is known soonest that way.
        """
        left = [(p, len(self.tried.get(p.key, ()))) for p in prompts if not self.settled(p.key, limit)]
        return sorted(left, key=lambda item: -item[1])


def sides(services: Services, row: Dataset, release: Release) -> list[Side]:
    """The candidate, and what is live, awake or not. People use live meanwhile: it is asked one question at a time."""
    tries = f"{folder(release)}/tries"
    found = [Side("candidate", release, services.settings.serving_concurrency, f"{tries}/candidate/")]
    if row.live:
        found.append(Side("live", row.live, 1, f"{tries}/live/"))
    return found


def standing(services: Services, side: Side) -> Standing:
    """What one side has been asked so far."""
    answers = f"{folder(side.release)}/answers/"
    tried: dict[str, tuple[bool, ...]] = {}
    for blob in services.storage.list(CONTAINER, side.tries):
        key = blob.name.removeprefix(side.tries).rpartition("-")[0]
        tried[key] = (*tried.get(key, ()), blob.metadata.get("again") == "1")
    names = (blob.name for blob in services.storage.list(CONTAINER, answers))
    return Standing(frozenset(name.removeprefix(answers).removesuffix(".json") for name in names), tried)


def visit(services: Services, row: Dataset, release: Release, chosen: Chosen, lease: HeldLease) -> float | None:
    """Asks what is not settled yet, each prompt at most once. None when nothing is left, else the seconds until the
    next visit."""
    pending = _pending(services, row, release, chosen)
    if not pending:
        return None
    pause = asyncio.run(_Visit(services, row, chosen, lease).run(pending))
    return pause if _pending(services, row, release, chosen) else None


def _pending(services: Services, row: Dataset, release: Release, chosen: Chosen) -> list[Pending]:
    """What is left to ask of each side.

    Nothing once the judgement stands, because more prompts failed than may fail, or once the gate takes too long: a
    candidate costs money. Then what live did not answer is unknown, and a prompt of the candidate has had one try.
    """
    limit, late = services.settings.gate_tries, _late(services, row)
    left: list[Pending] = []
    for side in sides(services, row, release):
        found = standing(services, side)
        if side.who == "candidate":
            if _hopeless(services, chosen, found):
                return []
            prompts = found.unsettled(chosen.prompts, 1 if late else limit)
        elif row.resting != DatasetState.LIVE or late:
            prompts = []
        else:
            prompts = found.unsettled([p for p in chosen.prompts if p.comparable], limit)
        if prompts:
            left.append((side, prompts))
    return left


def _late(services: Services, row: Dataset) -> bool:
    return services.clock() > row.since + services.settings.gate_limit_minutes * 60


def _hopeless(services: Services, chosen: Chosen, found: Standing) -> bool:
    """Whether so many prompts failed for good that no number of good answers helps."""
    given = services.settings
    failed = sum(found.settled(key, given.gate_tries) for key in found.tried if key not in found.answered)
    return failed > len(chosen.prompts) * given.gate_max_error_percent / 100


class _Visit:
    """One round of questions to both sides."""

    def __init__(self, services: Services, row: Dataset, chosen: Chosen, lease: HeldLease) -> None:
        self._services, self._row, self._chosen, self._lease = services, row, chosen, lease
        self._key = services.workspace.key(row.endpoint)
        self._until = time.monotonic() + VISIT_SECONDS

    async def run(self, pending: Sequence[Pending]) -> float:
        """Asks both sides at the same time; returns the longest pause that an answer asks for."""
        try:
            return max(await asyncio.gather(*(self._side(side, prompts) for side, prompts in pending)))
        finally:
            await self._services.inference.close()

    async def _side(self, side: Side, prompts: Sequence[tuple[Prompt, int]]) -> float:
        """As many at once as the side can bear, until time is up or it asks for patience; some at least.

        Returns the pause (s) that it needs: none if nothing is to be asked again.
        """
        pause = 0.0
        for some in batched(prompts, side.at_once, strict=False):
            self._lease.check()
            kept = await asyncio.gather(*(self._one(side, prompt, tries) for prompt, tries in some))
            pause = max([pause, *(patience for patience, _ in kept)])
            if any(stops for _, stops in kept) or time.monotonic() > self._until:
                break
        return pause

    async def _one(self, side: Side, prompt: Prompt, tries: int) -> tuple[float, bool]:
        """Asks one prompt and stores at once what came back.

        Returns the pause (s) before another try, and whether to ask no further for now: the side is too busy for any
        prompt, or it failed one for good, so that its judgement may stand.
        """
        answer, seconds = await self._asked(side, prompt)
        kept = self._keep(side, prompt, tries, answer, seconds)
        pause = _patience(answer, self._services.settings.look_seconds) if kept.again else 0.0
        return pause, answer.status in NOT_NOW or (kept.text is None and not kept.again)

    async def _asked(self, side: Side, prompt: Prompt) -> tuple[inference.EndpointAnswer, float]:
        """The answer and the seconds it took; a refused key is read anew, once."""
        key = self._key
        answer, seconds = await self._timed(side, prompt, key)
        if answer.status == 401:
            self._key = await asyncio.to_thread(self._services.workspace.key, self._row.endpoint)
            answer, seconds = await self._timed(side, prompt, self._key)
        if answer.status == 401 or (answer.status == 404 and side.who == "candidate"):
            where = f"{self._row.endpoint}/{side.release.deployment}"
            raise ServiceBusy(f"{where} answered HTTP {answer.status}: {answer.detail}")
        return answer, seconds

    async def _timed(self, side: Side, prompt: Prompt, key: str) -> tuple[inference.EndpointAnswer, float]:
        started = time.perf_counter()
        answer = await self._services.inference.ask(
            self._row.scoring_uri,
            key,
            inference.payload(prompt.turns, self._chosen.parameters),
            self._services.settings.scoring_timeout_seconds,
            deployment=side.release.deployment,
        )
        return answer, time.perf_counter() - started

    def _keep(
        self, side: Side, prompt: Prompt, tries: int, answer: inference.EndpointAnswer, seconds: float
    ) -> StoredAnswer:
        """Stores what came back; the first of two workers' answers stays.

        Whatever goes wrong with live is asked again: it must never be the candidate's gain. An empty answer of the
        candidate is its answer.
        """
        answered = answer.text is not None if side.who == "candidate" else answer.good
        kept = StoredAnswer(
            prompt=prompt.turns,
            parameters=self._chosen.parameters,
            status=answer.status,
            text=answer.text,
            detail=answer.detail,
            seconds=round(seconds, 4),
            at=self._services.clock(),
            again=not answered and (side.who == "live" or answer.status in NOT_NOW),
        )
        name = side.answer(prompt.key) if answered else f"{side.tries}{prompt.key}-{tries + 1}.json"
        with contextlib.suppress(LedgerConflict):
            self._services.storage.create(
                CONTAINER, name, msgspec.json.encode(kept), {"again": "1"} if kept.again else {}
            )
        return kept


def _patience(answer: inference.EndpointAnswer, usual: float) -> float:
    """How long (s) an endpoint wants to be left alone."""
    asked = answer.retry_after.strip()
    return min(float(asked), 600.0) if asked.isdigit() else usual
