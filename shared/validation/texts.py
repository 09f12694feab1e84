"""Columns of texts, many of which may be the same one: a dictionary of a megabyte that a million rows point to.

Used by `parquet`. Texts that are the same stay one until it is known how much they come to; loads pyarrow when called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

_REPEATED_BELOW = 32  # stored bytes a text below which many of them must be the same


def is_text(kind: pyarrow.DataType) -> bool:
    """Whether Arrow gives texts for this type."""
    import pyarrow.types as types  # type: ignore[import-untyped]

    if types.is_dictionary(kind):
        return is_text(kind.value_type)
    is_plain = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(is_plain or _is_bytes(kind))


def _is_bytes(kind: pyarrow.DataType) -> bool:
    """Whether Arrow gives bytes: a text that its writer did not call one."""
    import pyarrow.types as types

    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def repeated(group: pyarrow.parquet.RowGroupMetaData, columns: Sequence[int]) -> list[str]:
    """Which of the stored columns hold the same texts many times; roles always do."""
    found = []
    for column in map(group.column, columns):
        is_small = column.total_uncompressed_size < _REPEATED_BELOW * column.num_values
        if is_small and column.has_dictionary_page and column.physical_type == "BYTE_ARRAY":
            found.append(column.path_in_schema)
    return found


def size_of(batch: pyarrow.RecordBatch) -> int:
    """The bytes that the repeated texts of some rows come to."""
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    size = 0
    for array in batch.columns:
        for texts in _repeated_in(array):
            size += pc.sum(pc.binary_length(texts.dictionary).take(texts.indices)).as_py() or 0
    return size


def _repeated_in(array: pyarrow.Array) -> Iterator[pyarrow.DictionaryArray]:
    import pyarrow.types as types

    kind = array.type
    if types.is_dictionary(kind) and is_text(kind):
        yield array
    elif types.is_struct(kind):
        for field in array.flatten():
            yield from _repeated_in(field)
    elif is_list(kind):
        yield from _repeated_in(array.flatten())


def is_list(kind: pyarrow.DataType) -> bool:
    """Whether Arrow gives lists for this type."""
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def as_python(array: pyarrow.Array) -> list[Any]:
    """The values as `to_pylist` gives them; but equal texts are one object, and those nobody uses are not looked at."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    kind = array.type
    if types.is_dictionary(kind):
        used = array.indices.to_pylist()
        words = {at: text_of(array.dictionary[at].as_py()) for at in set(used) if at is not None}
        return list(map(words.get, used))
    if types.is_struct(kind):
        names = [kind.field(at).name for at in range(kind.num_fields)]
        rows = zip(*map(as_python, array.flatten()), strict=True)
        valid = array.is_valid().to_pylist()
        return [
            dict(zip(names, row, strict=True)) if is_valid else None for row, is_valid in zip(rows, valid, strict=True)
        ]
    if is_list(kind):
        flat = iter(as_python(array.flatten()))
        lengths = pc.list_value_length(array).to_pylist()
        return [None if length is None else list(islice(flat, length)) for length in lengths]
    values: list[Any] = array.to_pylist()
    return list(map(text_of, values)) if _is_bytes(kind) else values


def text_of(value: Any) -> Any:
    """A text, of which Arrow may have given the bytes; anything else as it is. Raises UnicodeDecodeError."""
    return value.decode() if isinstance(value, bytes) else value
