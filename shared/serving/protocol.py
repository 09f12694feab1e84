"""What callers are answered: the bodies of all routes that ask, and their errors. `requests` has what callers send."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from shared.errors import PipelineError
from shared.ledger.release import ServingApi


class ApiError(PipelineError):
    """A call that was not answered: HTTP status, a code, a text for the caller, and which field it is about.

    `retry_after`: seconds after which another try may help. `asked`: the model may have been asked, so that trying
    again may pay for a second answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        text: str,
        retry_after: int | None = None,
        *,
        param: str | None = None,
        asked: bool = False,
    ) -> None:
        super().__init__(text)
        self.status, self.code, self.retry_after, self.param, self.asked = status, code, retry_after, param, asked

    @property
    def kind(self) -> str:
        """The protocol's `type` of the error."""
        match self.status:
            case 401 | 403:
                return "authentication_error"
            case 429:
                return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    def body(self) -> ErrorBody:
        """The error as the protocol writes it."""
        return ErrorBody(error=ErrorDetail(message=str(self), type=self.kind, param=self.param, code=self.code))


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str = Field(description="In words: what was expected, what was found, what to do.")
    type: str
    param: str | None = Field(description="The field of the request it is about.")
    code: str


class ErrorBody(BaseModel):
    """Body of every answer that is not 200, and of the event that ends a stream which broke."""

    error: ErrorDetail


FinishReason = Literal["stop", "length", "content_filter"]


def _is_false(value: object) -> bool:
    return not value


def _is_none(value: object) -> bool:
    return value is None


class TokenUsage(BaseModel):
    """Tokens of a call and its answer: as the deployment counted them, or estimated from the bytes."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool = Field(False, description="Nobody counted: about four bytes are a token.")


class AnswerMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


_UNKNOWN = "Null: the deployment does not tell, and the answer may be shorter than the model would have made it."
_ESTIMATED = "The deployment did not tell why the answer ended."


class ChatChoice(BaseModel):
    """The one answer there is."""

    index: Literal[0] = 0
    message: AnswerMessage
    finish_reason: FinishReason | None = Field(description=_UNKNOWN)
    finish_reason_estimated: bool = Field(False, exclude_if=_is_false, description=_ESTIMATED)
    logprobs: None = None


class ChatCompletion(BaseModel):
    """A whole answer. `model` names the release that gave it, in a form that can be asked again."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage


class ChatDelta(BaseModel):
    """What was added to the answer. A field that has nothing to say is left out: null is an error to some clients."""

    role: Literal["assistant"] | SkipJsonSchema[None] = Field(None, exclude_if=_is_none)
    content: str | SkipJsonSchema[None] = Field(None, exclude_if=_is_none)


class ChunkChoice(BaseModel):
    """What was added, and at the end why it ended."""

    index: Literal[0] = 0
    delta: ChatDelta
    finish_reason: FinishReason | None = None
    finish_reason_estimated: bool = Field(
        False, exclude_if=_is_false, description=f"{_ESTIMATED} `stop` is then no more than that the stream is over."
    )
    logprobs: None = None


class ChatChunk(BaseModel):
    """One event of a streamed answer; after the last one comes the event `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: TokenUsage | None = None


class NativeAnswer(BaseModel):
    """Answer of `POST /api/score/{dataset}`: the text, and who gave it."""

    output: str
    dataset: str
    release: str = Field(description="The snapshot whose model answered.")
    deployment: str
    finish_reason: FinishReason | None = Field(description=_UNKNOWN)
    finish_reason_estimated: bool = Field(False, exclude_if=_is_false, description=_ESTIMATED)
    usage: TokenUsage


class ModelCard(BaseModel):
    """A dataset whose model can be asked."""

    id: str = Field(description="What to give as `model`.")
    object: Literal["model"] = "model"
    created: int = Field(description="When its state was entered, seconds since 1970.")
    owned_by: Literal["droptune"] = "droptune"
    state: str = Field(description="The dataset's state; ASLEEP: a call wakes it.")
    api: ServingApi = Field(
        description="What its container speaks: `openai` streams, counts tokens and says why an answer ended; `score` "
        "and `mlflow` do not; empty: not known yet."
    )
    releases: list[str] = Field(description="The names that pin one of its releases now.")


class ModelList(BaseModel):
    """Every dataset whose model can be asked."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
