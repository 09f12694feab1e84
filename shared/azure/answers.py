"""The shapes in which deployments answer, reduced to a text, why it ended, and the tokens where somebody counted them.

Which shape comes depends on the model's flavour: an object with `output`, a list with one text, a list of records, or a
chat completion. A deployment that streams sends the same in events, mostly as pieces of a chat completion.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from shared.errors import PipelineError

_START_OF_BODY = 300
_END = "[DONE]"


class UnknownAnswer(PipelineError):
    """The deployment answered in a shape nobody knows; the text holds the start of the body."""


@dataclass(frozen=True, slots=True)
class AnswerText:
    """An answer, or a piece of one. `ended`: `stop`, `length`, or nothing where it is not told.

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
    if text is None:
        raise UnknownAnswer(f"none of the known shapes: {start(body)}")
    return AnswerText(text, _ended(found), _tokens(found))


def read_piece(data: str) -> AnswerText:
    """One event of a streamed answer; some have no text. Raises UnknownAnswer."""
    try:
        found = json.loads(data)
        text = _piece(found)
    except (ValueError, RecursionError) as error:
        raise UnknownAnswer(f"an event that is not JSON: {start(data)}") from error
    if text is None:
        raise UnknownAnswer(f"an event of none of the known shapes: {start(data)}")
    return AnswerText(text, _ended(found), _tokens(found))


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The data of server-sent events, up to `[DONE]` or the end. Bytes that are no UTF-8 are replaced."""
    from axio_sse import Decoder

    text, decoder = codecs.getincrementaldecoder("utf-8")("replace"), Decoder()
    async for chunk in chunks:
        for event in decoder.decode(text.decode(chunk)):
            if event.data == _END:
                return
            yield event.data
    # Some servers leave out the blank line after the last event.
    for event in decoder.decode(text.decode(b"", True) + "\n\n"):
        if event.data != _END:
            yield event.data


def start(body: bytes | str) -> str:
    """The start of a body, to be shown."""
    found = body[:_START_OF_BODY]
    return found if isinstance(found, str) else found.decode("utf-8", "replace")


def _text(found: Any) -> str | None:
    match found:
        case str():
            return found
        case {"output": output}:
            return _text(output)
        case {"choices": [{"message": {"content": str(content)}}, *_]}:
            return content
        case [{"0": str(text)}, *_] | [{"generated_text": str(text)}, *_]:
            return text
        case [first]:
            return _text(first)
        case {"generated_text": str(text)} | {"0": str(text)} | {"content": str(text)}:
            return text
    return None


def _piece(found: Any) -> str | None:
    match found:
        case {"error": _}:
            return None
        case {"choices": [{"delta": {"content": str(content)}}, *_]}:
            return content
        case {"choices": [{"delta": dict()}, *_]} | {"choices": []}:
            return ""
        case {"token": {"text": str(text)}}:
            return text
    return _text(found)


def _ended(found: Any) -> str:
    match found:
        case {"choices": [{"finish_reason": "stop" | "length" as reason}, *_]}:
            return str(reason)
    return ""


def _tokens(found: Any) -> tuple[int, int] | None:
    match found:
        case {"usage": {"prompt_tokens": int(asked), "completion_tokens": int(answered)}}:
            return asked, answered
    return None
