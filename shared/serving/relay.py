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
from shared.serving import failures
from shared.serving.calls import AnswerPiece, ChatCall
from shared.serving.endings import AnswerEnd, answer_end, answer_usage
from shared.serving.stops import StopFilter

if TYPE_CHECKING:
    from shared.ledger.counts import Counts
    from shared.ledger.release import CallResult
    from shared.serving.calls import ResolvedCall


class AnswerRelay:
    """Passes on one answer. `started`: when its endpoint was asked, monotonic."""

    def __init__(self, counts: Counts, call: ChatCall, resolved: ResolvedCall, started: float) -> None:
        self._counts, self._call, self._started = counts, call, started
        self._target, self._prepared = resolved.target, resolved.prepared

    async def pieces(self, answer: EndpointAnswer) -> AsyncGenerator[AnswerPiece]:
        """The answer piece by piece; the last one says how it ended. Raises ApiError if it is none, or breaks off."""
        dataset, deployment = self._target.row.name, answer.deployment
        who = (dataset, self._target.release_of(deployment), deployment)
        stops, sent, last = StopFilter(self._call.stops), list[str](), AnswerText("")
        try:
            async for piece in _texts(answer):
                last = AnswerText("", piece.ended or last.ended, piece.tokens or last.tokens)
                if text := stops.feed(piece.text):
                    sent.append(text)
                    yield AnswerPiece(text, *who)
                if stops.done:
                    break
        except (GeneratorExit, asyncio.CancelledError):
            # The caller left. What came until then was an answer; that nothing came may be why.
            self._count(deployment, "answered" if sent else "left")
            raise
        except StreamBroken as broken:
            self._count(deployment, "failed")
            raise failures.broken_off(dataset, broken) from broken
        rest = stops.rest()
        whole = "".join([*sent, rest])
        usable = answer.status == 200 and (bool(whole) or stops.done or last.ended == "content_filter")
        api = self._prepared.api
        self._count(deployment, failures.result_of(answer, usable, api))
        if not usable:
            raise failures.not_answered(dataset, answer, api)
        end = AnswerEnd("stop") if stops.done else answer_end(last, whole, self._prepared.longest)
        usage = answer_usage(self._call.turns, whole, last.tokens)
        yield AnswerPiece(rest, *who, end.reason, end.estimated, usage)

    def note_unavailable(self, answer: EndpointAnswer, streamed: bool) -> None:
        """Notes what was asked for and this answer does not have; of one that still comes only its end tells."""
        whole = answer.pieces is None
        lacks = {"stream": streamed, "finish_reason": not answer.ended, "usage": answer.tokens is None}
        self._call.notes.unavailable = tuple(name for name, lacking in lacks.items() if whole and lacking)

    def left(self) -> None:
        """The caller went away before the endpoint said anything."""
        self._count("", "left")

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
