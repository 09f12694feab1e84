"""What an endpoint is sent for a call: the turns as the model's template takes them, within its limits. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.azure import payloads
from shared.chatdata.tokens import estimated_tokens
from shared.serving import failures
from shared.serving.calls import ChatCall, PreparedCall
from shared.serving.protocol import ApiError
from shared.serving.turns import ChatTurn

if TYPE_CHECKING:
    from shared.config.settings import Settings
    from shared.ledger.release import ServingApi
    from shared.serving.catalog import ModelTraits


# Beyond these nobody means a dialogue; what a call costs is bounded by CALL_MAX_BYTES.
MOST_MESSAGES = 1000
MOST_CHARACTERS = 200_000


def prepare(call: ChatCall, api: ServingApi, traits: ModelTraits, settings: Settings) -> PreparedCall:
    """What is sent. Raises ApiError (400, 422) for what this model, or its container, cannot take."""
    _check_count(call.turns)
    turns = _templated(call.turns, api, traits, settings)
    longest = settings.max_new_tokens
    if traits.context:
        longest = min(longest, _tokens_left(call, turns, traits.context))
    _check_length(call.turns)
    parameters = {"max_new_tokens": longest, **call.parameters}
    if api == "openai":
        more = {**({"stop": list(call.stops)} if call.stops else {}), **call.extras.more}
        body, ignored = payloads.body(api, turns, parameters, more), call.extras.unused
    else:
        _check_demands(call)
        body, ignored = payloads.body(api, turns, parameters), (*call.extras.unused, *call.extras.hints)
    return PreparedCall(api, body, int(parameters["max_new_tokens"]), ignored)


def _check_demands(call: ChatCall) -> None:
    """Raises ApiError (400) for what only an OpenAI route can do."""
    for name, (_, refusal) in call.extras.demands.items():
        raise ApiError(400, "unsupported_parameter", f"{name}: {refusal}", param=name)


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


def _templated(
    turns: Sequence[ChatTurn], api: ServingApi, traits: ModelTraits, settings: Settings
) -> list[dict[str, Any]]:
    """The turns with the system turn treated as it was in training."""
    plain: list[dict[str, Any]] = [{"role": turn.role, "content": turn.content} for turn in turns]
    if turns[0].role != "system":
        return plain
    from shared.chatdata.templates import fold_system_turn, folds

    if folds(settings.system_turns, traits.roles, api):
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
