"""The OpenAPI document of all HTTP routes, made of the models that read and write their bodies.

Served at `GET /api/openapi.json`. A test compares the table below with the routes that the app has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.serving import protocol

_REF = "#/components/schemas/{model}"
_ERRORS = {
    400: "Something in the request is wrong; `param` names it.",
    401: "A key is missing or wrong.",
    404: "There is nothing of that name.",
    409: "It cannot be done now; the message says what is in the way.",
    413: "The body is too large.",
    422: "Too many messages, or too long ones, or more tokens than the model sees.",
    429: "The model or this instance is busy; `Retry-After` says for how long.",
    500: "A fault of the app.",
    502: "The model answered nothing usable. With `x-should-retry: false`, it may have been asked.",
    503: "Asleep, waking or not ready; `Retry-After` says when to come back.",
    504: "No answer in time.",
}
_ASK = (400, 401, 404, 413, 422, 429, 500, 502, 503, 504)
_ACT = (401, 404, 409, 503)
_LOOK = (401, 404, 503)


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """One route. Who may call it: whoever has a key to ask (`ask`), a function key (`function`), or anybody."""

    method: Literal["get", "post"]
    path: str
    summary: str
    who: Literal["ask", "function", "anybody"]
    errors: tuple[int, ...] = ()
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    streams: type[BaseModel] | None = None
    status: int = 200
    query: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """A name for code generators."""
        return "_".join([self.method, *re.findall(r"\w+", self.path.removeprefix("/api/"))])


_BY = ("by", "Who asks, in words.")
ROUTES = (
    ApiRoute("post", "/api/v1/chat/completions", "Ask a model, as chat clients do", "ask", _ASK,
          protocol.ChatRequest, protocol.ChatCompletion, protocol.ChatChunk),
    ApiRoute("get", "/api/v1/models", "The datasets whose models can be asked", "ask", (401, 503), None,
          protocol.ModelList),
    ApiRoute("get", "/api/v1/models/{model}", "One of them", "ask", _LOOK, None, protocol.ModelCard),
    ApiRoute("post", "/api/score/{dataset}", "Ask a model, in the recipe's payload", "ask", _ASK,
          protocol.NativeRequest, protocol.NativeAnswer),
    ApiRoute("get", "/api/snapshots", "The newest snapshots", "function", (400, 401),
          query=(("dataset", "Its name."),)),
    ApiRoute("get", "/api/snapshots/{id}", "Everything about one snapshot", "function", _LOOK),
    ApiRoute("get", "/api/datasets/{name}", "Everything about one dataset", "function", _LOOK),
    ApiRoute("post", "/api/snapshots/{id}/retry", "Go on with one that failed", "function", _ACT, status=202,
          query=(_BY,)),
    ApiRoute("post", "/api/snapshots/{id}/override", "Excuse checks, and take it after all", "function", (400, *_ACT),
          status=202, query=(_BY, ("what", "Names of checks, with commas between."))),
    ApiRoute("post", "/api/datasets/{name}/wake", "Wake it", "function", _ACT, status=202, query=(_BY,)),
    ApiRoute("post", "/api/datasets/{name}/sleep", "Put it to sleep", "function", _ACT, status=202, query=(_BY,)),
    ApiRoute("post", "/api/datasets/{name}/rollback", "Go back to the release before", "function", _ACT, status=202,
          query=(_BY,)),
    ApiRoute("post", "/api/datasets/{name}/resume", "Go on past its faults", "function", _ACT, status=202,
          query=(_BY,)),
    ApiRoute("get", "/api/health", "Whether the app is up", "anybody"),
    ApiRoute("get", "/api/openapi.json", "This document", "anybody"),
)  # fmt: skip
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "One of SCORING_KEYS."},
    "header": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
    "query": {"type": "apiKey", "in": "query", "name": "code"},
}
_WHO: dict[str, list[dict[str, list[str]]]] = {
    "ask": [{"bearer": []}, {"header": []}, {"query": []}],
    "function": [{"header": []}, {"query": []}],
    "anybody": [],
}


@cache
def document() -> dict[str, Any]:
    """The document, in OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Droptune",
            "version": "0.1.0",
            "summary": "Chat models that were fine-tuned on dropped datasets, and how they came to be.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": _KEYS},
    }


def _schemas() -> dict[str, Any]:
    asked = {(route.body, "validation") for route in ROUTES if route.body}
    answered = {(m, "serialization") for r in ROUTES for m in (r.answer, r.streams) if m}
    models: Any = sorted({*asked, *answered, (protocol.ErrorBody, "serialization")}, key=lambda m: m[0].__name__)
    schemas: dict[str, Any] = models_json_schema(models, ref_template=_REF)[1]["$defs"]
    return schemas


def _operation(route: ApiRoute) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "security": _WHO[route.who],
        "parameters": _parameters(route),
        "responses": {str(route.status): _answer(route), **{str(code): _error(code) for code in route.errors}},
    }
    if route.body:
        found["requestBody"] = {"required": True, "content": _json(route.body)}
    return found


def _parameters(route: ApiRoute) -> list[dict[str, Any]]:
    text = {"type": "string"}
    within = [{"name": n, "in": "path", "required": True, "schema": text} for n in re.findall(r"\{(\w+)\}", route.path)]
    query = [{"name": n, "in": "query", "description": about, "schema": text} for n, about in route.query]
    headers = []
    if route.who == "ask":
        about = {"x-request-id": "Comes back with the answer, and is in the log."}
        if route.body:
            about["Prefer"] = "`wait=20` waits so many seconds for a model that has to wake first."
        headers = [{"name": n, "in": "header", "description": text_, "schema": text} for n, text_ in about.items()]
    return [*within, *query, *headers]


def _answer(route: ApiRoute) -> dict[str, Any]:
    content = _json(route.answer) if route.answer else {"application/json": {"schema": {"type": "object"}}}
    if route.streams:
        content["text/event-stream"] = {"schema": {"$ref": _REF.format(model=route.streams.__name__)}}
    return {"description": "Taken." if route.status == 202 else "The answer.", "content": content}


def _error(code: int) -> dict[str, Any]:
    return {"description": _ERRORS[code], "content": _json(protocol.ErrorBody)}


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
