"""Answering a call: from a model's name to the answer of the release behind it. Called by the HTTP functions that ask.

Three stages: `resolver` finds who is asked, `asker` asks the endpoint, `relay` passes the answer on and counts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.errors import PipelineError
from shared.serving.asker import EndpointAsker
from shared.serving.calls import AnswerPiece, CallProgress, ChatCall
from shared.serving.catalog import ModelCatalog
from shared.serving.last_asked import LastAsked
from shared.serving.protocol import ApiError
from shared.serving.relay import AnswerRelay
from shared.serving.resolver import CallResolver

if TYPE_CHECKING:
    from shared.runtime import Services

log = logging.getLogger(__name__)

_CROWDED_RETRY_SECONDS = 1


class ChatService:
    """Answers the calls of one process. What it keeps are short-lived copies: losing them costs only time.

    `notes` carries out the writes of `last_asked_at`; a thread of its own by default.
    """

    def __init__(self, services: Services, notes: Executor | None = None) -> None:
        self.services = services
        self.catalog = ModelCatalog(services)
        self._resolver = CallResolver(services, self.catalog)
        self._asker = EndpointAsker(services, self._resolver)
        self._last_asked = LastAsked(services, notes)
        self._running = 0

    async def answer(self, call: ChatCall) -> AnswerPiece:
        """The whole answer. Raises ApiError, and nothing else of this app's errors."""
        texts: list[str] = []
        last: AnswerPiece | None = None
        async with aclosing(self._pieces(call, streamed=False)) as pieces:
            async for piece in pieces:
                texts.append(piece.text)
                last = piece
        assert last is not None, "an answer has a last piece"
        return replace(last, text="".join(texts))

    def stream(self, call: ChatCall) -> AsyncGenerator[AnswerPiece]:
        """The answer piece by piece as the deployment gives it; in one piece where it does not stream.

        Raises ApiError at the first piece, or at a later one when the answer breaks off. Closing ends the call.
        """
        return self._pieces(call, streamed=True)

    def close(self) -> None:
        """Returns when what was noted is written. Repeated: nothing more happens."""
        self._last_asked.close()

    async def _pieces(self, call: ChatCall, streamed: bool) -> AsyncGenerator[AnswerPiece]:
        with self._slot(), _as_api_errors(call):
            progress = CallProgress(call, time.monotonic() + self.services.settings.call_seconds)
            while True:
                resolved = await self._resolver.resolve(progress)
                self._last_asked.note(resolved.target.row)
                call.notes.ignored = resolved.prepared.ignored
                if streamed and resolved.prepared.api != "openai":  # until the answer says more
                    call.notes.unavailable = ("stream",)
                relay = AnswerRelay(self.services.counts, call, resolved, time.monotonic())
                try:
                    answer = await self._asker.ask(progress, resolved, streamed)
                except asyncio.CancelledError:
                    relay.left()
                    raise
                if answer.usable or not await self._asker.may_ask_again(progress, resolved, answer):
                    break
            relay.note_unavailable(answer, streamed)
            async with aclosing(answer), aclosing(relay.pieces(answer)) as pieces:
                async for piece in pieces:
                    yield piece

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        """One of the slots for calls that this process answers at once. Raises ApiError (429)."""
        if self._running >= self.services.settings.calls_at_once:
            text = f"this instance answers {self._running} calls already"
            raise ApiError(429, "too_many_calls", text, _CROWDED_RETRY_SECONDS)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


@contextlib.contextmanager
def _as_api_errors(call: ChatCall) -> Iterator[None]:
    """Callers get no other error of this app than ApiError."""
    try:
        yield
    except ApiError:
        raise
    except PipelineError as error:
        log.warning("request %s could not be asked: %s", call.request_id, error)
        raise ApiError(503, "unavailable", "the model cannot be asked now", 10) from error
