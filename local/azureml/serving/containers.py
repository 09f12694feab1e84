"""What real containers make of a question, mistakes included: the images that fine-tuned chat models are served by.

`fmi` and `serve` answer failures at `/score` with 200: `{}` for an exception, the word None for an error of the engine.
They never stream there and say neither why an answer ended nor what it took. The same container's OpenAI routes do all
of that. `score` has `/score` alone. `mlflow` is the generic image: lists as answers, turns that must alternate, and a
system turn wrapped in marks that the model was not trained on.
"""

from __future__ import annotations

from typing import Any

from local.azureml.serving.payload import BadPayload, ScoringPayload, parse_any

FMI = ("fmi", "serve", "score")
WITH_OPENAI = ("fmi", "serve")
# What the route without `/v1` takes; anything else is refused, unless the header `extra-parameters` lets it pass.
_KNOWN = {
    "model", "messages", "max_tokens", "temperature", "top_p", "stop", "stream", "stream_options", "frequency_penalty",
    "presence_penalty", "n", "seed", "response_format", "tools", "tool_choice",
}  # fmt: skip


class Refused(Exception):
    """A true refusal of the OpenAI routes, in their engine's words."""

    def __init__(self, message: str, status: int = 400, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "object": "error", "message": message, "type": "BadRequestError", "param": param, "code": status,
        }  # fmt: skip


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


def at_openai(body: Any, context: int, *, strict: bool) -> ScoringPayload:
    """The question of an OpenAI route. Raises Refused, with the status that the container answers."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise Refused("[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}]", 400)
    if strict and (extra := sorted(set(body) - _KNOWN)):
        raise Refused(f"Extra inputs are not permitted: {', '.join(extra)}", 422, extra[0])
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
