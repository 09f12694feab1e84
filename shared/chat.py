"""Answering a caller's question: from a dataset's name to the answer of its live release.

Called by the HTTP scoring functions. The dataset's row and the endpoint's key are kept for a moment in memory; a key
that is refused is read again once. A sleeping dataset is woken by the question, which is answered with 503.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from shared import actions, health, scoring
from shared.errors import PipelineError, Unknown
from shared.lifecycle import DatasetState

if TYPE_CHECKING:
    from shared.clients import Parts
    from shared.records import Dataset

log = logging.getLogger(__name__)

ROW_SECONDS = 2.0
ASKED_SECONDS = 60.0
WAKE_RETRY_SECONDS = 30
# The platform cuts HTTP off at 230 s; one answer and one refreshed key must fit below.
MOST_MESSAGES = 1000


class Turn(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, StringConstraints(min_length=1, max_length=200_000)]


def _askable(turns: list[Turn]) -> list[Turn]:
    """What the serving code can answer: one system turn at most, at the start, and a user turn at the end."""
    if turns[-1].role != "user":
        raise ValueError(f"must end with a user turn, not with one of role {turns[-1].role}")
    if any(turn.role == "system" for turn in turns[1:]):
        raise ValueError("a system turn can only be the first one")
    if any(not turn.content.strip() for turn in turns):
        raise ValueError("a turn's content is blank")
    return turns


Conversation = Annotated[list[Turn], Field(min_length=1, max_length=MOST_MESSAGES), AfterValidator(_askable)]


class Parameters(BaseModel):
    """Generation parameters of the native payload; what is left out has the recipe's value."""

    model_config = ConfigDict(extra="forbid")

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    do_sample: bool | None = None
    max_new_tokens: int | None = Field(None, ge=1, le=16_384)
    return_full_text: bool | None = None


class InputData(BaseModel):
    """The recipe's `input_data`."""

    model_config = ConfigDict(extra="forbid")

    input_string: Conversation
    parameters: Parameters = Parameters()


class NativeRequest(BaseModel):
    """Body of `POST /api/score/{dataset}`: what the notebook sends."""

    model_config = ConfigDict(extra="forbid")

    input_data: InputData


class ChatRequest(BaseModel):
    """Body of `POST /api/v1/chat/completions`. `model` is the dataset's name."""

    model_config = ConfigDict(extra="forbid")

    model: str
    messages: Conversation
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=16_384)
    max_completion_tokens: int | None = Field(None, ge=1, le=16_384)
    n: Literal[1] = 1
    stream: Literal[False] = False
    user: str | None = None

    def parameters(self) -> dict[str, Any]:
        """The generation parameters under the serving code's names."""
        longest = self.max_completion_tokens or self.max_tokens
        given = {"temperature": self.temperature, "top_p": self.top_p, "max_new_tokens": longest}
        return {k: v for k, v in given.items() if v is not None}


class Unanswered(PipelineError):
    """A question that could not be answered: HTTP status, a code, a text for the caller, when to come back."""

    def __init__(self, status: int, code: str, text: str, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.retry_after = status, code, retry_after


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with who gave it."""

    text: str
    dataset: str
    release: str
    deployment: str


@dataclass
class Desk:
    """Answers questions for one process. What it remembers are short-lived copies: losing them costs only time."""

    parts: Parts
    _rows: dict[str, tuple[float, Dataset]] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, float] = field(default_factory=dict)

    async def answer(
        self, dataset: str, turns: list[Turn], parameters: Mapping[str, Any], request_id: str = ""
    ) -> Answered:
        """Asks the live release. Raises Unanswered, and nothing else of this app's errors."""
        try:
            return await self._answer(dataset, turns, parameters, request_id)
        except Unanswered:
            raise
        except PipelineError as error:
            log.warning("%s could not be asked: %s", dataset[:60], error)
            raise Unanswered(503, "unavailable", f"{dataset[:60]} cannot be asked now", 10) from error

    async def _answer(
        self, dataset: str, turns: list[Turn], parameters: Mapping[str, Any], request_id: str
    ) -> Answered:
        row = await self._live(dataset)
        body = scoring.payload(
            [turn.model_dump() for turn in turns],
            {"max_new_tokens": self.parts.settings.max_new_tokens, **parameters},
        )
        started = time.perf_counter()
        found = await self._ask(row, body, request_id)
        self._count(row, found, time.perf_counter() - started)
        await self._note_asked(row)
        if found.good and found.text is not None:
            live = row.live.snapshot if row.live else ""
            return Answered(found.text.strip(), dataset, live, found.deployment)
        raise _unanswered(row.name, found)

    async def _ask(self, row: Dataset, body: Mapping[str, Any], request_id: str) -> scoring.Answer:
        """One question; once more with a fresh key if the key was refused, which answered nothing."""
        key = await self._key(row.endpoint)
        found = await self._ask_with(key, row, body, request_id)
        if found.status == 401:
            if self._keys.get(row.endpoint) == key:  # else another question has read it anew already
                del self._keys[row.endpoint]
            found = await self._ask_with(await self._key(row.endpoint), row, body, request_id)
        return found

    async def _ask_with(self, key: str, row: Dataset, body: Mapping[str, Any], request_id: str) -> scoring.Answer:
        timeout = self.parts.settings.scoring_timeout_seconds
        return await self.parts.scorer.ask(row.scoring_uri, key, body, timeout, request_id=request_id)

    async def _live(self, dataset: str) -> Dataset:
        row = await self._row(dataset)
        if row.live is None:
            raise Unanswered(503, "no_release", f"{dataset} has no release yet ({row.state})", 60)
        if row.scoring_uri and (row.state == DatasetState.LIVE or (row.resting == DatasetState.LIVE and row.candidate)):
            return row
        self._rows.pop(dataset, None)
        if row.state == DatasetState.ASLEEP and not self.parts.settings.wake_on_request:
            raise Unanswered(503, "asleep", f"{dataset} is asleep; POST /api/datasets/{dataset}/wake wakes it")
        if row.state == DatasetState.ASLEEP:
            await asyncio.to_thread(actions.ask, self.parts, dataset, "wake", actions.QUESTION)
        raise Unanswered(503, "waking", f"{dataset} was asleep and is waking: ask again in a while", WAKE_RETRY_SECONDS)

    async def _row(self, dataset: str) -> Dataset:
        kept = self._rows.get(dataset)
        if kept and kept[0] > time.monotonic():
            return kept[1]
        try:
            row: Dataset = (await asyncio.to_thread(self.parts.ledger.read, f"dataset/{dataset}")).row
        except Unknown as error:
            near = await asyncio.to_thread(self._nearest, dataset)
            raise Unanswered(404, "model_not_found", f"there is no dataset {dataset[:60]!r}{near}") from error
        self._rows[dataset] = (time.monotonic() + ROW_SECONDS, row)
        return row

    def _nearest(self, dataset: str) -> str:
        names = [listed.key.removeprefix("dataset/") for listed in self.parts.ledger.list("dataset")]
        near = difflib.get_close_matches(dataset, names, n=3, cutoff=0.5)
        return f"; did you mean {' or '.join(near)}?" if near else ""

    async def _key(self, endpoint: str) -> str:
        if endpoint not in self._keys:
            self._keys[endpoint] = await asyncio.to_thread(self.parts.workspace.key, endpoint)
        return self._keys[endpoint]

    def _count(self, row: Dataset, found: scoring.Answer, seconds: float) -> None:
        """How the call ended, for its release; where none is named, any with traffic may have been asked."""
        how = health.ending(found.status, found.good)
        may_be = [found.deployment] if found.deployment else [name for name, share in row.traffic.items() if share]
        for deployment in may_be:
            self.parts.counts.note(row.name, deployment, how, seconds, watched=row.candidate is not None)

    async def _note_asked(self, row: Dataset) -> None:
        """Keeps `last_asked_at`, at most once a minute: it is what idleness is judged by."""
        now = self.parts.clock()
        if now < max(row.last_asked_at, self._asked.get(row.name, 0.0)) + ASKED_SECONDS:
            return
        self._asked[row.name] = now
        try:
            await asyncio.to_thread(
                self.parts.ledger.change, row.key, lambda r: r.but(last_asked_at=max(r.last_asked_at, now))
            )
        except PipelineError as error:  # the answer is there; the note is written with a later question
            self._asked.pop(row.name, None)
            log.warning("last_asked_at of %s not written: %s", row.name, error)


def _unanswered(dataset: str, found: scoring.Answer) -> Unanswered:
    """What a caller is told for each way in which an endpoint does not answer."""
    match found.status:
        case 0 | 408:
            return Unanswered(504, "timeout", f"{dataset}: {found.detail or 'the model took too long'}")
        case 200:
            return Unanswered(
                502, "bad_answer", f"{dataset} answered nothing usable: {found.detail or 'an empty text'}"
            )
        case 424:
            return Unanswered(502, "model_error", f"{dataset}: the model failed: {found.detail}")
        case 429:
            return Unanswered(429, "rate_limit", f"{dataset} is busy", _seconds(found.retry_after))
        case 404 | 503:
            return Unanswered(503, "unavailable", f"{dataset} is not ready to answer", 10)
    return Unanswered(502, "endpoint_error", f"{dataset}: the endpoint answered HTTP {found.status}")


def _seconds(text: str) -> int:
    return int(text) if text.isdigit() else 1
