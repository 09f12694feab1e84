"""What a deployment is sent for a call, by what its container speaks: the address and the body. Pure.

Used for callers by `serving` and for the gate's prompts by `releases`. Both bodies say the same; the OpenAI route has
names of its own for it, and takes more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.ledger.release import ServingApi

# The notebook's parameters, used where the caller gives none.
DEFAULTS: Mapping[str, Any] = {"temperature": 0.6, "top_p": 0.9, "do_sample": True}
CHAT_PATH = "v1/chat/completions"

type Turns = Sequence[Mapping[str, Any]]


def address(scoring_uri: str, api: ServingApi) -> str:
    """Where calls to a deployment are sent. Managed endpoints pass other paths than `/score` on to the container."""
    return chat_address(scoring_uri) if api == "openai" else scoring_uri


def chat_address(scoring_uri: str) -> str:
    """The address of the OpenAI route beside a scoring address."""
    return f"{scoring_uri.removesuffix('/').removesuffix('/score')}/{CHAT_PATH}"


def body(
    api: ServingApi, turns: Turns, parameters: Mapping[str, Any], more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The request. `parameters` have the serving code's names; `more` is for the OpenAI route, under its own names."""
    if api == "openai":
        return _chat_body(turns, parameters, more or {})
    return native_body([_plain(turn) for turn in turns] if api != "mlflow" else alternating(turns), parameters)


def native_body(turns: Turns, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's request body: a flat list of turns and the generation parameters.

    The serving code refuses to sample at a temperature of 0, and complains of one when it does not sample.
    """
    given = {**DEFAULTS, **parameters}
    if _greedy(given):
        given = {name: value for name, value in given.items() if name not in DEFAULTS} | {"do_sample": False}
    return {"input_data": {"input_string": list(turns), "parameters": given}}


def alternating(turns: Turns) -> list[dict[str, Any]]:
    """The turns with neighbours of one role joined: the generic MLflow image fails where two follow each other."""
    found: list[dict[str, Any]] = []
    for turn in turns:
        if found and found[-1]["role"] == turn["role"]:
            found[-1]["content"] += f"\n\n{turn['content']}"
        else:
            found.append(_plain(turn))
    return found


def _chat_body(turns: Turns, parameters: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion's request. It names no model: there is one behind a deployment, under a name of its own.

    The engine takes no `top_p` of 0, so that the likeliest answer is asked for by a temperature of 0 alone.
    """
    given = {**DEFAULTS, **parameters}
    sampling = {"temperature": 0} if _greedy(given) else {name: given[name] for name in ("temperature", "top_p")}
    others = {name: value for name, value in given.items() if name not in DEFAULTS and name != "max_new_tokens"}
    longest = {"max_tokens": given["max_new_tokens"]} if "max_new_tokens" in given else {}
    return {"messages": [_plain(turn) for turn in turns], **sampling, **longest, **others, **more}


def _greedy(given: Mapping[str, Any]) -> bool:
    return not given["do_sample"] or given["temperature"] == 0 or given["top_p"] == 0


def _plain(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": turn["role"], "content": turn["content"]}
