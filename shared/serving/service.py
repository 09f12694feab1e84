"""Answering a caller's question: from a model's name to the answer of the release behind it.

Called by the HTTP functions that ask. A question is sent once: again only if it surely reached nobody, with a key or an
address that was renewed meanwhile, or when a busy deployment asks for it; each at most once, and within the time of the
call. A sleeping dataset is woken by the question, which is answered with 503.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from shared.azure import inference
from shared.azure.answers import AnswerText
from shared.chatdata.tokens import estimated_tokens
from shared.errors import PipelineError
from shared.ledger.rows import call_result
from shared.ledger.states import DatasetState
from shared.serving.catalog import ChatTarget, ModelCatalog, ModelTraits, SingleFlightCache, is_up
from shared.serving.protocol import ApiError, ChatTurn, FinishReason, TokenUsage
from shared.serving.stops import StopFilter

if TYPE_CHECKING:
    from shared.ledger.rows import CallResult, Dataset, Release
    from shared.runtime import Services

log = logging.getLogger(__name__)

# Beyond these nobody means a dialogue; what a call costs is bounded by CALL_MAX_BYTES.
MOST_MESSAGES = 1000
MOST_CHARACTERS = 200_000
KEY_SECONDS = 300.0
# While Azure ML does not answer, a key that was read is good for so long.
KEY_USABLE_SECONDS = 3600.0
ASKED_SECONDS = 60.0
WAKE_RETRY_SECONDS = 30
_LOOK_SECONDS = 1.0
_CROWDED_RETRY_SECONDS = 1
# How a deployment is asked to stream; one that cannot takes no notice.
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}
# With less time left than this, s, no question is sent.
_TOO_LATE = 0.5


@dataclass(frozen=True, slots=True)
class ChatCall:
    """What somebody asks, of whom. `wait`: how long to wait, s, for a dataset that has to wake first."""

    model: str
    turns: Sequence[ChatTurn]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    stops: Sequence[str] = ()
    request_id: str = ""
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """An answer, or a piece of one, with who gave it. The last piece says why it ended, and what it took."""

    text: str
    dataset: str
    release: str
    deployment: str
    ended: FinishReason | None = None
    usage: TokenUsage | None = None


@dataclass(slots=True)
class _Call:
    """One question on its way: when it has to be over, and what was tried already."""

    question: ChatCall
    ends: float
    tried: set[str] = field(default_factory=set)

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()

    def first(self, remedy: str) -> bool:
        """Whether this was not tried yet; from now on it was."""
        if remedy in self.tried:
            return False
        self.tried.add(remedy)
        return True


class ChatService:
    """Answers questions for one process. What it remembers are short-lived copies: losing them costs only time."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.catalog = ModelCatalog(services)
        self._keys: SingleFlightCache[str] = SingleFlightCache(self._key, KEY_SECONDS, KEY_USABLE_SECONDS)
        self._asked: dict[str, float] = {}
        self._busy = 0

    async def answer(self, question: ChatCall) -> AnswerPiece:
        """The whole answer. Raises Unanswered, and nothing else of this app's errors."""
        texts: list[str] = []
        last: AnswerPiece | None = None
        async with aclosing(self._pieces(question, "whole")) as pieces:
            async for piece in pieces:
                texts.append(piece.text)
                last = piece
        assert last is not None, "an answer has a last piece"
        return AnswerPiece("".join(texts), last.dataset, last.release, last.deployment, last.ended, last.usage)

    def stream(self, question: ChatCall) -> AsyncGenerator[AnswerPiece]:
        """The answer piece by piece as the deployment gives it; in one piece where it does not stream.

        Raises Unanswered at the first piece, or at a later one when the answer breaks off. Closing ends the question.
        """
        return self._pieces(question, "stream")

    async def _pieces(self, question: ChatCall, how: Literal["whole", "stream"]) -> AsyncGenerator[AnswerPiece]:
        try:
            with self._place():
                call = _Call(question, time.monotonic() + self.services.settings.call_seconds)
                async with self._asking(call, how) as asked, aclosing(self._read(call, *asked)) as pieces:
                    async for piece in pieces:
                        yield piece
        except ApiError:
            raise
        except PipelineError as error:
            log.warning("request %s could not be asked: %s", question.request_id, error)
            raise ApiError(503, "unavailable", "the model cannot be asked now", 10) from error

    async def _read(
        self, call: _Call, target: ChatTarget, found: inference.EndpointAnswer, started: float
    ) -> AsyncGenerator[AnswerPiece]:
        """What came, cut at the stops, and counted once it is over."""
        who = (target.row.name, target.release_of(found.deployment), found.deployment)
        cut, sent, last = StopFilter(call.question.stops), 0, AnswerText("")
        try:
            async for piece in _all_of(found):
                last = AnswerText("", piece.ended or last.ended, piece.tokens or last.tokens)
                if text := cut.feed(piece.text):
                    sent += len(text.encode())
                    yield AnswerPiece(text, *who)
                if cut.done:
                    break
        except (GeneratorExit, asyncio.CancelledError):
            if sent:  # the caller left; what came until then was an answer
                self._count(target, found.deployment, "answered", started)
            raise
        except inference.StreamBroken as broken:
            self._count(target, found.deployment, "failed", started)
            raise _broken(target.row.name, broken) from broken
        rest = cut.rest()
        sent += len(rest.encode())
        usable = bool(sent) or cut.done
        self._count(target, found.deployment, call_result(found.status, usable), started)
        if not usable:
            raise _unanswered(target.row.name, found)
        ended: FinishReason = "length" if last.ended == "length" and not cut.done else "stop"
        yield AnswerPiece(rest, *who, ended, _usage(call.question, sent, last.tokens))

    @asynccontextmanager
    async def _asking(
        self, call: _Call, how: Literal["whole", "stream"]
    ) -> AsyncIterator[tuple[ChatTarget, inference.EndpointAnswer, float]]:
        """Asks until there is an answer, or none to be had. Raises Unanswered."""
        while True:
            target, body, key = await self._ready(call)
            started = time.monotonic()
            async with self._sent(call, target, key, body, how) as found:
                if found.status == 200 and (found.pieces or found.good):
                    yield target, found, started
                    return
            if not await self._mended(call, target, key, found):
                self._count(target, found.deployment, call_result(found.status, found.good), started)
                raise _unanswered(target.row.name, found)

    async def _ready(self, call: _Call) -> tuple[ChatTarget, dict[str, Any], str]:
        """Whom to ask, what to send, and the key. Raises Unanswered."""
        try:
            async with asyncio.timeout(call.left):
                target = await self._awake(call)
                body = self._body(call.question, target, await self.catalog.nature(target.release))
                await self._note_asked(target.row)
                return target, body, await self._keys.get(target.row.endpoint)
        except TimeoutError as error:
            raise ApiError(504, "timeout", "storage or Azure ML took too long; nobody was asked") from error

    @asynccontextmanager
    async def _sent(
        self, call: _Call, target: ChatTarget, key: str, body: Mapping[str, Any], how: Literal["whole", "stream"]
    ) -> AsyncIterator[inference.EndpointAnswer]:
        if call.left < _TOO_LATE:
            raise ApiError(504, "timeout", f"{target.row.name}: no time is left to ask")
        uri, given, most = (
            target.row.scoring_uri,
            call.question.request_id,
            self.services.settings.scoring_timeout_seconds,
        )
        if how == "whole":
            timeout = min(most, call.left)
            yield await self.services.inference.ask(
                uri, key, body, timeout, deployment=target.deployment, request_id=given
            )
            return
        async with self.services.inference.stream(
            uri,
            key,
            {**body, **_STREAM},
            call.left,
            pause=min(most, call.left),
            deployment=target.deployment,
            request_id=given,
        ) as found:
            yield found

    async def _mended(self, call: _Call, target: ChatTarget, key: str, found: inference.EndpointAnswer) -> bool:
        """Whether the question may be asked once more: nobody has answered it, and something is different now."""
        match found.status:
            case 401 if call.first("key"):
                self._keys.forget(target.row.endpoint, key)  # unless another question has read it anew already
            case 404 if call.first("address"):
                self.catalog.forget(target.row.name)
                self._keys.forget(target.row.endpoint, key)
            case 429 if found.retry_after.isdigit() and call.first("patience"):
                patience = int(found.retry_after)
                if patience >= call.left - _TOO_LATE:
                    return False
                await asyncio.sleep(patience)
            case 0 if found.lost == "unsent" and call.first("connection"):
                self.catalog.forget(target.row.name)
            case _:
                return False
        return True

    # --- who is to be asked ---------------------------------------------------------------------------------

    async def _awake(self, call: _Call) -> ChatTarget:
        """Who is to be asked, once it is awake: waits for that as long as the caller is willing to."""
        wait = min(call.question.wait, self.services.settings.wake_wait_seconds)
        until = min(time.monotonic() + wait, call.ends - _TOO_LATE)
        while True:
            target = await self.catalog.find(call.question.model)
            if is_up(target.row):
                return target
            self.catalog.forget(target.row.name)
            try:
                await self._wake(target.row)
            except ApiError as error:
                if error.code != "waking" or time.monotonic() + _LOOK_SECONDS > until:
                    raise
            await asyncio.sleep(_LOOK_SECONDS)

    async def _wake(self, row: Dataset) -> None:
        """Records the wish that a sleeping dataset wakes, once, and says in any case why it cannot be asked."""
        name = row.name
        if row.live is None:
            raise ApiError(503, "no_release", f"{name} has no release yet ({row.state})", 60)
        if row.state == DatasetState.ASLEEP:
            if not self.services.settings.wake_on_request:
                raise ApiError(503, "asleep", f"{name} is asleep; POST /api/datasets/{name}/wake wakes it")
            from shared.operations import (
                actions,  # brings the checks of admission, which no first answer is to wait for
            )

            wish = await asyncio.to_thread(actions.ask, self.services, name, "wake", actions.QUESTION)
            if not wish.done and (pause := row.wake_not_before - self.services.clock()) > 0:
                text = f"{name} is asleep and could not be woken lately; questions wake it again in {pause:.0f} s"
                raise ApiError(503, "wake_paused", text, max(1, round(pause)))
        raise ApiError(503, "waking", f"{name} was asleep and is waking: ask again in a while", WAKE_RETRY_SECONDS)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for questions that this process answers at once. Raises Unanswered (429)."""
        if self._busy >= self.services.settings.calls_at_once:
            text = f"this instance answers {self._busy} questions already"
            raise ApiError(429, "too_many_calls", text, _CROWDED_RETRY_SECONDS)
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def _key(self, endpoint: str) -> str:
        return await asyncio.to_thread(self.services.workspace.endpoints.key, endpoint)

    # --- what is asked --------------------------------------------------------------------------------------

    def _body(self, question: ChatCall, target: ChatTarget, nature: ModelTraits) -> dict[str, Any]:
        """The recipe's payload. Raises Unanswered (400, 422) for turns that this model cannot take."""
        turns = self._turns(question.turns, nature)
        longest = self.services.settings.max_new_tokens
        if nature.context:
            longest = min(longest, self._room(question, target.release, turns, nature.context))
        return inference.payload(turns, {"max_new_tokens": longest, **question.parameters})

    def _turns(self, turns: Sequence[ChatTurn], nature: ModelTraits) -> list[dict[str, Any]]:
        """The turns as the model's role policy has them."""
        self._fits(turns)
        plain = [turn.model_dump() for turn in turns]
        if turns[0].role != "system":
            return plain
        policy = self.services.settings.system_turns
        if policy == "fold":
            from shared.validation.stager import folded

            return folded(plain)
        if policy == "reject":
            raise ApiError(400, "unsupported_role", "system turns are not taken here", param="messages[0].role")
        if "system" not in nature.roles:
            text = "this model's template drops system turns: put the text into the first user turn"
            raise ApiError(400, "unsupported_role", text, param="messages[0].role")
        return plain

    def _fits(self, turns: Sequence[ChatTurn]) -> None:
        if len(turns) > MOST_MESSAGES:
            text = f"{len(turns)} messages, at most {MOST_MESSAGES} are taken"
            raise ApiError(422, "too_many_messages", text, param="messages")
        for at, turn in enumerate(turns):
            if len(turn.content) > MOST_CHARACTERS:
                text = f"{len(turn.content)} characters, at most {MOST_CHARACTERS} are taken"
                raise ApiError(422, "message_too_long", text, param=f"messages[{at}].content")

    def _room(self, question: ChatCall, release: Release, turns: list[dict[str, Any]], context: int) -> int:
        """Tokens left for the answer. Raises Unanswered (422) when the wanted ones do not fit, by an estimate."""
        asked = _estimated(turns)
        wanted = question.parameters.get("max_new_tokens", 1)
        if asked + wanted > context:
            text = f"about {asked} tokens and {wanted} for the answer; {release.snapshot} sees {context}"
            raise ApiError(422, "context_length_exceeded", text, param="messages")
        return context - asked

    # --- what is noted --------------------------------------------------------------------------------------

    def _count(self, target: ChatTarget, answered: str, how: CallResult, started: float) -> None:
        """How the call ended, for its release; where none is named, any with traffic may have been asked."""
        row, seconds = target.row, time.monotonic() - started
        named = answered or target.deployment
        for name in [named] if named else [name for name, share in row.traffic.items() if share]:
            self.services.counts.note(row.name, name, how, seconds, watched=row.candidate is not None)

    async def _note_asked(self, row: Dataset) -> None:
        """Keeps `last_asked_at`, at most once a minute: it is what idleness is judged by."""
        now = self.services.clock()
        if now < max(row.last_asked_at, self._asked.get(row.name, 0.0)) + ASKED_SECONDS:
            return
        self._asked[row.name] = now
        try:
            await asyncio.to_thread(
                self.services.ledger.change, row.key, lambda r: r.but(last_asked_at=max(r.last_asked_at, now))
            )
        except PipelineError as error:  # it is written with a later question
            self._asked.pop(row.name, None)
            log.warning("last_asked_at of %s not written: %s", row.name, error)


async def _all_of(found: inference.EndpointAnswer) -> AsyncIterator[AnswerText]:
    """An answer as pieces; one that came whole is one piece."""
    if found.pieces is None:
        yield AnswerText(found.text or "", found.ended, found.tokens)
        return
    async for piece in found.pieces:
        yield piece


def _estimated(turns: Sequence[Mapping[str, Any]]) -> int:
    return estimated_tokens(sum(len(turn["content"].encode()) for turn in turns), len(turns))


def _usage(question: ChatCall, answered_bytes: int, told: tuple[int, int] | None) -> TokenUsage:
    asked, answered = told or (
        _estimated([turn.model_dump() for turn in question.turns]),
        estimated_tokens(answered_bytes, 0),
    )
    return TokenUsage(
        prompt_tokens=asked, completion_tokens=answered, total_tokens=asked + answered, estimated=told is None
    )


def _broken(dataset: str, broken: inference.StreamBroken) -> ApiError:
    status, code = (504, "timeout") if broken.late else (502, "answer_broken_off")
    return ApiError(status, code, f"{dataset}: the answer broke off: {broken}", asked=True)


def _unanswered(dataset: str, found: inference.EndpointAnswer) -> ApiError:
    """What a caller is told for each way in which an endpoint does not answer."""
    match found.status:
        case 0 if found.lost == "unsent":
            return ApiError(503, "unavailable", f"{dataset}: {found.detail}; nobody was asked", 5)
        case 0 if found.lost == "cut":
            return ApiError(502, "connection_lost", f"{dataset}: {found.detail}", asked=True)
        case 0 | 408 | 504:
            return ApiError(504, "timeout", f"{dataset}: {found.detail or 'the model took too long'}", asked=True)
        case 200:
            why = found.detail or "an empty text"
            return ApiError(502, "bad_answer", f"{dataset} answered nothing usable: {why}", asked=True)
        case 424:
            return ApiError(502, "model_error", f"{dataset}: the model failed: {found.detail}", asked=True)
        case 413:
            return ApiError(413, "too_large", f"{dataset}: the endpoint does not take so large a question")
        case 429:
            return ApiError(429, "rate_limit", f"{dataset} is busy", _seconds(found.retry_after))
        case 404 | 503:
            return ApiError(503, "unavailable", f"{dataset} is not ready to answer", 10)
    return ApiError(502, "endpoint_error", f"{dataset}: the endpoint answered HTTP {found.status}", asked=True)


def _seconds(text: str) -> int:
    return max(1, int(text)) if text.isdigit() else 1
