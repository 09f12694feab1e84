"""How the HTTP functions answer: JSON, and the mapping from the app's errors to status codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import azure.functions as func

if TYPE_CHECKING:
    from pydantic import ValidationError

    from shared.chat import Unanswered

MOST_BYTES = 1_000_000


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """A JSON answer."""
    text = json.dumps(body, ensure_ascii=False)
    return func.HttpResponse(text, status_code=status, mimetype="application/json", headers=headers)


def refusal(status: int, code: str, message: str, retry_after: int | None = None) -> func.HttpResponse:
    """An error in the shape that chat clients know, which suits the other routes as well."""
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return answer({"error": {"message": message, "type": kind, "code": code, "param": None}}, status, headers)


def unanswered(error: Unanswered) -> func.HttpResponse:
    """The answer for a question that could not be answered."""
    return refusal(error.status, error.code, str(error), error.retry_after)


def malformed(error: ValidationError) -> func.HttpResponse:
    """400 naming each wrong field: where it is, what is wrong; never what was sent."""
    problems = [f"{'.'.join(map(str, e['loc']))[:80] or 'body'}: {_said(e)}" for e in error.errors(include_input=False)]
    return refusal(400, "invalid_request", "; ".join(problems[:10]))


def _said(error: Any) -> str:
    """What is wrong, in the words of a caller rather than of the library."""
    where = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "extra_forbidden":
            return "is not supported here"
        case "too_short":
            return "must not be empty"
        case "literal_error" if where == "stream":
            return "streaming is not offered yet: leave it out or send false"
    return str(error["msg"]).removeprefix("Value error, ")
