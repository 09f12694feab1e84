"""What the endpoint's callers send: conversations in one of the two shapes that the public samples use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class BadPayload(ValueError):
    """The model cannot make anything of it."""


@dataclass(frozen=True, slots=True)
class ScoringPayload:
    """What is asked: for the model the conversation and its parameters, for the server whether to stream."""

    turns: list[dict[str, str]]
    parameters: dict[str, Any]
    stream: bool = False
    # Whether a stream is to end with a chunk that counts words.
    usage: bool = False

    def model_input(self) -> dict[str, Any]:
        """As the model's `predict` takes it."""
        return {"input_string": self.turns, "parameters": self.parameters}


def parse_any(body: Any) -> ScoringPayload:
    """The same without a look at who speaks when: real containers leave that to the model's template."""
    data = body.get("input_data") if isinstance(body, dict) else None
    turns = data.get("input_string") if isinstance(data, dict) else None
    if isinstance(turns, list) and len(turns) == 1 and isinstance(turns[0], list):
        turns = turns[0]
    fit = isinstance(turns, list) and all(isinstance(turn, dict) and "role" in turn for turn in turns)
    if not turns or not fit or not all(isinstance(turn.get("content"), str) for turn in turns):
        raise BadPayload("input_data.input_string must be a list of turns with role and content.")
    assert isinstance(data, dict)
    return ScoringPayload(turns, {**_object(data, "parameters"), **_object(body, "params")})


def parse(body: Any) -> ScoringPayload:
    """`{"input_data": {"input_string": [turns], "parameters": {...}}}`, from a flat list or a list within a list.

    Parameters may stand beside the input or, as the notebook sends them, outside as `params`. `stream` and
    `stream_options` may stand beside `input_data`, or be parameters.
    """
    data = body.get("input_data") if isinstance(body, dict) else None
    if not isinstance(data, dict):
        raise BadPayload("The request must be an object with an object named input_data.")
    parameters = {**_object(data, "parameters"), **_object(body, "params")}
    told = {**parameters, **body}
    return ScoringPayload(
        turns=_conversation(data.get("input_string")),
        parameters=parameters,
        stream=told.get("stream") is True,
        usage=_object(told, "stream_options").get("include_usage") is True,
    )


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name) or {}
    if not isinstance(value, dict):
        raise BadPayload(f"{name} must be an object.")
    return value


def _conversation(turns: Any) -> list[dict[str, str]]:
    if isinstance(turns, list) and len(turns) == 1 and isinstance(turns[0], list):
        turns = turns[0]
    if not isinstance(turns, list) or not turns:
        raise BadPayload("input_data.input_string must be a list of turns that is not empty.")
    for turn in turns:
        if not isinstance(turn, dict) or not isinstance(turn.get("content"), str) or "role" not in turn:
            raise BadPayload("Every turn must be an object with role and content.")
    if turns[0]["role"] not in ("system", "user"):
        raise BadPayload("The first turn must be of role system or user.")
    if turns[-1]["role"] != "user":
        raise BadPayload("The last turn must be of role user.")
    return turns
