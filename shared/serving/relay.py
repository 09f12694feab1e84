"""Third stage of an answer: its text is passed on piece by piece, ended at the caller's stops, and the call is counted.

A call is counted once, whatever becomes of it: when the answer is over, breaks off, or its caller leaves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

from shared.azure.answers import AnswerText
from shared.azure.inference import EndpointAnswer, StreamBroken
from shared.chatdata.tokens import estimated_tokens
from shared.ledger.release import call_result
from shared.serving import failures
from shared.serving.calls import AnswerPiece, ChatCall
from shared.serving.prompt import prompt_tokens
from shared.serving.protocol import FinishReason, TokenUsage
from shared.serving.stops import StopFilter

if TYPE_CHECKING:
    from shared.ledger.counts import Counts
    from shared.ledger.release import CallResult
    from shared.serving.catalog import ChatTarget


class AnswerRelay:
    """Passes on one answer. `started`: when its endpoint was asked, monotonic."""

    def __init__(self, counts: Counts, call: ChatCall, target: ChatTarget, started: float) -> None:
        self._counts, self._call, self._target, self._started = counts, call, target, started

    async def pieces(self, answer: EndpointAnswer) -> AsyncGenerator[AnswerPiece]:
        """The answer piece by piece; the last one says how it ended. Raises ApiError if it is none, or breaks off."""
        dataset, deployment = self._target.row.name, answer.deployment
        who = (dataset, self._target.release_of(deployment), deployment)
        stops, sent, last = StopFilter(self._call.stops), 0, AnswerText("")
        try:
            async for piece in _texts(answer):
                last = AnswerText("", piece.ended or last.ended, piece.tokens or last.tokens)
                if text := stops.feed(piece.text):
                    sent += len(text.encode())
                    yield AnswerPiece(text, *who)
                if stops.done:
                    break
        except (GeneratorExit, asyncio.CancelledError):
            if sent:  # the caller left; what came until then was an answer
                self._count(deployment, "answered")
            raise
        except StreamBroken as broken:
            self._count(deployment, "failed")
            raise failures.broken_off(dataset, broken) from broken
        rest = stops.rest()
        sent += len(rest.encode())
        usable = bool(sent) or stops.done
        self._count(deployment, call_result(answer.status, usable))
        if not usable:
            raise failures.not_answered(dataset, answer)
        ended: FinishReason = "length" if last.ended == "length" and not stops.done else "stop"
        yield AnswerPiece(rest, *who, ended, _usage(self._call, sent, last.tokens))

    def _count(self, answered: str, result: CallResult) -> None:
        """Counts the call for its deployment; where none is named, for each that may have been asked."""
        row, seconds = self._target.row, time.monotonic() - self._started
        named = answered or self._target.deployment
        for name in [named] if named else [name for name, share in row.traffic.items() if share]:
            self._counts.note(row.name, name, result, seconds, watched=row.candidate is not None)


async def _texts(answer: EndpointAnswer) -> AsyncIterator[AnswerText]:
    """An answer as pieces; one that came whole is one piece."""
    if answer.pieces is None:
        yield AnswerText(answer.text or "", answer.ended, answer.tokens)
        return
    async for piece in answer.pieces:
        yield piece


def _usage(call: ChatCall, answered_bytes: int, counted: tuple[int, int] | None) -> TokenUsage:
    """Tokens as the deployment counted them, or estimated."""
    asked, answered = counted or (
        prompt_tokens([turn.model_dump() for turn in call.turns]),
        estimated_tokens(answered_bytes, 0),
    )
    return TokenUsage(
        prompt_tokens=asked,
        completion_tokens=answered,
        total_tokens=asked + answered,
        estimated=counted is None,
    )
