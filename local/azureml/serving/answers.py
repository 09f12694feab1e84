"""The shapes in which deployments answer: MLflow's flavours, chat completions, and streams of their chunks.

Words stand for tokens: the local model has no tokenizer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import orjson

from local.azureml.serving.payload import ScoringPayload

MODEL = "local"
LAST_EVENT = b"data: [DONE]\n\n"


def shaped(shape: str, text: str, question: ScoringPayload) -> Any:
    """A whole answer in one of the shapes of `settings.ServingSettings`."""
    match shape:
        case "texts":
            return [text]
        case "records":
            return [{"0": text}]
        case "completion":
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": _finish(text, question)}
            return {**_head("chat.completion"), "choices": [choice], "usage": _usage(text, question)}
    return {"output": text}


def events(text: str, question: ScoringPayload) -> Iterator[bytes]:
    """The same as server-sent events: one for each word, one with the reason of the end, and the last."""
    head = _head("chat.completion.chunk")
    for position, word in enumerate(_words(text)):
        delta = {"content": word} if position else {"role": "assistant", "content": word}
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(text, question)}]})
    if question.usage:
        yield _event({**head, "choices": [], "usage": _usage(text, question)})
    yield LAST_EVENT


def _words(text: str) -> list[str]:
    """The text in pieces that add up to it."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _head(kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": MODEL}


def _finish(text: str, question: ScoringPayload) -> str:
    longest = question.parameters.get("max_new_tokens")
    return "length" if longest and len(_words(text)) >= longest else "stop"


def _usage(text: str, question: ScoringPayload) -> dict[str, int]:
    asked = sum(len(_words(turn["content"])) for turn in question.turns)
    answered = len(_words(text))
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
