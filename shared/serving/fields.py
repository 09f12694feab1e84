"""How a field of a request is treated that changes nothing here. The requests' models are the one table of fields.

A field without one of these marks is used. docs/chat-requests.md and the OpenAPI document are rendered from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Value = TypeVar("Value")


# Marks are compared by identity: `typing` keeps one Annotated of those that are equal, and 0 equals False.
@dataclass(frozen=True, slots=True, eq=False)
class TakenField:
    """Says nothing to the model: taken at any value, and not used. Its type is what people are told."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "description": "Taken at any value, and not used."}


@dataclass(frozen=True, slots=True, eq=False)
class HintField:
    """A hint for how to answer that has no effect here: taken, and named in `x-droptune-ignored` unless neutral."""

    neutral: tuple[Any, ...] = ()

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "description": "Has no effect here; named in the header `x-droptune-ignored`."}


@dataclass(frozen=True, slots=True, eq=False)
class NeutralField:
    """Would change what the caller counts on: refused by name, but at these values, which change nothing."""

    values: tuple[Any, ...]
    why: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"enum": [*self.values, None], "description": f"Refused at any other value: {self.why}."}

    def _check(self, value: Any) -> Any:
        if value is None or any(_same(value, neutral) for neutral in self.values):
            return value
        allowed = f" (only {' or '.join(map(_written, self.values))})" if self.values else ""
        text = {"allowed": allowed, "why": self.why}
        raise PydanticCustomError("unsupported", "is not supported here{allowed}: {why}", text)


type Mark = TakenField | HintField | NeutralField

Taken = Annotated[Value | None, TakenField()]
Hint = Annotated[Value | None, HintField()]


def marked(model: type[BaseModel]) -> Iterator[tuple[str, Mark]]:
    """The fields of a request that are not used, each with how it is treated."""
    for name, field in model.model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, TakenField | HintField | NeutralField):
                yield name, mark


def ignored(request: BaseModel) -> list[str]:
    """The hints of a request that have no effect, in the order of the table."""
    return [
        name
        for name, mark in marked(type(request))
        if isinstance(mark, HintField)
        and (value := getattr(request, name)) is not None
        and not any(_same(value, neutral) for neutral in mark.neutral)
    ]


def _same(value: Any, neutral: Any) -> bool:
    """Equal, and no truth value taken for a number."""
    return bool(value == neutral) and isinstance(value, bool) == isinstance(neutral, bool)


def _written(value: Any) -> str:
    return json.dumps(value)
