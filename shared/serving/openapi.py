"""The OpenAPI document of all HTTP routes, made of the functions' own descriptions and the models of their bodies.

Served at `GET /api/openapi.json`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from shared.serving import protocol, requests
from shared.serving.routes import ApiRoute, Caller

_REF = "#/components/schemas/{model}"
_ERRORS = {
    400: "Something in the request is wrong; `param` names it.",
    401: "A key is missing or wrong.",
    403: "The settings of the app do not allow it; the message names the one that does.",
    404: "There is nothing of that name.",
    409: "It cannot be done now; the message says what is in the way.",
    413: "The body is too large.",
    415: "The body is compressed in a way that is not read.",
    422: "Too many messages, or too long ones.",
    429: "The model or this instance is busy; `Retry-After` says for how long.",
    500: "A fault of the app.",
    502: "The model answered nothing usable. With `x-should-retry: false`, it may have been asked.",
    503: "Asleep, waking or not ready; `Retry-After` says when to come back.",
    504: "No answer in time.",
}
_PLATFORM = "The platform answers it before the app is asked, in Azure without a body."
_HEADERS = {
    "x-request-id": "That of the request, or a new one.",
    "x-droptune-ignored": "Hints of the request that had no effect, with commas between.",
    "x-droptune-unavailable": "What this deployment cannot give: `stream`, `finish_reason`, `usage`; commas between.",
    "x-should-retry": "`false`: the model may have been asked, so that another try may be a second answer.",
    "Retry-After": "Seconds after which another try may help.",
    "WWW-Authenticate": "How a key can be sent.",
}
_HEADERS_OF = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    502: ("x-should-retry",),
    503: ("Retry-After",),
    504: ("x-should-retry",),
}
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "One of SCORING_KEYS."},
    "header": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
    "query": {"type": "apiKey", "in": "query", "name": "code"},
}
_SECURITY: dict[Caller, list[dict[str, list[str]]]] = {
    "ask": [{"bearer": []}, {"header": []}, {"query": []}],
    "function": [{"header": []}, {"query": []}],
    "admin": [{"header": []}, {"query": []}],
    "anybody": [],
}


def document(routes: Sequence[ApiRoute]) -> dict[str, Any]:
    """The document, in OpenAPI 3.1. Routes that are the same give the same document, which is made once."""
    return _document(tuple(routes))


@cache
def _document(routes: tuple[ApiRoute, ...]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(f"/api/{route.path}", {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Droptune",
            "version": "0.1.0",
            "summary": "Chat models that were fine-tuned on dropped datasets, and how they came to be.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(routes), "securitySchemes": _KEYS},
    }


def _schemas(routes: Sequence[ApiRoute]) -> dict[str, Any]:
    asked = {(route.body, "validation") for route in routes if route.body}
    answered = {(name, "serialization") for route in routes for name in (route.answer, route.streams) if name}
    named = sorted({*asked, *answered, ("ErrorBody", "serialization")})
    models: Any = [(getattr(requests if mode == "validation" else protocol, name), mode) for name, mode in named]
    schemas: dict[str, Any] = models_json_schema(models, ref_template=_REF)[1]["$defs"]
    return schemas


def _operation(route: ApiRoute) -> dict[str, Any]:
    preview = {"200": {**_answer(route), "description": "What would be done."}} if route.previews else {}
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "security": _SECURITY[route.caller],
        "parameters": _parameters(route),
        "responses": {
            **preview,
            str(route.status): _answer(route),
            **{str(code): _error(route, code) for code in route.errors},
        },
    }
    if route.body:
        found["requestBody"] = {"required": True, "content": _json(route.body)}
    return found


def _parameters(route: ApiRoute) -> list[dict[str, Any]]:
    text = {"type": "string"}
    within = [{"name": n, "in": "path", "required": True, "schema": text} for n in re.findall(r"\{(\w+)\}", route.path)]
    query = [{"name": n, "in": "query", "description": about, "schema": text} for n, about in route.query]
    headers = []
    if route.caller == "ask":
        about = {"x-request-id": "Comes back with the answer, and is in the log."}
        if route.body:
            about["Prefer"] = "`wait=20` waits so many seconds for a model that has to wake first."
        headers = [{"name": n, "in": "header", "description": text_, "schema": text} for n, text_ in about.items()]
    return [*within, *query, *headers]


def _answer(route: ApiRoute) -> dict[str, Any]:
    kind = "object" if route.media == "application/json" else "string"
    content = _json(route.answer) if route.answer else {route.media: {"schema": {"type": kind}}}
    if route.streams:
        content["text/event-stream"] = {"schema": {"$ref": _REF.format(model=route.streams)}}
    found = {"description": "Taken." if route.status == 202 else "The answer.", "content": content}
    if route.caller == "ask":
        found["headers"] = _headers(
            "x-request-id", *(("x-droptune-ignored", "x-droptune-unavailable") if route.body else ())
        )
    return found


def _error(route: ApiRoute, code: int) -> dict[str, Any]:
    description, headers = _ERRORS[code], _HEADERS_OF.get(code, ())
    if route.caller in ("function", "admin") and code == 401:
        description, headers = f"{description} {_PLATFORM}", ()
    own = ("x-request-id",) if route.caller == "ask" else ()
    return {"description": description, "headers": _headers(*own, *headers), "content": _json("ErrorBody")}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}


def _json(model: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model)}}}
