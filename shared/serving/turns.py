"""The turns of a conversation as callers send them, and what is made of their order. Part of `requests`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from shared.serving.fields import NeutralField, Taken

_READS_TEXT = "the model reads text only"
_PARTS = 'only parts like {"type": "text", "text": "..."} are taken: ' + _READS_TEXT
# The latter two are those of the Responses API, which some clients keep their turns in.
_TEXT_PARTS = ("text", "input_text", "output_text")
NO_TOOLS = "the model calls no tools"


class RequestModel(BaseModel):
    """What all bodies and their parts have in common."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class TextPart(BaseModel):
    """A part of a content that is given in parts. Marks for the caches of other services are passed over."""

    type: Literal["text", "input_text", "output_text"]
    text: str


def _joined(content: object) -> object:
    """Parts of text as one text: some clients always send parts."""
    if not isinstance(content, list):
        return content
    for part in content:
        if not isinstance(part, dict) or part.get("type") not in _TEXT_PARTS or not isinstance(part.get("text"), str):
            raise PydanticCustomError("unsupported", _PARTS)
    return "\n".join(part["text"] for part in content)


def _role(role: object) -> object:
    return "system" if role == "developer" else role


# A user turn says something; blank turns of the other roles are left out.
_SAYS_SOMETHING: JsonDict = {"if": {"type": "string"}, "then": {"pattern": r"\S"}}
_USERS_TEXT: JsonDict = {
    "if": {"properties": {"role": {"const": "user"}}, "required": ["role"]},
    "then": {"required": ["content"], "properties": {"content": _SAYS_SOMETHING}},
}


class ChatTurn(RequestModel):
    """One turn of a conversation. The newer role `developer` is taken for `system`."""

    model_config = ConfigDict(json_schema_extra=_USERS_TEXT)

    role: Annotated[
        Literal["system", "user", "assistant"],
        BeforeValidator(_role, json_schema_input_type=Literal["system", "developer", "user", "assistant"]),
    ]
    # A client may keep a blank answer as null, or leave its content out.
    content: Annotated[str, BeforeValidator(_joined, json_schema_input_type=str | list[TextPart])] = ""
    # What clients add to the turns they keep, and send back.
    name: Taken[str] = None
    id: Taken[str | int] = None
    refusal: Taken[str] = None
    annotations: Taken[list[Any]] = None
    reasoning: Taken[Any] = None
    reasoning_content: Taken[Any] = None
    reasoning_details: Taken[Any] = None
    thinking: Taken[Any] = None
    provider_specific_fields: Taken[dict[str, Any]] = None
    metadata: Taken[dict[str, Any]] = None
    timestamp: Taken[str | float] = None
    created_at: Taken[str | float] = None
    weight: Taken[float] = None
    cache_control: Taken[dict[str, Any]] = None
    finish_reason: Taken[str] = None
    tool_calls: Annotated[Any, NeutralField(([],), NO_TOOLS)] = None
    function_call: Annotated[Any, NeutralField(({},), NO_TOOLS)] = None
    tool_call_id: Annotated[Any, NeutralField(("",), NO_TOOLS)] = None
    audio: Annotated[Any, NeutralField(({},), _READS_TEXT)] = None
    images: Annotated[Any, NeutralField(([],), _READS_TEXT)] = None
    type: Annotated[Any, NeutralField(("text", "message"), _READS_TEXT)] = None
    prefix: Annotated[Any, NeutralField((False,), "a model answers the last turn")] = None


def _mergeable(turns: list[ChatTurn]) -> list[ChatTurn]:
    """What a template can take: one system turn at most, first; then a user turn; a user turn at the end.

    Leading system turns become one. Blank system turns, and blank answers that a client kept, are left out.
    """
    kept = [turn for turn in turns if turn.content.strip() or turn.role == "user"]
    leading = 0
    while leading < len(kept) and kept[leading].role == "system":
        leading += 1
    if any(turn.role == "system" for turn in kept[leading:]):
        raise ValueError("system turns can only be the first ones")
    if not kept[leading:]:
        raise ValueError("must have a user turn at the end")
    if kept[-1].role != "user":
        raise ValueError(f"must end with a user turn, not with one of role {kept[-1].role}")
    if kept[leading].role != "user":
        raise ValueError("must begin with a user turn, which may have system turns before it")
    for at, turn in enumerate(turns):
        if turn.role == "user" and not turn.content.strip():
            raise ValueError(f"the content of turn {at} is blank")
    if leading > 1:
        text = "\n\n".join(turn.content for turn in kept[:leading])
        return [ChatTurn(role="system", content=text), *kept[leading:]]
    return kept


def _unwrapped(turns: object) -> object:
    """The sample notebook sends a list within the list."""
    return turns[0] if isinstance(turns, list) and len(turns) == 1 and isinstance(turns[0], list) else turns


_ORDER = "Ends with a user turn, and begins with one after the system turns."
_Turns = Annotated[list[ChatTurn], Field(min_length=1)]
Conversation = Annotated[list[ChatTurn], Field(min_length=1, description=_ORDER), AfterValidator(_mergeable)]
NotebookConversation = Annotated[
    list[ChatTurn],
    Field(min_length=1),
    AfterValidator(_mergeable),
    BeforeValidator(_unwrapped, json_schema_input_type=_Turns | Annotated[list[_Turns], Field(max_length=1)]),
]
