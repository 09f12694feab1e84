"""Many lines of JSONL decoded by one call, into objects: faster than dictionaries, and strict about turns.

Used by `line_rows`, which teaches it the columns of the rows that were looked at one by one. Of lines that it refuses
it says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, UnsetType

from shared.validation.decoding import measure

_MOST_COLUMNS = 64
"""So many are learned, as each makes a new type of row."""
_STRINGS_OF_A_TURN = 4
"""Two names, the role and the content."""
_ROLE, _CONTENT = attrgetter("role"), attrgetter("content")


class Turn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A turn that has nothing but what it must have."""

    role: str
    content: str


class DecodedRows(NamedTuple):
    """Rows by column. UNSET stands where a row does not have one of the other columns."""

    messages: list[list[Turn]]
    others: dict[str, list[Any]]

    def turns(self) -> tuple[list[str], list[str]]:
        """Roles and contents of all turns."""
        spoken = list(chain.from_iterable(self.messages))
        return list(map(_ROLE, spoken)), list(map(_CONTENT, spoken))

    def columns(self) -> list[tuple[str, ...]]:
        """The names of the columns of each row."""
        names = ("messages", *self.others)
        if not any(UnsetType in set(map(type, column)) for column in self.others.values()):
            return [names] * len(self.messages)
        return [
            tuple(name for name, value in zip(names, values, strict=True) if value is not UNSET)
            for values in zip(self.messages, *self.others.values(), strict=True)
        ]

    def strings(self, max_depth: int) -> int | None:
        """Of how many strings the rows are made, names included; None if one is nested too deep.

        Raises ValueError for a number that is to be looked at one by one.
        """
        strings = len(self.messages) + _STRINGS_OF_A_TURN * sum(map(len, self.messages))
        for column in self.others.values():
            kinds = Counter(map(type, column))
            strings += len(column) - kinds[UnsetType] + kinds[str]
            if kinds[dict] or kinds[list] or kinds[int]:
                for value in column:
                    if isinstance(value, dict | list | int):
                        inside, depth = measure(value)
                        if depth >= max_depth:
                            return None
                        strings += inside
        return strings


class RowDecoder:
    """Decodes rows that have no other columns than those it has learned."""

    def __init__(self) -> None:
        self._attributes: dict[str, str] = {}
        self._decoder: msgspec.json.Decoder[Any] | None = None

    def learn(self, columns: Iterable[str]) -> None:
        """Know these columns from now on; but for one too many, and for one whose name is written with escapes."""
        known = self._attributes
        new = [name for name in columns if name not in known and orjson.dumps(name)[1:-1] == name.encode()]
        for name in new[: _MOST_COLUMNS - len(known)]:
            known[name] = f"column_{len(known)}"
            self._decoder = None

    def decode(self, lines: bytes) -> DecodedRows:
        """The rows of these lines. Raises ValueError or RecursionError.

        To the decoder a line feed is white space: that no row goes over two lines is for the caller to know.
        """
        if "messages" not in self._attributes:
            raise ValueError("no row was seen yet")
        if self._decoder is None:
            self._decoder = _decoder_of(self._attributes)
        rows = self._decoder.decode_lines(lines)
        columns = {name: list(map(attrgetter(at), rows)) for name, at in self._attributes.items()}
        return DecodedRows(columns.pop("messages"), columns)


def _decoder_of(attributes: dict[str, str]) -> msgspec.json.Decoder[Any]:
    """A decoder of rows that have an attribute for each column."""
    fields: list[tuple[str, Any, Any]] = [
        (at, list[Turn], msgspec.NODEFAULT) if name == "messages" else (at, Any, UNSET)
        for name, at in attributes.items()
    ]
    names = {at: name for name, at in attributes.items()}
    row = msgspec.defstruct("Row", fields, rename=names, kw_only=True, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(row)
