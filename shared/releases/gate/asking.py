"""Asks a candidate its prompts, and what is live the same ones, a bounded time per call.

Whatever comes back is stored before anything else is asked, create-only, so that being cut off loses no more than the
calls in flight. There are two places:

    <snapshot>/<deployment>/answers/<key>.json                 a good answer of this release, to whichever gate asked
    <snapshot>/<deployment>/tries/<release>/<key>-<n>.json     the n-th try of this gate that brought no good answer;
                                                               <release> is `candidate` or `live`

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

from shared.azure import inference, payloads
from shared.chatdata.templates import fold_system_turn, folds
from shared.errors import LedgerConflict, ServiceBusy
from shared.ledger.record import Struct
from shared.ledger.states import DatasetState
from shared.releases.gate.prompts import CONTAINER, HeldOutPrompt, PromptSelection, Turns, folder

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.ledger.release import Release, ServingApi
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

# No prompt is begun after so long (s); the next call goes on.
ROUND_SECONDS = 60.0
# Statuses that say "not now" rather than "I cannot": no answer at all, time-outs, too many, a gateway in between.
NOT_NOW = frozenset({0, 408, 429, 502, 503, 504})
_LONGEST_PAUSE = 600.0

type Pending = tuple[AskedRelease, list[tuple[HeldOutPrompt, int]]]


class StoredAnswer(Struct, frozen=True, kw_only=True):
    """What one call brought. `again`: it says nothing about the model, so the prompt is asked once more."""

    prompt: Turns
    parameters: dict[str, Any]
    status: int
    text: str | None = None
    detail: str = ""
    seconds: float
    at: float
    again: bool = False


@dataclass(frozen=True, slots=True)
class AskedRelease:
    """One of the two releases that are asked: how many calls at once, and where its failed tries are kept."""

    who: Literal["candidate", "live"]
    release: Release
    concurrency: int
    tries: str

    def answer(self, key: str) -> str:
        """The blob of its answer to a prompt."""
        return f"{folder(self.release)}/answers/{key}.json"


@dataclass(frozen=True, slots=True)
class AskingProgress:
    """How far the asking of a release is: the keys answered, and by key, for each try without a good answer, whether
    to ask again."""

    answered: frozenset[str]
    tries: Mapping[str, tuple[bool, ...]]

    def settled(self, key: str, limit: int) -> bool:
        """Whether there is nothing more to ask: it is answered, tried often enough, or failed for good."""
        tries = self.tries.get(key, ())
        return key in self.answered or len(tries) >= limit or not all(tries)

    def unsettled(self, prompts: Sequence[HeldOutPrompt], limit: int) -> list[tuple[HeldOutPrompt, int]]:
        """The prompts that are left to ask, with the number of tries so far.

        What was tried already comes first: whether an endpoint is down for good is known soonest that way.
        """
        left = [(p, len(self.tries.get(p.key, ()))) for p in prompts if not self.settled(p.key, limit)]
        return sorted(left, key=lambda item: -item[1])


def asked_releases(services: Services, row: Dataset, release: Release) -> list[AskedRelease]:
    """The candidate, and what is live, up or asleep. People use live meanwhile: it gets one call at a time."""
    tries = f"{folder(release)}/tries"
    found = [AskedRelease("candidate", release, services.settings.serving_concurrency, f"{tries}/candidate/")]
    if row.live:
        found.append(AskedRelease("live", row.live, 1, f"{tries}/live/"))
    return found


def progress(services: Services, asked: AskedRelease) -> AskingProgress:
    """How far the asking of one release is, by what is stored."""
    answers = f"{folder(asked.release)}/answers/"
    tries: dict[str, tuple[bool, ...]] = {}
    for blob in services.storage.list(CONTAINER, asked.tries):
        key = blob.name.removeprefix(asked.tries).rpartition("-")[0]
        tries[key] = (*tries.get(key, ()), blob.metadata.get("again") == "1")
    names = (blob.name for blob in services.storage.list(CONTAINER, answers))
    return AskingProgress(frozenset(name.removeprefix(answers).removesuffix(".json") for name in names), tries)


def ask(
    services: Services, row: Dataset, release: Release, selection: PromptSelection, lease: HeldLease
) -> float | None:
    """Asks what is not settled yet, each prompt at most once. None when nothing is left, else the seconds until the
    next call."""
    pending = _pending(services, row, release, selection)
    if not pending:
        return None
    pause = asyncio.run(_Round(services, row, selection, lease).run(pending))
    return pause if _pending(services, row, release, selection) else None


def _pending(services: Services, row: Dataset, release: Release, selection: PromptSelection) -> list[Pending]:
    """What is left to ask of each release.

    Nothing once the judgement stands, because more prompts failed than may fail. Once the gate takes too long, because
    a candidate costs money, a prompt of the candidate has one try and live is asked no more.
    """
    limit, late = services.settings.gate_tries, _is_late(services, row)
    left: list[Pending] = []
    for asked in asked_releases(services, row, release):
        found = progress(services, asked)
        if asked.who == "candidate":
            if _has_failed(services, selection, found):
                return []
            prompts = found.unsettled(selection.prompts, 1 if late else limit)
        elif row.before_rollout != DatasetState.LIVE or late:
            prompts = []
        else:
            prompts = found.unsettled([p for p in selection.prompts if p.comparable], limit)
        if prompts:
            left.append((asked, prompts))
    return left


def _is_late(services: Services, row: Dataset) -> bool:
    return services.clock() > row.since + services.settings.gate_limit_minutes * 60


def _has_failed(services: Services, selection: PromptSelection, found: AskingProgress) -> bool:
    """Whether so many prompts failed for good that no number of good answers helps."""
    given = services.settings
    failed = sum(found.settled(key, given.gate_tries) for key in found.tries if key not in found.answered)
    return failed > len(selection.prompts) * given.gate_max_error_percent / 100


class _Round:
    """One bounded round of calls to both releases."""

    def __init__(self, services: Services, row: Dataset, selection: PromptSelection, lease: HeldLease) -> None:
        self._services, self._row, self._selection, self._lease = services, row, selection, lease
        self._key = services.workspace.endpoints.key(row.endpoint)
        self._until = time.monotonic() + ROUND_SECONDS

    async def run(self, pending: Sequence[Pending]) -> float:
        """Asks both releases at the same time; returns the longest pause (s) that an answer asks for."""
        try:
            return max(await asyncio.gather(*(self._ask_release(asked, prompts) for asked, prompts in pending)))
        finally:
            await self._services.inference.close()

    async def _ask_release(self, asked: AskedRelease, prompts: Sequence[tuple[HeldOutPrompt, int]]) -> float:
        """As many at once as the release can bear, until time is up or it is too busy; one batch at least.

        Returns the pause (s) that it needs: none if nothing is to be asked again.
        """
        pause = 0.0
        for batch in batched(prompts, asked.concurrency, strict=False):
            self._lease.check()
            results = await asyncio.gather(*(self._ask_one(asked, prompt, tries) for prompt, tries in batch))
            pause = max([pause, *(wanted for wanted, _ in results)])
            if any(stop for _, stop in results) or time.monotonic() > self._until:
                break
        return pause

    async def _ask_one(self, asked: AskedRelease, prompt: HeldOutPrompt, tries: int) -> tuple[float, bool]:
        """Asks one prompt and stores at once what came back.

        Returns the pause (s) before another try, and whether to stop for now: the release is too busy for any prompt,
        or it failed one for good, so that its judgement may stand.
        """
        answer, seconds = await self._call(asked, prompt)
        stored = self._store(asked, prompt, tries, answer, seconds)
        pause = _retry_after(answer, self._services.settings.look_seconds) if stored.again else 0.0
        return pause, answer.status in NOT_NOW or (stored.text is None and not stored.again)

    async def _call(self, asked: AskedRelease, prompt: HeldOutPrompt) -> tuple[inference.EndpointAnswer, float]:
        """The answer and the seconds it took; a key that is refused is read anew, once.

        Raises ServiceBusy when the endpoint cannot be asked: the new key is refused too, or there is no such
        deployment.
        """
        answer, seconds = await self._timed_call(asked, prompt, self._key)
        if answer.status == 401:
            self._key = await asyncio.to_thread(self._services.workspace.endpoints.key, self._row.endpoint)
            answer, seconds = await self._timed_call(asked, prompt, self._key)
        if answer.status == 401 or (answer.status == 404 and asked.who == "candidate"):
            where = f"{self._row.endpoint}/{asked.release.deployment}"
            raise ServiceBusy(f"{where} answered HTTP {answer.status}: {answer.detail}")
        return answer, seconds

    async def _timed_call(
        self, asked: AskedRelease, prompt: HeldOutPrompt, key: str
    ) -> tuple[inference.EndpointAnswer, float]:
        started = time.perf_counter()
        api, given = asked.release.api, self._services.settings
        turns = fold_system_turn(prompt.turns) if _is_folded(prompt, api, given.system_turns) else prompt.turns
        answer = await self._services.inference.ask(
            payloads.address(self._row.scoring_uri, api),
            key,
            payloads.body(api, turns, self._selection.parameters),
            given.scoring_timeout_seconds,
            deployment=asked.release.deployment,
        )
        return answer, time.perf_counter() - started

    def _store(
        self, asked: AskedRelease, prompt: HeldOutPrompt, tries: int, answer: inference.EndpointAnswer, seconds: float
    ) -> StoredAnswer:
        """Stores what came back; of two workers' answers the first one stays.

        Whatever goes wrong with live is asked again: it must never be the candidate's gain. An empty answer of the
        candidate is its answer.
        """
        answered = answer.text is not None if asked.who == "candidate" else answer.good
        stored = StoredAnswer(
            prompt=prompt.turns,
            parameters=self._selection.parameters,
            status=answer.status,
            text=answer.text,
            detail=answer.detail,
            seconds=round(seconds, 4),
            at=self._services.clock(),
            again=not answered and (asked.who == "live" or answer.status in NOT_NOW),
        )
        name = asked.answer(prompt.key) if answered else f"{asked.tries}{prompt.key}-{tries + 1}.json"
        with contextlib.suppress(LedgerConflict):
            self._services.storage.create(
                CONTAINER, name, msgspec.json.encode(stored), {"again": "1"} if stored.again else {}
            )
        return stored


def _is_folded(prompt: HeldOutPrompt, api: ServingApi, system_turns: str) -> bool:
    """Whether a prompt's system turn is folded for this container. For the template it was, when it was frozen."""
    return len(prompt.turns) > 1 and prompt.turns[0]["role"] == "system" and folds(system_turns, ("system",), api)


def _retry_after(answer: inference.EndpointAnswer, usual: float) -> float:
    """How long (s) an endpoint asks to be left alone; without such a word, as long as usual."""
    asked = answer.retry_after.strip()
    return min(float(asked), _LONGEST_PAUSE) if asked.isdigit() else usual
