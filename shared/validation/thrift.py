"""Reads Thrift's compact protocol, in which parquet writes its footer and the head of each page.

Whoever wrote the file chose every byte. Only what is asked for is built here, and what else there is, is passed over;
but Arrow builds all of it, and makes room for a list as soon as it reads how long it is. So a list is refused that is
longer than the bytes behind it, or that would take much memory, and whatever another reader could take otherwise: a
field that is there twice, or whose number is none. Everything that is refused raises ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_DEEPEST = 32
_MOST_BUILT = 1 << 12  # values of a list that is asked for
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = 1, 2, 3, 7, 8, 9, 10, 11, 12, 13
_STRUCT_BYTES, _VALUE_BYTES = 1 << 10, 1 << 5  # what Arrow takes for one in a list, at most
_LARGE = (_STRUCT, _LIST, _SET, _MAP)
_MOST_BYTES = 128 * 2**20
_WIDTHS = {_TRUE: 1, _FALSE: 1, _BYTE: 1, _DOUBLE: 8, _UUID: 16}

type Wanted = Mapping[int, "Mapping[int, Any] | Callable[[Compact], None] | None"]
"""Fields of a struct by number: what is wanted of a struct in it, what reads each of a list, or None for its value."""


class Compact:
    """A reader that stands somewhere in the bytes of a struct."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self.at = data, at
        self._room = _MOST_BYTES

    def struct(self, wanted: Wanted, depth: int = 0) -> dict[int, Any]:
        """Read the struct that starts here: the fields that are wanted, by their number."""
        fields: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            kind = head & 15
            if not 0 < field < 1 << 15 or field in fields:
                raise ValueError(f"field {field} is impossible, or there twice")
            if field not in wanted:
                self._skip(kind, depth, in_list=False)
            elif kind in (_TRUE, _FALSE):
                fields[field] = kind == _TRUE
            else:
                fields[field] = self._value(kind, wanted[field], depth)
        return fields

    def _value(self, kind: int, wanted: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        if kind in (_LIST, _SET):
            kind, count = self._list()
            if callable(wanted):
                if kind != _STRUCT:
                    raise ValueError("a list of something else than structs")
                for _ in range(count):
                    wanted(self)
                return count
            if count > _MOST_BUILT:
                raise ValueError(f"a list of {count} values")
            return [self._value(kind, wanted, depth + 1) for _ in range(count)]
        if kind == _STRUCT:
            return self.struct(wanted if isinstance(wanted, Mapping) else {}, depth + 1)
        if _BYTE < kind < _DOUBLE:
            return self._number()
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        self._skip(kind, depth, in_list=True)
        return None

    def _skip(self, kind: int, depth: int, *, in_list: bool) -> None:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        if kind in (_TRUE, _FALSE):
            self._move(1 if in_list else 0)
        elif kind in _WIDTHS:
            self._move(_WIDTHS[kind])
        elif _BYTE < kind < _DOUBLE:
            self._unsigned()
        elif kind == _BINARY:
            self._move(self._unsigned())
        elif kind in (_LIST, _SET):
            inner, count = self._list()
            self._skip_many(inner, count, depth)
        elif kind == _MAP:
            count = self._unsigned()
            kinds = self._byte() if count else 0
            for _ in range(self._possible(count)):
                self._skip(kinds >> 4, depth + 1, in_list=True)
                self._skip(kinds & 15, depth + 1, in_list=True)
        elif kind == _STRUCT:
            self.struct({}, depth + 1)
        else:
            raise ValueError(f"a value of unknown kind {kind}")

    def _skip_many(self, kind: int, count: int, depth: int) -> None:
        if kind in _WIDTHS:
            self._move(count * _WIDTHS[kind])
            return
        for _ in range(count):
            self._skip(kind, depth + 1, in_list=True)

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        kind, count = head & 15, self._possible(self._unsigned() if head >> 4 == 15 else head >> 4)
        self._room -= count * (_STRUCT_BYTES if kind in _LARGE else _VALUE_BYTES)
        if self._room < 0:
            raise ValueError("more than can be read into memory")
        return kind, count

    def _possible(self, count: int) -> int:
        """A count of values, each of which takes a byte at least."""
        if count > len(self._data) - self.at:
            raise ValueError("ends too early")
        return count

    def _byte(self) -> int:
        self._move(1)
        return self._data[self.at - 1]

    def _move(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise ValueError("ends too early")

    def _unsigned(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _number(self) -> int:
        number = self._unsigned()
        return number >> 1 ^ -(number & 1)
