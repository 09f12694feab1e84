"""Rows of one batch of Arrow's: all at once if they are plainly good, else a few at once, else each by itself.

Called by `parquet` for each batch of a file. Only what stands out becomes Python values that are looked at one by one;
loads pyarrow when called.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shared.validation import texts
from shared.validation.columns import plain_rows
from shared.validation.policy import Policy
from shared.validation.rows import FEW, CheckedRow, RowBatch, Rows, too_long
from shared.validation.rules import Problem
from shared.validation.turns import TurnChecker

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

READ_BESIDES = ("prompt", "prompt_id")
"""Columns that are read besides the messages."""


def batch_rows(
    batch: pyarrow.RecordBatch, number: int, extras: list[str], turns: TurnChecker, policy: Policy, *, may_be_long: bool
) -> Iterator[Rows]:
    """All at once if they are plainly good, else a few at once, else each by itself."""
    plain = None
    if not may_be_long and batch.num_rows > FEW:
        plain = plain_rows(batch, number, extras, turns, policy)
    if not may_be_long and plain is None:
        plain = plain_values(batch, number, extras, turns, policy)
    if plain is not None:
        yield plain
    elif batch.num_rows > FEW and not may_be_long:
        for at in range(0, batch.num_rows, FEW):
            yield from batch_rows(batch.slice(at, FEW), number + at, extras, turns, policy, may_be_long=False)
    else:
        yield from _careful_rows(batch, number, extras, turns, policy)


def plain_values(
    batch: pyarrow.RecordBatch, number: int, extras: list[str], turns: TurnChecker, policy: Policy
) -> RowBatch | None:
    """As `plain_rows`, over Python values: for few rows, and for texts that are shared."""
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    messages = batch.column("messages")
    spoken = messages.flatten()
    fields = dict(zip(spoken.type.names, spoken.flatten(), strict=True))
    roles, contents = fields.pop("role"), fields.pop("content")
    if messages.null_count or spoken.null_count or any(field.null_count < len(field) for field in fields.values()):
        return None
    names = batch.schema.names
    try:
        counts = pc.list_value_length(messages).to_pylist()
        dialogues = turns.glance(texts.as_python(roles), texts.as_python(contents), counts)
        prompts, prompt_ids = (
            texts.as_python(batch.column(name)) if name in names else [None] * batch.num_rows for name in READ_BESIDES
        )
    except UnicodeDecodeError:
        return None
    if dialogues is None or dialogues.sizes().max() > policy.max_line_bytes:
        return None
    columns = [(*names, *extras)] * batch.num_rows
    return RowBatch(number, [None] * batch.num_rows, dialogues, columns, prompts, prompt_ids)


def _careful_rows(
    batch: pyarrow.RecordBatch, number: int, extras: list[str], turns: TurnChecker, policy: Policy
) -> Iterator[CheckedRow]:
    blank, most = dict.fromkeys(extras), policy.max_line_bytes
    for row_number, value in enumerate(_values(batch), number):
        if isinstance(value, Problem):
            yield CheckedRow(row_number, None, None, None, [value], None)
            continue
        value.update(blank)
        size = _size(value)
        dialogue, problems = (None, [too_long(size, policy)]) if size > most else turns.examine(value)
        yield CheckedRow(row_number, None, value, dialogue, problems, None)


def _size(row: dict[str, Any]) -> int:
    """The bytes of what is said in a row, which is all that a parquet file tells of its length."""
    contents = (turn.get("content") for turn in row["messages"] or () if turn)
    return sum(len(content.encode()) for content in contents if content)


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
    values = texts.as_python(array)
    return list(map(_without_nulls, values)) if name == "messages" else values


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
