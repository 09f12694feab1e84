"""Looks at a parquet footer before Arrow does, for what makes Arrow end the process instead of raising.

Asked for a column of a row group, Arrow compares the column's size statistics with the schema, and a contradiction is a
C++ exception that pyarrow 26 does not translate (`RowGroupMetaData.column`). So a few damaged bytes in a dropped file
could take the whole worker down. The rules are those of `ColumnChunkMetaData` and `SizeStatistics::Validate` in Arrow;
the numbers of fields are those of parquet.thrift, written in Thrift's compact protocol (`thrift`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.validation.sources import Readable
from shared.validation.thrift import Compact

if TYPE_CHECKING:
    import pyarrow.parquet  # type: ignore[import-untyped]

_ROW_GROUPS, _COLUMNS = 4, 1
_META_DATA, _CRYPTO = 3, 8
_CODEC, _SIZE_STATISTICS = 4, 16
_CODECS = 8
_BYTES, _REPETITIONS, _DEFINITIONS = 1, 2, 3
_WANTED = {
    _META_DATA: {_CODEC: None, _SIZE_STATISTICS: {_BYTES: None, _REPETITIONS: None, _DEFINITIONS: None}},
    _CRYPTO: {},
}
# Arrow makes objects of a footer, some 30 times as large: only so many bytes, and this share of the file's, are read.
_MOST_BYTES, _SHARE = 4 * 2**20, 1 / 8


class _Leaf(NamedTuple):
    """What the schema says of a column."""

    path: str
    repetitions: int
    definitions: int
    is_bytes: bool


def read(file: Readable) -> bytes:
    """The footer of a file. Raises ValueError for one that is too long, or that no file can have."""
    size = file.seek(0, 2)
    if size < 12:
        raise ValueError(f"a file of {size} bytes has no footer")
    file.seek(size - 8)
    length = int.from_bytes(_read(file, 4), "little")
    if length > size - 8:
        raise ValueError("the footer is longer than the file")
    if length > _MOST_BYTES + size * _SHARE:
        raise ValueError(f"the footer has {length} bytes, far more than the rows need")
    file.seek(size - 8 - length)
    return _read(file, length)


def _read(file: Readable, size: int) -> bytes:
    """So many bytes: one read may give fewer."""
    found = b""
    while len(found) < size and (more := file.read(size - len(found))):
        found += more
    return found


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
    def check_group(reader: Compact) -> None:
        read = 0

        def check_column(reader: Compact) -> None:
            nonlocal read
            column = reader.struct(_WANTED)
            if read < len(leaves):
                _check_column(column, leaves[read])
            read += 1

        columns = reader.struct({_COLUMNS: check_column}).get(_COLUMNS) or 0
        if not columns == read == len(leaves):
            raise ValueError(f"a row group has {columns} columns, and the schema {len(leaves)}")

    try:
        Compact(footer).struct({_ROW_GROUPS: check_group})
    except ValueError as wrong:
        raise ValueError(f"the footer: {wrong}") from wrong


def _check_column(column: dict[int, Any], leaf: _Leaf) -> None:
    if _CRYPTO in column:
        raise ValueError(f"column {leaf.path} is encrypted")
    metadata = column.get(_META_DATA) or {}
    if not 0 <= metadata.get(_CODEC, 0) < _CODECS:
        raise ValueError(f"column {leaf.path} is compressed in an unknown way")
    sizes = metadata.get(_SIZE_STATISTICS) or {}
    levels = {_REPETITIONS: leaf.repetitions, _DEFINITIONS: leaf.definitions}
    has_wrong_levels = any(sizes.get(field) and len(sizes[field]) != most + 1 for field, most in levels.items())
    if has_wrong_levels or (_BYTES in sizes and not leaf.is_bytes):
        raise ValueError(f"the size statistics of column {leaf.path} contradict the schema")
