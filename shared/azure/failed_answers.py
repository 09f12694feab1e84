"""What deployments say when they have no answer: failures that come with status 200, and bodies of refusals. Pure.

The serving image of Phi-4's models answers failures at `/score` with status 200: `{}` for an exception or a text that
content safety blocks, and the word None for an error of its engine. Whoever takes these for answers trusts a model that
gave none. Assumption `container-score`.
"""

from __future__ import annotations

import json
from typing import Any

_START_OF_BODY = 300
_MOST_NESTED = 8
# Ends that are no end of an answer.
_GIVEN_UP = ("error", "abort")
_ASK_THE_LOG = "the log of the deployment says more"
_EMPTY = f"{{}}, by which its serving image says that the call failed, or that content safety blocks it: {_ASK_THE_LOG}"
_NONE = (
    '{"output": "None"}, by which its serving image says that its engine failed, mostly because the conversation and '
    f"the answer are longer than the model takes: shorten them, or ask for fewer tokens; {_ASK_THE_LOG}"
)


def failure(found: Any) -> str:
    """Why a body with status 200 is no answer although it may look like one; empty: it says nothing of the kind."""
    match found:
        case {} if not found and isinstance(found, dict):
            return _EMPTY
        case {"output": "None"} if len(found) == 1:
            return _NONE
        case {"error": error} if error:
            return f"an error with status 200: {_words(found) or start(json.dumps(found))}"
        case {"object": "error"}:
            return f"an error with status 200: {_words(found) or start(json.dumps(found))}"
        case {"choices": [{"finish_reason": str(reason)}, *_]} if reason.lower() in _GIVEN_UP:
            return f"an answer that its engine gave up (finish_reason {reason}): {_ASK_THE_LOG}"
        case [first, *_]:
            return failure(first) if isinstance(first, dict) else ""
    return ""


def refusal(body: bytes) -> str:
    """What a body that refuses or fails says: in its own words where it has some, else its start."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return start(body)
    return start(_words(found)) or start(body)


def start(body: bytes | str) -> str:
    """The start of a body, to be shown."""
    found = body[:_START_OF_BODY]
    return found if isinstance(found, str) else found.decode("utf-8", "replace")


def _words(found: Any, depth: int = 0) -> str:
    """The message in an error's body: containers put one error into another, also as JSON text."""
    if depth > _MOST_NESTED:
        return ""
    if isinstance(found, str):
        return (_words(_json(found), depth + 1) if found.lstrip().startswith("{") else "") or found
    if not isinstance(found, dict):
        return ""
    words = next(
        (words for name in ("error", "message", "detail") if (words := _words(found.get(name), depth + 1))), ""
    )
    return ": ".join(filter(None, (words, *_fields(found.get("details") or found.get("detail")))))


def _fields(details: Any) -> list[str]:
    """The fields that a validation names, each with what is wrong; never what was sent."""
    if not isinstance(details, list):
        return []
    named = [one for one in details if isinstance(one, dict) and isinstance(one.get("msg"), str)]
    return [f"{'.'.join(str(part) for part in one.get('loc') or () if part != 'body')}: {one['msg']}" for one in named]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
