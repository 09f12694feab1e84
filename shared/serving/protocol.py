"""What people and programs say to a model over HTTP, and what they are told: the bodies of all routes that ask.

The chat-completions protocol, as far as a fine-tuned model behind an endpoint can keep it, and the recipe's payload.
What is not here is refused by name, never ignored; fields that would change nothing at their neutral value are taken
at that value, since some clients send them always.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared.errors import PipelineError

MOST_NEW_TOKENS = 16_384
MOST_STOPS = 4


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


# --- what is asked -------------------------------------------------------------------------------------------


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class TextPart(_Asked):
    """A part of a content that is given in parts."""

    type: Literal["text"]
    text: str


def _joined(content: object) -> object:
    """Parts of text as one text: some clients always send parts."""
    if not isinstance(content, list):
        return content
    parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    if len(texts) < len(content) or not texts:
        raise ValueError('only parts like {"type": "text", "text": "..."} are taken')
    return "\n".join(texts)


def _role(role: object) -> object:
    return "system" if role == "developer" else role


class ChatTurn(_Asked):
    """One turn of a conversation. The newer role `developer` is taken for `system`."""

    role: Annotated[
        Literal["system", "user", "assistant"],
        BeforeValidator(_role, json_schema_input_type=Literal["system", "developer", "user", "assistant"]),
    ]
    content: Annotated[str, BeforeValidator(_joined, json_schema_input_type=str | list[TextPart])]


def _askable(turns: list[ChatTurn]) -> list[ChatTurn]:
    """What the serving code can answer: one system turn at most, first; then a user turn; a user turn at the end."""
    if turns[-1].role != "user":
        raise ValueError(f"must end with a user turn, not with one of role {turns[-1].role}")
    if any(turn.role == "system" for turn in turns[1:]):
        raise ValueError("a system turn can only be the first one")
    if turns[turns[0].role == "system"].role != "user":
        raise ValueError("must begin with a user turn, which may have a system turn before it")
    for at, turn in enumerate(turns):
        if not turn.content.strip():
            raise ValueError(f"the content of turn {at} is blank")
    return turns


def _unwrapped(turns: object) -> object:
    """The sample notebook sends a list within the list."""
    return turns[0] if isinstance(turns, list) and len(turns) == 1 and isinstance(turns[0], list) else turns


Conversation = Annotated[list[ChatTurn], Field(min_length=1), AfterValidator(_askable)]
_NotebookConversation = Annotated[
    list[ChatTurn],
    Field(min_length=1),
    AfterValidator(_askable),
    BeforeValidator(_unwrapped, json_schema_input_type=list[ChatTurn] | list[list[ChatTurn]]),
]


class NativeParameters(_Asked):
    """Generation parameters of the native payload; what is left out has the recipe's value."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    do_sample: bool | None = None
    max_new_tokens: int | None = Field(None, ge=1, le=MOST_NEW_TOKENS)
    return_full_text: Literal[False] | None = None


class InputData(_Asked):
    """The recipe's `input_data`."""

    input_string: _NotebookConversation
    parameters: NativeParameters = NativeParameters()


class NativeRequest(_Asked):
    """Body of `POST /api/score/{dataset}`: what the notebook sends, `params` as its older form."""

    input_data: InputData
    params: NativeParameters = NativeParameters()

    def turns(self) -> list[ChatTurn]:
        """The conversation."""
        return self.input_data.input_string

    def parameters(self) -> dict[str, Any]:
        """The generation parameters, from either place."""
        inner, outer = self.input_data.parameters, self.params
        return {**outer.model_dump(exclude_none=True), **inner.model_dump(exclude_none=True)}


class StreamOptions(_Asked):
    """What a stream has besides the text."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class ResponseFormat(_Asked):
    """Plain text; there is no other."""

    type: Literal["text"]


Stop = Annotated[str, Field(min_length=1, max_length=200)]


class ChatRequest(_Asked):
    """Body of `POST /api/v1/chat/completions`."""

    model: str = Field(description="A dataset, or `dataset@snapshot` for the release of one snapshot of it.")
    messages: Conversation
    temperature: float | None = Field(None, ge=0, le=2, description="0: the likeliest answer, no sampling.")
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=MOST_NEW_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=MOST_NEW_TOKENS, description="Counts before `max_tokens`.")
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = Field(
        None, description="The answer ends before the first of these."
    )
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = Field(None, description="Taken and not used.")
    n: Literal[1] = 1
    frequency_penalty: Literal[0] = 0
    presence_penalty: Literal[0] = 0
    logprobs: Literal[False] = False
    response_format: ResponseFormat | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        """Null is how some clients leave a field out."""
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _options_of_a_stream(self) -> ChatRequest:
        if self.stream_options and not self.stream:
            raise ValueError("stream_options goes with stream only")
        return self

    def turns(self) -> list[ChatTurn]:
        """The conversation."""
        return self.messages

    def parameters(self) -> dict[str, Any]:
        """The generation parameters under the serving code's names."""
        longest = self.max_completion_tokens or self.max_tokens
        given = {"temperature": self.temperature, "top_p": self.top_p, "max_new_tokens": longest}
        if self.temperature == 0:  # the serving code refuses to sample at that temperature
            given = {"do_sample": False, "max_new_tokens": longest}
        return {name: value for name, value in given.items() if value is not None}

    def stops(self) -> tuple[str, ...]:
        """The texts that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


# --- what is answered ----------------------------------------------------------------------------------------

FinishReason = Literal["stop", "length"]


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


class ChatChoice(BaseModel):
    """The one answer there is."""

    index: Literal[0] = 0
    message: AnswerMessage
    finish_reason: FinishReason
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
    """What was added to the answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """What was added, and at the end why it ended."""

    index: Literal[0] = 0
    delta: ChatDelta
    finish_reason: FinishReason | None = None
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
    finish_reason: FinishReason
    usage: TokenUsage


class ModelCard(BaseModel):
    """A dataset whose model can be asked."""

    id: str = Field(description="What to give as `model`.")
    object: Literal["model"] = "model"
    created: int = Field(description="When its state was entered, seconds since 1970.")
    owned_by: Literal["droptune"] = "droptune"
    state: str = Field(description="The dataset's state; ASLEEP: a call wakes it.")
    releases: list[str] = Field(description="The names that pin one of its releases now.")


class ModelList(BaseModel):
    """Every dataset whose model can be asked."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
