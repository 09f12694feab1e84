"""The OpenAPI document: well formed, complete, and right about the bodies it describes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from functions import web
from shared.serving import openapi
from shared.serving.protocol import ApiError
from shared.serving.requests import ChatRequest
from shared.serving.routes import PAGE
from tests.test_docs import FUNCTIONS, ROOT, rows

REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")
DOCUMENT = openapi.document(web.ROUTES)
OPERATIONS = [
    (path, method, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
]
ALL = pytest.mark.parametrize(
    ("path", "method", "operation"), OPERATIONS, ids=lambda v: v if isinstance(v, str) else ""
)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _references(each)


def _validator(model: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{model}", "components": DOCUMENT["components"]})


def test_it_is_plain_json_that_says_what_it_is() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert {"title", "version"} <= set(DOCUMENT["info"])


def test_every_schema_is_one_and_every_reference_leads_to_one() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert {reference.removeprefix("#/components/schemas/") for reference in _references(DOCUMENT)} <= set(schemas)


@ALL
def test_every_operation_has_its_parameters_its_answers_and_its_keys(path: str, method: str, operation: Any) -> None:
    given = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
    assert given == re.findall(r"\{(\w+)\}", path)
    assert all(p["required"] for p in operation["parameters"] if p["in"] == "path")
    assert any(code.startswith("2") for code in operation["responses"])
    assert all(answer["description"] and answer["content"] for answer in operation["responses"].values())
    assert {name for way in operation["security"] for name in way} <= set(DOCUMENT["components"]["securitySchemes"])
    assert ("401" in operation["responses"]) == bool(operation["security"])


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("body", "right"),
    [
        ({"model": "m", "messages": [{"role": "user", "content": "x"}]}, True),
        ({"model": "m", "messages": [{"role": "developer", "content": [{"type": "text", "text": "x"}]}]}, True),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}], "stop": ["a"], "n": 1, "stream": True}, True),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": []}, True),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [{}]}, False),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": 3}, False),
        ({"model": "m", "messages": []}, False),
        ({"messages": [{"role": "tool", "content": "x"}]}, False),
    ],
)
def test_it_takes_and_refuses_the_questions_that_the_app_does(body: Any, right: bool) -> None:
    assert _validator("ChatRequest").is_valid(body) == right
    if right and body["messages"][-1]["role"] == "user":
        ChatRequest.model_validate(body)


def test_errors_are_as_described() -> None:
    error = ApiError(404, "model_not_found", "there is none", param="model")
    assert list(_validator("ErrorBody").iter_errors(json.loads(error.body().model_dump_json()))) == []


def test_the_reference_has_the_same_routes_with_the_same_answers() -> None:
    stated = {row[0].strip("` "): row[-1].strip("| ") for row in rows(REFERENCE, "Routes")}
    described = {f"{method.upper()} {path}": {*operation["responses"]} for path, method, operation in OPERATIONS}
    assert {route: {*answers.split(", ")} for route, answers in stated.items() if answers != "HTML"} == described


def test_every_list_comes_in_pages_with_its_filters_named_in_one_place() -> None:
    paged = {name for name, _ in PAGE}
    lists = {
        route.path: {name for name, _ in route.query} for route in web.ROUTES if paged & {n for n, _ in route.query}
    }
    assert all(paged <= asked for asked in lists.values()), "all of the parameters, or none"
    named = {
        row[0].strip("`").removeprefix("GET /api/"): set(
            re.findall(r"`([a-z_]+)`", f"{row[1]} {row[2].partition(':')[0]}")
        )
        for row in rows(FUNCTIONS, "Lists")
    }
    assert named == {path: asked - paged for path, asked in lists.items()}
