"""Looks at a parquet footer before Arrow does, for what makes Arrow end the process instead of raising.

Asked for a column of a row group, Arrow compares the column's size statistics with the schema, and a contradiction is a
C++ exception that pyarrow 26 does not translate (`RowGroupMetaData.column`). So a few damaged bytes in a dropped file
could take the whole worker down. The rules are those of `ColumnChunkMetaData` and `SizeStatistics::Validate` in Arrow;
the numbers of fields are those of parquet.thrift, written in Thrift's compact protocol.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pyarrow.parquet  # type: ignore[import-untyped]

_DEEPEST = 32
_ROW_GROUPS, _COLUMNS = 4, 1
_META_DATA, _CRYPTO = 3, 8
_SIZE_STATISTICS = 16
_BYTES, _REPETITIONS, _DEFINITIONS = 1, 2, 3
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = 1, 2, 3, 7, 8, 9, 10, 11, 12, 13


class _Leaf(NamedTuple):
    """What the schema says of a column."""

    path: str
    repetitions: int
    definitions: int
    is_bytes: bool


def check(footer: bytes, schema: pyarrow.parquet.ParquetSchema) -> None:
    """Raise ValueError if a row group contradicts the schema, in words that fit after "the file is unreadable:"."""
    columns = map(schema.column, range(len(schema)))
    leaves = tuple(
        _Leaf(leaf.path, leaf.max_repetition_level, leaf.max_definition_level, leaf.physical_type == "BYTE_ARRAY")
        for leaf in columns
    )
    try:
        _check(footer, leaves)
    except (TypeError, AttributeError) as odd:  # a number where a struct belongs
        raise ValueError("the footer is not as parquet describes it") from odd


@lru_cache(maxsize=2)  # a large file is read piece by piece, each time with the same footer
def _check(footer: bytes, leaves: tuple[_Leaf, ...]) -> None:
    for group in _Compact(footer).struct().get(_ROW_GROUPS) or ():
        columns = group.get(_COLUMNS) or ()
        if len(columns) != len(leaves):
            raise ValueError(f"a row group has {len(columns)} columns, and the schema {len(leaves)}")
        for column, leaf in zip(columns, leaves, strict=True):
            if _CRYPTO in column:
                raise ValueError(f"column {leaf.path} is encrypted")
            sizes = (column.get(_META_DATA) or {}).get(_SIZE_STATISTICS) or {}
            levels = {_REPETITIONS: leaf.repetitions, _DEFINITIONS: leaf.definitions}
            has_wrong_levels = any(sizes.get(field) and len(sizes[field]) != most + 1 for field, most in levels.items())
            if has_wrong_levels or (_BYTES in sizes and not leaf.is_bytes):
                raise ValueError(f"the size statistics of column {leaf.path} contradict the schema")


class _Compact:
    """Reads structs of Thrift's compact protocol: numbers of fields to values. Raises ValueError where none are."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Read the struct that starts here."""
        fields: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            kind = head & 15
            fields[field] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("the footer is nested too deep")
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if _BYTE < kind < _DOUBLE:
            return self._number()
        if kind in (_DOUBLE, _BINARY, _UUID):
            return self._bytes({_DOUBLE: 8, _UUID: 16}.get(kind) or self._unsigned())
        if kind in (_LIST, _SET):
            head = self._byte()
            return [self._value(head & 15, depth + 1) for _ in range(self._count(head >> 4))]
        if kind == _MAP:
            count = self._unsigned()
            kinds = self._byte() if count else 0
            return [(self._value(kinds >> 4, depth + 1), self._value(kinds & 15, depth + 1)) for _ in range(count)]
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise ValueError(f"the footer has a value of unknown kind {kind}")

    def _count(self, short: int) -> int:
        return self._unsigned() if short == 15 else short

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _bytes(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        self._at += count
        if len(found) < count:
            raise ValueError("the footer ends too early")
        return found

    def _unsigned(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
            if shift > 63:
                raise ValueError("the footer has a number of more than 64 bits")

    def _number(self) -> int:
        number = self._unsigned()
        return number >> 1 ^ -(number & 1)
