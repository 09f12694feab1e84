"""Which events a subscription wants: event types, subject, and advanced filters on any value of the event.

All three must agree, as in the service. Text is compared without regard to case, as the service does by default.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from local.eventgrid.schemas import EVENT_GRID, EventGridEvent

# An event's property under the names it has in either schema.
_CLOUD_EVENTS_NAMES = {"source": "topic", "type": "eventtype", "time": "eventtime"}


def _number(found: object) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _any_text(test: Callable[[str, str], bool]) -> Callable[[Any, Sequence[Any]], bool]:
    def holds(found: Any, values: Sequence[Any]) -> bool:
        return isinstance(found, str) and any(test(found.lower(), str(value).lower()) for value in values)

    return holds


def _any_number(test: Callable[[Any, Any], bool]) -> Callable[[Any, Sequence[Any]], bool]:
    return lambda found, values: _number(found) and any(test(found, value) for value in values)


def _not(operator: Callable[[Any, Sequence[Any]], bool]) -> Callable[[Any, Sequence[Any]], bool]:
    return lambda found, values: not operator(found, values)


_string_in = _any_text(lambda found, value: found == value)
_string_begins = _any_text(str.startswith)
_string_ends = _any_text(str.endswith)
_string_contains = _any_text(lambda found, value: value in found)
_number_in = _any_number(lambda found, value: found == value)
_number_in_range = _any_number(lambda found, value: value[0] <= found <= value[1])

OPERATORS: dict[str, Callable[[Any, Sequence[Any]], bool]] = {
    "StringIn": _string_in,
    "StringNotIn": _not(_string_in),
    "StringBeginsWith": _string_begins,
    "StringNotBeginsWith": _not(_string_begins),
    "StringEndsWith": _string_ends,
    "StringNotEndsWith": _not(_string_ends),
    "StringContains": _string_contains,
    "StringNotContains": _not(_string_contains),
    "NumberIn": _number_in,
    "NumberNotIn": _not(_number_in),
    "NumberInRange": _number_in_range,
    "NumberNotInRange": _not(_number_in_range),
    "NumberLessThan": _any_number(lambda found, value: found < value),
    "NumberLessThanOrEquals": _any_number(lambda found, value: found <= value),
    "NumberGreaterThan": _any_number(lambda found, value: found > value),
    "NumberGreaterThanOrEquals": _any_number(lambda found, value: found >= value),
    "BoolEquals": lambda found, values: isinstance(found, bool) and found in values,
    "IsNullOrUndefined": lambda found, _: found is None,
    "IsNotNull": lambda found, _: found is not None,
}


class AdvancedFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One condition: the value under `key` compared with `values` (or the one `value`)."""

    operator: str
    key: str
    values: tuple[Any, ...] = ()
    value: Any = None

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise ValueError(f"operator {self.operator!r} is not one of {', '.join(OPERATORS)}")

    def matches(self, event: EventGridEvent) -> bool:
        """Whether the event meets the condition; a list under the key never does."""
        found = value_of(event, self.key)
        if isinstance(found, list):
            return False
        return OPERATORS[self.operator](found, self.values if self.value is None else (self.value,))


def value_of(event: EventGridEvent, key: str) -> Any:
    """What the event holds under a key like `data.api` or `subject`; None where there is nothing."""
    first, *rest = key.lower().split(".")
    found: Any = event.written_in(EVENT_GRID)
    for name in (_CLOUD_EVENTS_NAMES.get(first, first), *rest):
        if not isinstance(found, dict):
            return None
        found = next((value for known, value in found.items() if known.lower() == name), None)
    return found
