"""What a parquet file is, whose columns are not those of dialogues: told by the schema alone. Asked by `parquet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.conversion import recognise
from shared.validation import texts
from shared.validation.row_shapes import RowShape, conversion, titles

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

_MOST_COLUMNS = 64
_DEEPEST = 4


def columns_shape(schema: pyarrow.Schema, path: str) -> RowShape | None:
    """The format that rows with these columns are in, if it is a known one."""
    fields = [schema.field(at) for at in range(min(len(schema), _MOST_COLUMNS))]
    rows = [{field.name: _example(field.type) for field in fields}]
    found = recognise(rows)
    return RowShape(titles(found, rows), conversion(found, rows, path).rstrip(".")) if found else None


def _example(kind: pyarrow.DataType, depth: int = 0) -> Any:
    """A value of a type: recognition asks for no more."""
    import pyarrow.types as types  # type: ignore[import-untyped]

    if texts.is_text(kind):
        return "x"
    if depth == _DEEPEST:
        return None
    if texts.is_list(kind):
        return [_example(kind.value_type, depth + 1)] * 2
    if types.is_struct(kind):
        return {kind.field(at).name: _example(kind.field(at).type, depth + 1) for at in range(kind.num_fields)}
    return True if types.is_boolean(kind) else None
