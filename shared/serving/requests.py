"""What callers may ask: the bodies of all routes that ask a model. The models are the one table of fields.

What cannot change an answer is taken; hints without effect here are taken and named in the answer's header; what would
change what the caller counts on is refused by name (`fields` has the marks). A deployment with an OpenAI route takes
some of both, and is given them. Fields that are in no table are refused by name as well: a misspelt one must not be
lost in silence. Null means that a field is left out (`bodies`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from shared.serving.fields import Hint, HintField, NeutralField, PassedHint, RequestExtras, Taken, extras_of
from shared.serving.import_body import ImportBody as ImportBody
from shared.serving.turns import NO_TOOLS, ChatTurn, Conversation, NotebookConversation, RequestModel

MOST_NEW_TOKENS = 16_384
MOST_STOPS = 4
_TEXT_ONLY = "a fine-tuned model answers with text only"
_ONE = "there is one answer to a call"
_NO_SCORES = "deployments tell no probabilities"
_FREE = "the form of an answer cannot be enforced"

# --- stops -----------------------------------------------------------------------------------------------------


def _stop_texts(stops: object) -> object:
    """One text is a list of one; an empty text stops nothing."""
    found = [stops] if isinstance(stops, str) else stops
    return [stop for stop in found if stop not in (None, "")] if isinstance(found, list) else found


StopText = Annotated[str, Field(max_length=200)]
Stops = Annotated[
    Annotated[list[StopText], Field(max_length=MOST_STOPS)] | None,
    BeforeValidator(
        _stop_texts, json_schema_input_type=StopText | Annotated[list[StopText], Field(max_length=MOST_STOPS)] | None
    ),
    Field(description="The answer ends before the first of these."),
]
Temperature = Annotated[float | None, Field(ge=0, le=2, description="0: the likeliest answer, no sampling.")]
TopP = Annotated[float | None, Field(ge=0, le=1, description="0 is the same as a temperature of 0.")]
NewTokens = Annotated[int | None, Field(ge=1, le=MOST_NEW_TOKENS, description="Longest answer, in tokens.")]

# --- the recipe's payload --------------------------------------------------------------------------------------


class NativeParameters(RequestModel):
    """Generation parameters of the native payload; what is left out has the recipe's value."""

    temperature: Temperature = None
    top_p: TopP = None
    do_sample: bool | None = None
    max_new_tokens: NewTokens = None
    stop: Stops = None
    seed: PassedHint[int] = None
    top_k: Annotated[int | None, HintField((0, -1), True)] = None
    min_p: Annotated[float | None, HintField((0,), True)] = None
    repetition_penalty: Annotated[float | None, HintField((1,), True)] = None
    length_penalty: Annotated[float | None, HintField((1,))] = None
    presence_penalty: Annotated[float | None, HintField((0,), True)] = None
    frequency_penalty: Annotated[float | None, HintField((0,), True)] = None
    return_full_text: Annotated[Any, NeutralField((False,), "the answer comes without the question")] = None
    num_beams: Annotated[Any, NeutralField((1,), _ONE)] = None
    num_return_sequences: Annotated[Any, NeutralField((1,), _ONE)] = None
    stream: Annotated[Any, NeutralField((False,), "POST /api/v1/chat/completions streams")] = None


class InputData(RequestModel):
    """The recipe's `input_data`."""

    input_string: NotebookConversation
    parameters: NativeParameters = NativeParameters()


class NativeRequest(RequestModel):
    """Body of `POST /api/score/{dataset}`: what the notebook sends, `params` as its older form."""

    input_data: InputData
    params: NativeParameters = NativeParameters()

    def turns(self) -> list[ChatTurn]:
        """The conversation."""
        return self.input_data.input_string

    def parameters(self) -> dict[str, Any]:
        """The generation parameters, from either place."""
        used = ("temperature", "top_p", "do_sample", "max_new_tokens")
        places = (self.params, self.input_data.parameters)
        return {name: value for place in places for name in used if (value := getattr(place, name)) is not None}

    def stops(self) -> tuple[str, ...]:
        """The texts that end the answer."""
        return tuple(self.input_data.parameters.stop or self.params.stop or ())

    def extras(self) -> RequestExtras:
        """What is passed on, ignored or refused, depending on who answers."""
        return extras_of(self.params, self.input_data.parameters)


# --- chat completions ------------------------------------------------------------------------------------------


class StreamOptions(RequestModel):
    """What a stream has besides the text."""

    include_usage: bool = False
    include_obfuscation: Annotated[bool | None, HintField((False,))] = None
    continuous_usage_stats: Annotated[bool | None, HintField((False,))] = None


class ChatRequest(RequestModel):
    """Body of `POST /api/v1/chat/completions`."""

    model: str = Field(description="A dataset, or `dataset@snapshot` for the release of one snapshot of it.")
    messages: Conversation
    temperature: Temperature = None
    top_p: TopP = None
    max_tokens: NewTokens = None
    max_completion_tokens: NewTokens = Field(None, description="Counts before `max_tokens`.")
    stop: Stops = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    # Says nothing to the model: who asks, how it is billed, kept or found again; clients' own ids.
    user: Taken[str] = None
    metadata: Taken[dict[str, Any]] = None
    store: Taken[bool] = None
    service_tier: Taken[str] = None
    parallel_tool_calls: Taken[bool] = None
    safety_identifier: Taken[str] = None
    prompt_cache_key: Taken[str] = None
    prompt_cache_retention: Taken[str] = None
    prompt_cache_options: Taken[dict[str, Any]] = None
    id: Taken[str] = None
    chat_id: Taken[str] = None
    session_id: Taken[str] = None
    conversation_id: Taken[str] = None
    message_id: Taken[str] = None
    request_id: Taken[str] = None
    trace_id: Taken[str] = None
    tags: Taken[list[str]] = None
    timeout: Taken[float] = None
    cache_control: Taken[dict[str, Any]] = None
    cache_prompt: Taken[bool] = None
    usage: Taken[dict[str, Any]] = None
    # Hints for how to answer.
    seed: PassedHint[int] = None
    frequency_penalty: Annotated[float | None, HintField((0,), True)] = None
    presence_penalty: Annotated[float | None, HintField((0,), True)] = None
    repetition_penalty: Annotated[float | None, HintField((1,), True)] = None
    repeat_penalty: Annotated[float | None, HintField((1,))] = None
    length_penalty: Annotated[float | None, HintField((1,))] = None
    top_k: Annotated[int | None, HintField((0, -1), True)] = None
    top_a: Annotated[float | None, HintField((0,))] = None
    min_p: Annotated[float | None, HintField((0,), True)] = None
    typical_p: Annotated[float | None, HintField((1,))] = None
    tfs_z: Annotated[float | None, HintField((1,))] = None
    mirostat: Annotated[int | None, HintField((0,))] = None
    mirostat_tau: Hint[float] = None
    mirostat_eta: Hint[float] = None
    random_seed: Hint[int] = None
    safe_prompt: Annotated[bool | None, HintField((False,))] = None
    min_tokens: Annotated[int | None, HintField((0,), True)] = None
    ignore_eos: Annotated[bool | None, HintField((False,), True)] = None
    skip_special_tokens: Annotated[bool | None, HintField((True,), True)] = None
    spaces_between_special_tokens: Annotated[bool | None, HintField((True,), True)] = None
    add_generation_prompt: Annotated[bool | None, HintField((True,))] = None
    truncate_prompt_tokens: PassedHint[int] = None
    priority: Annotated[int | None, HintField((0,))] = None
    reasoning_effort: Annotated[str | None, HintField(("none",))] = None
    reasoning: Hint[Any] = None
    include_reasoning: Annotated[bool | None, HintField((False,))] = None
    thinking: Hint[Any] = None
    enable_thinking: Annotated[bool | None, HintField((False,))] = None
    thinking_budget: Annotated[int | None, HintField((0,))] = None
    chat_template_kwargs: Annotated[dict[str, Any] | None, HintField(({},), True)] = None
    verbosity: Hint[str] = None
    prediction: Hint[dict[str, Any]] = None
    options: Annotated[dict[str, Any] | None, HintField(({},))] = None
    keep_alive: Hint[str | float] = None
    provider: Annotated[dict[str, Any] | None, HintField(({},))] = None
    transforms: Annotated[list[str] | None, HintField(([],))] = None
    # What the caller counts on.
    n: Annotated[Any, NeutralField((1,), _ONE)] = None
    best_of: Annotated[Any, NeutralField((1,), _ONE)] = None
    use_beam_search: Annotated[Any, NeutralField((False,), _ONE)] = None
    tools: Annotated[Any, NeutralField(([],), NO_TOOLS)] = None
    tool_choice: Annotated[Any, NeutralField(("none", "auto"), NO_TOOLS)] = None
    functions: Annotated[Any, NeutralField(([],), NO_TOOLS)] = None
    function_call: Annotated[Any, NeutralField(("none", "auto"), NO_TOOLS)] = None
    response_format: Annotated[Any, NeutralField(({"type": "text"}, {}), _FREE, True)] = None
    guided_json: Annotated[Any, NeutralField(({},), _FREE)] = None
    guided_regex: Annotated[Any, NeutralField(("",), _FREE)] = None
    guided_choice: Annotated[Any, NeutralField(([],), _FREE)] = None
    guided_grammar: Annotated[Any, NeutralField(("",), _FREE)] = None
    structured_outputs: Annotated[Any, NeutralField(({}, False), _FREE)] = None
    logit_bias: Annotated[Any, NeutralField(({}, []), _FREE, True)] = None
    stop_token_ids: Annotated[Any, NeutralField(([],), "stop takes texts", True)] = None
    include_stop_str_in_output: Annotated[Any, NeutralField((False,), "an answer ends before its stop")] = None
    echo: Annotated[Any, NeutralField((False,), "the answer comes without the question")] = None
    suffix: Annotated[Any, NeutralField(("",), "a model answers the last turn")] = None
    continue_final_message: Annotated[Any, NeutralField((False,), "a model answers the last turn")] = None
    logprobs: Annotated[Any, NeutralField((False, 0), _NO_SCORES)] = None
    top_logprobs: Annotated[Any, NeutralField((0,), _NO_SCORES)] = None
    prompt_logprobs: Annotated[Any, NeutralField((0, False), _NO_SCORES)] = None
    modalities: Annotated[Any, NeutralField((["text"], []), _TEXT_ONLY)] = None
    audio: Annotated[Any, NeutralField(({},), _TEXT_ONLY)] = None
    web_search_options: Annotated[Any, NeutralField((), NO_TOOLS)] = None
    plugins: Annotated[Any, NeutralField(([],), NO_TOOLS)] = None

    def turns(self) -> list[ChatTurn]:
        """The conversation."""
        return self.messages

    def parameters(self) -> dict[str, Any]:
        """The generation parameters under the serving code's names."""
        longest = self.max_completion_tokens or self.max_tokens
        given = {"temperature": self.temperature, "top_p": self.top_p, "max_new_tokens": longest}
        return {name: value for name, value in given.items() if value is not None}

    def stops(self) -> tuple[str, ...]:
        """The texts that end the answer."""
        return tuple(self.stop or ())

    def extras(self) -> RequestExtras:
        """What is passed on, ignored or refused, depending on who answers."""
        found, options = extras_of(self), extras_of(self.stream_options, prefix="stream_options.")
        return RequestExtras((*found.unused, *options.unused), found.hints, found.demands)
