"""The shapes in which deployments answer, reduced to a text, why it ended, and the tokens where somebody counted them.

Which shape comes depends on the model's flavour: an object with `output`, a list with one text, a list of records, or a
chat completion. A deployment that streams sends the same in events, mostly as pieces of a chat completion. What says
with status 200 that it is no answer is none (`failed_answers`).
"""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from shared.azure.failed_answers import failure, start
from shared.errors import PipelineError

_END = "[DONE]"
# Streams of events with these fields have one that says that the answer is over.
_TELL_THEIR_END = ('"choices"', '"token"')
# It ended for a reason that the protocol has no word for.
OTHER_END = "other"


class UnknownAnswer(PipelineError):
    """The deployment answered in a shape nobody knows, or said that it failed; the text holds the start of the body."""


@dataclass(frozen=True, slots=True)
class AnswerText:
    """An answer, or a piece of one. `ended`: `stop`, `length`, `content_filter`, `other`, or nothing if it is not told.

    `tokens`: those of the call and of the answer, where the deployment counted them.
    """

    text: str
    ended: str = ""
    tokens: tuple[int, int] | None = None


def read(body: bytes) -> AnswerText:
    """A whole answer. Raises UnknownAnswer."""
    try:
        found = json.loads(body)
        text = _text(found)
    except (ValueError, RecursionError) as error:
        raise UnknownAnswer(f"not JSON: {start(body)}") from error
    if why := failure(found):
        raise UnknownAnswer(why)
    if text is None:
        raise UnknownAnswer(f"none of the known shapes: {start(body)}")
    return AnswerText(without_surrogates(text), _ended(found), _tokens(found))


def read_piece(data: str) -> AnswerText:
    """One event of a streamed answer; some have no text. Raises UnknownAnswer."""
    try:
        found = json.loads(data)
        text = _piece(found)
    except (ValueError, RecursionError) as error:
        raise UnknownAnswer(f"an event that is not JSON: {start(data)}") from error
    if why := failure(found):
        raise UnknownAnswer(why)
    if text is None:
        raise UnknownAnswer(f"an event of none of the known shapes: {start(data)}")
    return AnswerText(text, _ended(found), _tokens(found))


async def read_stream(chunks: AsyncIterator[bytes]) -> AsyncIterator[AnswerText]:
    """A streamed answer, piece by piece. Raises UnknownAnswer for an event nobody knows, and where it ends early."""
    joiner, chunked, ended = SurrogateJoiner(), False, False
    async for data in events(chunks):
        if data == _END:
            ended = True
            break
        piece = read_piece(data)
        chunked, ended = chunked or any(name in data for name in _TELL_THEIR_END), ended or bool(piece.ended)
        yield replace(piece, text=joiner.feed(piece.text))
    if rest := joiner.rest():
        yield AnswerText(rest)
    if chunked and not ended:
        raise UnknownAnswer("the stream ended before the answer did")


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The data of server-sent events that have any, up to and with `[DONE]`. Bytes that are no UTF-8 are replaced."""
    from axio_sse import Decoder

    text, decoder = codecs.getincrementaldecoder("utf-8")("replace"), Decoder()
    async for chunk in chunks:
        for event in decoder.decode(text.decode(chunk)):
            if data := event.data.strip():
                yield data
            if data == _END:
                return
    # Some servers leave out the blank line after the last event.
    for event in decoder.decode(text.decode(b"", True) + "\n\n"):
        if data := event.data.strip():
            yield data


class SurrogateJoiner:
    """Puts the two halves of a character together that came in two pieces; a half without its other is replaced.

    JSON can hold half a character (`\\ud83d`), UTF-8 cannot: an answer with one could not be sent on.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """The text so far that is whole."""
        text, self._held = self._held + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return without_surrogates(text)

    def rest(self) -> str:
        """What was held back, now that nothing more comes."""
        return without_surrogates(self._held)


def without_surrogates(text: str) -> str:
    """The text with the halves of characters put together, or replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _text(found: Any) -> str | None:
    match found:
        case str():
            return found
        case {"output": output} | {"predictions": output}:
            return _text(output)
        case {"choices": [choice, *_]}:
            return _choice_text(choice)
        case [{"0": str(text)}, *_] | [{"generated_text": str(text)}, *_]:
            return text
        case [first]:
            return _text(first)
        case {"generated_text": str(text)} | {"0": str(text)} | {"content": str(text)}:
            return text
    return None


def _choice_text(choice: Any) -> str | None:
    """The text of a chat completion, or of a completion; one that was filtered may have none."""
    match choice:
        case {"message": {"content": str() | list() as content}}:
            return _content_text(content)
        case {"message": {}, "finish_reason": "content_filter"}:
            return ""
        case {"text": str(text)}:
            return text
    return None


def _content_text(content: Any) -> str:
    """A content as it is, or put together from its parts."""
    if isinstance(content, str):
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _piece(found: Any) -> str | None:
    match found:
        case {"choices": [{"delta": {"content": str() | list() as content}}, *_]}:
            return _content_text(content)
        case {"choices": [{"text": str(text)}, *_]}:
            return text
        case {"choices": [{}, *_] | [] | None} if not _has_message(found):
            return ""
        case {"token": {"text": str(text)}}:
            return text
        case {"usage": {}} if len(found) == 1:
            return ""
    return _text(found)


def _has_message(found: Any) -> bool:
    """Whether it is a whole answer sent as one event."""
    match found:
        case {"choices": [{"message": {}}, *_]}:
            return True
    return False


# Other services' words for the three reasons that the protocol has for a text.
_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "max_tokens": "length",
    "model_length": "length",
    "eos_token": "stop",
    "stop_sequence": "stop",
}


def _ended(found: Any) -> str:
    match found:
        case {"choices": [{"finish_reason": str(reason)}, *_]} | {"details": {"finish_reason": str(reason)}}:
            return _REASONS.get(reason.lower(), OTHER_END)
        case {"token": {}, "generated_text": str()}:
            return OTHER_END
        case [{"details": {"finish_reason": str(reason)}}, *_]:
            return _REASONS.get(reason.lower(), OTHER_END)
    return ""


def _tokens(found: Any) -> tuple[int, int] | None:
    match found:
        case {"usage": {"prompt_tokens": int(asked), "completion_tokens": int(answered)}}:
            return asked, answered
    return None
