"""Rows of a parquet file, a few megabytes at a time. The only module here that loads pyarrow, when called."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from shared.validation.parts import Part
from shared.validation.policy import Policy
from shared.validation.problems import Problem
from shared.validation.reading import FileFault, Meter, Row, sniff, too_long
from shared.validation.sources import Readable, Watched
from shared.validation.turns import Dialogue, Turns

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

_BATCH_BYTES = 4 * 2**20
_MOST_ROWS = 4096
_READ_BESIDES = ("prompt", "prompt_id")


def row_groups(file: Readable) -> int:
    """How many row groups a parquet file has; 1 if it cannot be read, which whoever reads it will tell."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        return int(pq.ParquetFile(file).num_row_groups)
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError):
        return 1


def parquet_rows(part: Part, file: Watched, turns: Turns, policy: Policy, meter: Meter) -> Iterator[Row]:
    """Rows of a parquet file. Extra columns but prompt and prompt_id are named and not read."""
    import pyarrow as pa

    try:
        yield from _rows(part, file, turns, policy, meter)
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as damage:
        file.raise_failure()
        raise FileFault("file-unreadable", _first_line(damage), "a whole parquet file") from damage


def _rows(part: Part, file: Watched, turns: Turns, policy: Policy, meter: Meter) -> Iterator[Row]:
    import pyarrow.parquet as pq

    sniff(file.read(16), "parquet")
    file.seek(0)
    reader = pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
    names = reader.schema_arrow.names
    _check_columns(reader.schema_arrow)
    columns = ["messages", *(name for name in _READ_BESIDES if _is_worth_reading(reader.schema_arrow, name))]
    extras = [name for name in names if name not in columns]
    groups = range(part.start, reader.num_row_groups if part.end is None else part.end)
    number = 1
    for at in groups:
        group = reader.metadata.row_group(at)
        meter.add(group.total_byte_size, max(part.source.size, 1))
        size = max(1, min(_MOST_ROWS, _BATCH_BYTES * group.num_rows // max(group.total_byte_size, 1)))
        for batch in reader.iter_batches(batch_size=size, row_groups=[at], columns=columns, use_threads=False):
            file.beat()
            yield from _batch_rows(batch, number, extras, turns, policy)
            number += batch.num_rows


def _first_line(damage: BaseException) -> str:
    """What Arrow says, to be put inside a sentence: so without a full stop."""
    return (str(damage).splitlines() or [type(damage).__name__])[0][:120].rstrip(".")


def _check_columns(schema: pyarrow.Schema) -> None:
    import pyarrow.types as types  # type: ignore[import-untyped]

    expected = "list<struct<role: string, content: string>>"
    if schema.names.count("messages") != 1:
        shown = ", ".join(name[:40] for name in schema.names[:8]) or "none"
        raise FileFault("messages-column-missing", f"columns {shown}", "one column messages")
    kind = schema.field("messages").type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        turn = kind.value_type
        if types.is_struct(turn):
            fields = {turn.field(at).name: turn.field(at).type for at in range(turn.num_fields)}
            if all(name in fields and is_text(fields[name]) for name in ("role", "content")):
                return
    raise FileFault("messages-column-type", str(kind)[:120], expected)


def is_text(kind: pyarrow.DataType) -> bool:
    """Whether Arrow gives texts for this type."""
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_worth_reading(schema: pyarrow.Schema, name: str) -> bool:
    import pyarrow.types as types

    if schema.names.count(name) != 1:
        return False
    kind = schema.field(name).type
    return is_text(kind) or bool(types.is_integer(kind))


def _batch_rows(
    batch: pyarrow.RecordBatch, number: int, extras: list[str], turns: Turns, policy: Policy
) -> Iterator[Row]:
    blank = dict.fromkeys(extras)
    for at, value in enumerate(_values(batch)):
        row_number = number + at
        if isinstance(value, Problem):
            yield Row(row_number, None, None, None, [value], None)
            continue
        value.update(blank)
        dialogue = turns.glance(value["messages"])
        problems: list[Problem] = []
        if dialogue is None:
            dialogue, problems = turns.examine(value)
        if dialogue is not None and (size := _size(dialogue, policy.max_line_bytes)) > policy.max_line_bytes:
            dialogue, problems = None, [too_long(size, policy)]
        yield Row(row_number, None, value, dialogue, problems, None)


def _size(dialogue: Dialogue, enough: int) -> int:
    """The bytes of a dialogue; no more than `enough` is said of one that is surely shorter."""
    characters = len(dialogue.text)
    return enough if 4 * characters <= enough else len(dialogue.text.encode())


def _values(batch: pyarrow.RecordBatch) -> Iterator[dict[str, Any] | Problem]:
    try:
        columns = [_column(batch.column(at), name) for at, name in enumerate(batch.schema.names)]
    except UnicodeDecodeError:
        for at in range(batch.num_rows):
            yield _single(batch.slice(at, 1))
        return
    for values in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, values, strict=True))


def _single(row: pyarrow.RecordBatch) -> dict[str, Any] | Problem:
    try:
        value: dict[str, Any] = {name: _column(row.column(at), name)[0] for at, name in enumerate(row.schema.names)}
    except UnicodeDecodeError as wrong:
        found = f"byte {wrong.object[wrong.start]:#04x} at byte {wrong.start + 1} of a text"
        return Problem("invalid-utf8", None, found, "UTF-8")
    return value


def _column(array: pyarrow.Array, name: str) -> list[Any]:
    return _dialogues(array) if name == "messages" else array.to_pylist()


def _dialogues(array: pyarrow.Array) -> list[Any]:
    """Lists of turns. The usual shape (role and content, nothing null) is put together column by column."""
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    turns = array.flatten()
    if array.null_count or turns.null_count or turns.type.num_fields != 2:
        return [_without_nulls(row) for row in array.to_pylist()]
    roles = pc.struct_field(turns, "role").to_pylist()
    contents = pc.struct_field(turns, "content").to_pylist()
    flat = [{"content": content, "role": role} for role, content in zip(roles, contents, strict=True)]
    ends = [0]
    for length in pc.list_value_length(array).to_pylist():
        ends.append(ends[-1] + length)
    return [flat[start:end] for start, end in pairwise(ends)]


def _without_nulls(row: list[Any] | None) -> list[Any] | None:
    """Fields that are null are as good as absent, but for role and content."""
    if row is None:
        return None
    return [
        turn
        if turn is None
        else {name: value for name, value in turn.items() if value is not None or name in ("role", "content")}
        for turn in row
    ]
