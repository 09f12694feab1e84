"""Looks at a parquet footer before Arrow does, for what makes Arrow end the process, or take all memory, not raise.

Asked for a column of a row group, Arrow compares the column's size statistics with the schema, and a contradiction is a
C++ exception that pyarrow 26 does not translate (`RowGroupMetaData.column`). So a few damaged bytes in a dropped file
could take the whole worker down. The rules are those of `ColumnChunkMetaData` and `SizeStatistics::Validate` in Arrow;
the numbers of fields are those of parquet.thrift, written in Thrift's compact protocol (`thrift`).
"""

from __future__ import annotations

import re
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
_FEW_BYTES, _SHARE, _MOST_BYTES = 4 * 2**20, 1 / 8, 64 * 2**20
"""So many bytes of a footer are read in any case, of more only this share of the file's, and never more than these."""
_OLD_WRITER = re.compile(r"parquet-mr(?!(?: version)? (?:1\.(?:[3-9]|\d\d)|[2-9]|\d\d)\.)", re.IGNORECASE)
"""One whose pages may go on behind their end, so Arrow reads on there: from before 2013."""


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
    if length > min(_FEW_BYTES + size * _SHARE, _MOST_BYTES):
        raise ValueError(f"the footer has {length} bytes, far more than the rows need")
    file.seek(size - 8 - length)
    footer = _read(file, length)
    _walk(footer, None)
    return footer


def _read(file: Readable, size: int) -> bytes:
    """So many bytes: one read may give fewer."""
    found = bytearray()
    while len(found) < size and (more := file.read(size - len(found))):
        found += more
    return bytes(found)


def check(footer: bytes, metadata: pyarrow.parquet.FileMetaData) -> None:
    """Raise ValueError if a row group contradicts the schema, in words that fit after "the file is unreadable:"."""
    if _OLD_WRITER.match(metadata.created_by or ""):
        raise ValueError("written by a version of parquet-mr from before 2013; write it again")
    columns = map(metadata.schema.column, range(len(metadata.schema)))
    leaves = tuple(
        _Leaf(leaf.path, leaf.max_repetition_level, leaf.max_definition_level, leaf.physical_type == "BYTE_ARRAY")
        for leaf in columns
    )
    _walk(footer, leaves)


@lru_cache(maxsize=4)  # a large file is read piece by piece, each time with the same footer
def _walk(footer: bytes, leaves: tuple[_Leaf, ...] | None) -> None:
    """Read a whole footer, and hold each column to the leaf of the schema that it belongs to."""

    def walk_group(reader: Compact) -> None:
        read = 0

        def walk_column(reader: Compact) -> None:
            nonlocal read
            column = reader.struct(_WANTED)
            if leaves is not None and read < len(leaves):
                _check_column(column, leaves[read])
            read += 1

        columns = reader.struct({_COLUMNS: walk_column}).get(_COLUMNS) or 0
        if leaves is not None and not columns == read == len(leaves):
            raise ValueError(f"a row group has {columns} columns, and the schema {len(leaves)}")

    try:
        Compact(footer).struct({_ROW_GROUPS: walk_group})
    except (ValueError, TypeError, AttributeError) as wrong:  # or a number where a struct belongs
        reason = str(wrong) if isinstance(wrong, ValueError) else "not as parquet describes it"
        raise ValueError(f"the footer: {reason}") from wrong


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
