"""What an endpoint is sent for a call: the turns as the model's template takes them, within its limits. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.azure import inference
from shared.chatdata.tokens import estimated_tokens
from shared.serving import failures
from shared.serving.protocol import ApiError
from shared.serving.requests import ChatTurn

if TYPE_CHECKING:
    from shared.config.settings import Settings
    from shared.serving.calls import ChatCall
    from shared.serving.catalog import ModelTraits


# Beyond these nobody means a dialogue; what a call costs is bounded by CALL_MAX_BYTES.
MOST_MESSAGES = 1000
MOST_CHARACTERS = 200_000


def request_body(call: ChatCall, traits: ModelTraits, settings: Settings) -> dict[str, Any]:
    """The recipe's payload. Raises ApiError (400, 422) for turns that this model cannot take."""
    _check_count(call.turns)
    turns = _templated(call.turns, traits, settings)
    longest = settings.max_new_tokens
    if traits.context:
        longest = min(longest, _tokens_left(call, turns, traits.context))
    _check_length(call.turns)
    return inference.payload(turns, {"max_new_tokens": longest, **call.parameters})


def longest_answer(body: Mapping[str, Any]) -> int:
    """The most tokens that the answer to such a request may have."""
    return int(body["input_data"]["parameters"]["max_new_tokens"])


def prompt_tokens(turns: Sequence[Mapping[str, Any]]) -> int:
    """Tokens of a conversation, estimated."""
    return estimated_tokens(sum(len(turn["content"].encode()) for turn in turns), len(turns))


def _check_count(turns: Sequence[ChatTurn]) -> None:
    if len(turns) > MOST_MESSAGES:
        text = f"{len(turns)} messages, at most {MOST_MESSAGES} are taken"
        raise ApiError(422, "too_many_messages", text, param="messages")


def _check_length(turns: Sequence[ChatTurn]) -> None:
    for at, turn in enumerate(turns):
        if len(turn.content) > MOST_CHARACTERS:
            text = f"{len(turn.content)} characters, at most {MOST_CHARACTERS} are taken"
            raise ApiError(422, "message_too_long", text, param=f"messages[{at}].content")


def _templated(turns: Sequence[ChatTurn], traits: ModelTraits, settings: Settings) -> list[dict[str, Any]]:
    """The turns with the system turn treated as it was in training."""
    plain: list[dict[str, Any]] = [{"role": turn.role, "content": turn.content} for turn in turns]
    if turns[0].role != "system":
        return plain
    if settings.system_turns == "fold":
        from shared.chatdata.templates import fold_system_turn

        return fold_system_turn(plain)
    if settings.system_turns == "reject":
        raise ApiError(400, "unsupported_role", "system turns are not taken here", param="messages[0].role")
    if "system" not in traits.roles:
        text = "this model's template drops system turns: put the text into the first user turn"
        raise ApiError(400, "unsupported_role", text, param="messages[0].role")
    return plain


def _tokens_left(call: ChatCall, turns: list[dict[str, Any]], context: int) -> int:
    """Tokens left for the answer. Raises ApiError (400) when the wanted ones do not fit, by an estimate."""
    asked = prompt_tokens(turns)
    wanted = call.parameters.get("max_new_tokens", 1)
    if asked + wanted > context:
        raise failures.context_exceeded(context, asked, wanted)
    return context - asked
