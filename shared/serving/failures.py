"""What a caller is told for each way in which an endpoint does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ledger.release import CallResult, ServingApi, call_result
from shared.serving.protocol import ApiError

if TYPE_CHECKING:
    from shared.azure.inference import EndpointAnswer, StreamBroken


# What serving codes say of a conversation that does not fit.
_OVERFLOW = (
    "context length",
    "context size",
    "maximum model length",
    "max_model_len",
    "is longer than the max",
    "`max_new_tokens` must be <=",
)


def broken_off(dataset: str, broken: StreamBroken) -> ApiError:
    """For an answer that began and does not go on."""
    status, code = (504, "timeout") if broken.late else (502, "answer_broken_off")
    return ApiError(status, code, f"{dataset}: the answer broke off: {broken}", asked=True)


def result_of(answer: EndpointAnswer, usable: bool, api: ServingApi) -> CallResult:
    """How a call counts for its deployment. A conversation that is too long for the model is not the model's fault."""
    return "refused" if _is_overflow(answer) else call_result(_true_status(answer, api), usable)


def context_exceeded(context: int, asked: int, wanted: int) -> ApiError:
    """For a conversation that is too long, in the words by which clients know that they have to shorten it."""
    text = (
        f"This model's maximum context length is {context} tokens. However, the messages have about {asked} tokens and "
        f"{wanted} are wanted for the answer. Please reduce the length of the messages or of the answer."
    )
    return ApiError(400, "context_length_exceeded", text, param="messages")


def not_answered(dataset: str, answer: EndpointAnswer, api: ServingApi) -> ApiError:
    """For an answer that is none."""
    if _is_overflow(answer):
        text = f"The messages exceed the maximum context length of {dataset}: {answer.detail}"
        return ApiError(400, "context_length_exceeded", text, param="messages")
    match _true_status(answer, api):
        case 400 | 422 if answer.status == 424:
            text = f"the model's server does not take this call: {answer.detail}"
            return ApiError(400, "invalid_value", text)
        case 0 if answer.lost == "unsent":
            return ApiError(503, "unavailable", f"{dataset}: {answer.detail}; nobody was asked", 5)
        case 0 if answer.lost == "cut":
            return ApiError(502, "connection_lost", f"{dataset}: {answer.detail}", asked=True)
        case 0 | 408 | 504:
            return ApiError(504, "timeout", f"{dataset}: {answer.detail or 'the model took too long'}", asked=True)
        case 200:
            why = answer.detail or "an empty text"
            return ApiError(502, "bad_answer", f"{dataset} answered nothing usable: {why}", asked=True)
        case 424:
            return ApiError(502, "model_error", f"{dataset}: the model failed: {answer.detail}", asked=True)
        case 413:
            return ApiError(413, "too_large", f"{dataset}: the endpoint does not take so large a call")
        case 429:
            return ApiError(429, "rate_limit", f"{dataset} is busy", _seconds(answer.retry_after))
        case 404 | 503:
            return ApiError(503, "unavailable", f"{dataset} is not ready to answer", 10)
    return ApiError(502, "endpoint_error", f"{dataset}: the endpoint answered HTTP {answer.status}", asked=True)


def _true_status(answer: EndpointAnswer, api: ServingApi) -> int:
    """The status of the container, where it can be believed: its OpenAI route has true ones, `/score` has not."""
    believed = api == "openai" and answer.container_status in (400, 413, 422, 429)
    return answer.container_status if answer.status == 424 and believed else answer.status


def _is_overflow(answer: EndpointAnswer) -> bool:
    """Whether the serving code refused a conversation for its length."""
    detail = answer.detail.lower()
    return answer.status in (400, 413, 422, 424) and any(words in detail for words in _OVERFLOW)


def _seconds(text: str) -> int:
    return max(1, int(text)) if text.isdigit() else 1
