"""How a field of a request is treated that is not used by the app itself. The requests' models are the one table.

A field without one of these marks is used. What the OpenAI route of a deployment takes is passed on to it (`passed`);
where the deployment has `/score` alone, it is treated as the mark says. docs/chat-requests.md and the OpenAPI document
are rendered from the marks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Value = TypeVar("Value")
_PASSED = "Passed on where the deployment has an OpenAI route."


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
    """A hint for how to answer that has no effect: taken, and named in `x-droptune-ignored` unless neutral."""

    neutral: tuple[Any, ...] = ()
    passed: bool = False

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        where = f"{_PASSED} Elsewhere it has" if self.passed else "Has"
        return {**handler(schema), "description": f"{where} no effect; named in the header `x-droptune-ignored`."}


@dataclass(frozen=True, slots=True, eq=False)
class NeutralField:
    """Would change what the caller counts on: refused by name, but at these values, which change nothing."""

    values: tuple[Any, ...]
    why: str
    passed: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        if self.passed:
            kept = " or ".join(map(_written, self.values))
            return {"description": f"{_PASSED} Elsewhere refused at any other value than {kept}: {self.why}."}
        return {"enum": [*self.values, None], "description": f"Refused at any other value: {self.why}."}

    @property
    def refusal(self) -> str:
        """What is said of a value that is refused."""
        allowed = f" (only {' or '.join(map(_written, self.values))})" if self.values else ""
        return f"is not supported here{allowed}: {self.why}"

    def changes_nothing(self, value: Any) -> bool:
        """Whether the value is none, or neutral."""
        return value is None or any(_same(value, neutral) for neutral in self.values)

    def _check(self, value: Any) -> Any:
        if self.passed or self.changes_nothing(value):
            return value
        raise PydanticCustomError("unsupported", "{refusal}", {"refusal": self.refusal})


type Mark = TakenField | HintField | NeutralField

Taken = Annotated[Value | None, TakenField()]
Hint = Annotated[Value | None, HintField()]
PassedHint = Annotated[Value | None, HintField(passed=True)]


def marked(model: type[BaseModel]) -> Iterator[tuple[str, Mark]]:
    """The fields of a request that are not used, each with how it is treated."""
    for name, described in model.model_fields.items():
        for mark in described.metadata:
            if isinstance(mark, TakenField | HintField | NeutralField):
                yield name, mark


@dataclass(frozen=True, slots=True)
class RequestExtras:
    """What a request says besides what the app uses, at values that are not neutral, by name.

    `unused` has an effect nowhere. `hints` and `demands` are for the OpenAI route of a deployment; elsewhere hints are
    ignored, and demands refused for the reason beside them.
    """

    unused: tuple[str, ...] = ()
    hints: Mapping[str, Any] = field(default_factory=dict)
    demands: Mapping[str, tuple[Any, str]] = field(default_factory=dict)

    @property
    def more(self) -> dict[str, Any]:
        """What is passed on to an OpenAI route."""
        return {**self.hints, **{name: value for name, (value, _) in self.demands.items()}}


def extras_of(*requests: BaseModel | None, prefix: str = "") -> RequestExtras:
    """The extras of a request's parts, in the order of the table; a later part's value counts."""
    unused, hints, demands = dict[str, None](), dict[str, Any](), dict[str, tuple[Any, str]]()
    for request in filter(None, requests):
        for name, mark in marked(type(request)):
            value = getattr(request, name)
            if isinstance(mark, HintField) and value is not None and not any(_same(value, n) for n in mark.neutral):
                if mark.passed:
                    hints[name] = value
                else:
                    unused[prefix + name] = None
            if isinstance(mark, NeutralField) and mark.passed and not mark.changes_nothing(value):
                demands[name] = (value, mark.refusal)
    return RequestExtras(tuple(unused), hints, demands)


def _same(value: Any, neutral: Any) -> bool:
    """Equal, and no truth value taken for a number."""
    return bool(value == neutral) and isinstance(value, bool) == isinstance(neutral, bool)


def _written(value: Any) -> str:
    return json.dumps(value)
