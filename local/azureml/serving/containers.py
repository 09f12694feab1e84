"""What real containers make of a question, mistakes included: the images that fine-tuned chat models are served by.

`fmi` and `serve` answer failures at `/score` with 200: `{}` for an exception, the word None for an error of the engine.
They never stream there and say neither why an answer ended nor what it took. The same container's OpenAI routes do all
of that. `fmi` has a server of its own before its engine: it takes no temperature above 1 and no tools, drops fields
that it does not know unless the header `extra-parameters` lets them pass, and puts its engine's errors into its own.
`serve` passes on to the engine as it is. `score` has `/score` alone.
`mlflow` is the generic image: lists as answers, turns that must alternate, and a
system turn wrapped in marks that the model was not trained on.
"""

from __future__ import annotations

import json
from typing import Any

from local.azureml.serving.payload import BadPayload, ScoringPayload, parse_any

FMI = ("fmi", "serve", "score")
WITH_OPENAI = ("fmi", "serve")
# The fields that the server of `fmi` knows. The route without `/v1` refuses others; with it they are dropped.
_KNOWN = {
    "model", "messages", "max_tokens", "temperature", "top_p", "stop", "stream", "frequency_penalty",
    "presence_penalty", "seed", "response_format", "tools", "tool_choice",
}  # fmt: skip


class Refused(Exception):
    """A true refusal of the OpenAI routes, in their engine's words."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {
            "object": "error", "message": message, "type": "BadRequestError", "param": None, "code": status,
        }  # fmt: skip

    def wrapped(self) -> Refused:
        """The same as `fmi` passes it on."""
        text = json.dumps({"error": {"message": str(self), "type": "BadRequestError", "code": self.status}})
        self.body = {"error": {"code": "Bad Request", "status": self.status, "message": text}}
        return self


class Invalid(Refused):
    """What the server of `fmi` says of a field before its engine is asked."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, 422)
        details = [{"loc": ["body", field], "msg": message}]
        self.body = {
            "error": {"code": "Invalid input", "status": 422, "message": "invalid input error", "details": details}
        }


class NotTaken(Refused):
    """What the server of `fmi` does not take at all."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.body = {"detail": message}


class Failed(Exception):
    """An exception in the generic image: 500 inside, 424 at the endpoint."""


def words(turns: list[dict[str, Any]]) -> int:
    """Words stand for tokens."""
    return sum(len(str(turn.get("content", "")).split(" ")) for turn in turns)


def at_score(container: str, body: Any, context: int) -> ScoringPayload | dict[str, str]:
    """The question as the container understands it, or its answer where it has none."""
    try:
        question = parse_any(body)
    except BadPayload as error:
        if container == "mlflow":
            raise Failed(str(error)) from error
        return {}
    if container == "mlflow":
        return _templated(question)
    too_long = words(question.turns) + int(question.parameters.get("max_new_tokens") or 1) > context
    return {"output": "None"} if too_long else question


def _templated(question: ScoringPayload) -> ScoringPayload:
    """As the generic image's template has it: turns alternate and end with the user's; else an assertion."""
    turns = list(question.turns)
    if len(turns) > 1 and turns[0]["role"] == "system":
        told, first = turns[0]["content"], turns[1]
        turns[:2] = [{**first, "content": f"<<SYS>>\n{told}\n<</SYS>>\n\n{first['content']}"}]
    expected = ["user" if at % 2 == 0 else "assistant" for at in range(len(turns))]
    if [turn["role"] for turn in turns] != expected or len(turns) % 2 == 0:
        raise Failed("AssertionError: Conversation roles must alternate user/assistant/user/assistant/...")
    return ScoringPayload(turns, question.parameters)


def at_openai(container: str, body: Any, context: int, *, strict: bool, passes: bool) -> ScoringPayload:
    """The question of an OpenAI route. Raises Refused, with the status that the container answers.

    `strict`: fields that are not known are refused; `passes`: they are passed on.
    """
    if container != "fmi":
        return _at_engine(body, context)
    known = _checked(body, strict=strict and not passes)
    try:
        return _at_engine(body if passes else known, context)
    except Refused as error:
        raise error.wrapped() from error


def _checked(body: Any, *, strict: bool) -> dict[str, Any]:
    """The fields that the server of `fmi` knows. Raises Invalid, NotTaken."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise Invalid("messages", "Field required")
    if not body["messages"]:
        raise Invalid("messages", "Value error, messages can not be an empty list")
    for field, most in (("temperature", 1), ("top_p", 1)):
        if isinstance(value := body.get(field), int | float) and not 0 <= value <= most:
            raise Invalid(field, f"Input should be less than or equal to {most}")
    kind = body["response_format"].get("type") if isinstance(body.get("response_format"), dict) else "text"
    if kind not in ("text", "json_object"):
        raise Invalid("response_format", f"Value error, Response format was {kind}")
    if body.get("tools") is not None or body.get("tool_choice") is not None:
        raise NotTaken("Tools and tool_choice are not supported.")
    if strict and (extra := sorted(set(body) - _KNOWN)):
        raise NotTaken(f"Extra parameters {extra} are not allowed when extra-parameters is not set.")
    return {name: value for name, value in body.items() if name in _KNOWN}


def _at_engine(body: Any, context: int) -> ScoringPayload:
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise Refused("[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}]", 400)
    if body.get("top_p") == 0:
        raise Refused("top_p must be in (0, 1], got 0.")
    if body.get("tools"):
        raise Refused('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set')
    turns = [_turn(turn) for turn in body["messages"]]
    wanted = body.get("max_completion_tokens") or body.get("max_tokens")
    asked = words(turns)
    if asked + (wanted or 1) > context:
        raise Refused(
            f"This model's maximum context length is {context} tokens. However, you requested {asked + (wanted or 1)} "
            f"tokens ({asked} in the messages, {wanted or 1} in the completion). Please reduce the length of the "
            "messages or completion."
        )
    options = body.get("stream_options") or {}
    return ScoringPayload(
        turns,
        {"max_new_tokens": wanted} if wanted else {},
        stream=body.get("stream") is True,
        usage=options.get("include_usage") is True,
    )


def _turn(turn: Any) -> dict[str, str]:
    if not isinstance(turn, dict) or not isinstance(turn.get("role"), str):
        raise Refused("messages: every message needs a role")
    content = turn.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return {"role": turn["role"], "content": content or ""}
