"""Rows of a parquet file, a few megabytes at a time. Loads pyarrow when called.

A few kilobytes of parquet can stand for gigabytes: endless lists of nothing, texts that many rows share. So the footer
is asked first, and texts stay shared (`texts`) until it is known how much they come to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shared.validation import footer, texts
from shared.validation.batches import READ_BESIDES, batch_rows
from shared.validation.columns import plain_rows
from shared.validation.lines import READ_SIZE
from shared.validation.pages import VALUE_BYTES, MustStayShared, PageWatch
from shared.validation.policy import Policy
from shared.validation.rows import (
    ByteMeter,
    FileRefused,
    Rows,
    check_expansion,
    sniff,
)
from shared.validation.shapes import HEAD_BYTES, text_kind
from shared.validation.sources import Chunk, Readable, WatchedFile
from shared.validation.turns import TurnChecker

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

_BATCH_BYTES = 4 * 2**20
_MOST_ROWS = 4096
_PIECES = (2 * _BATCH_BYTES, 2**20, READ_SIZE)
"""Bytes that are looked at as columns: all of a batch, as a call of Arrow takes as long as many texts, or fewer."""
_BUFFER = 2 * 2**20  # holds the dictionary of a page of a megabyte, so that it is not read twice
_MAGIC = b"PAR1"


def row_groups(file: Readable) -> int:
    """How many row groups a parquet file has; 1 if it cannot be read, which whoever reads it will tell."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer.read(file)
        file.seek(0)
        return int(pq.ParquetFile(file).num_row_groups)
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError):
        return 1


def parquet_rows(
    chunk: Chunk, file: WatchedFile, turns: TurnChecker, policy: Policy, meter: ByteMeter
) -> Iterator[Rows]:
    """Rows of a parquet file. Extra columns but prompt and prompt_id are named and not read."""
    import pyarrow as pa

    try:
        yield from _rows(chunk, file, turns, policy, meter)
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as damage:
        file.raise_failure()
        if not file.start.startswith(_MAGIC) and (found := text_kind(file.beginning(HEAD_BYTES))):
            raise FileRefused("file-format", found, "parquet") from damage
        raise FileRefused("file-unreadable", _first_line(damage), "a whole parquet file") from damage


def _rows(chunk: Chunk, file: WatchedFile, turns: TurnChecker, policy: Policy, meter: ByteMeter) -> Iterator[Rows]:
    opened = _Opened(chunk, file, policy)
    number = 1
    for group in range(chunk.start, opened.metadata.num_row_groups if chunk.end is None else chunk.end):
        stored = opened.metadata.row_group(group)
        meter.add(max(0, stored.total_byte_size), chunk.source.size)
        decoded = 0
        for batch in map(_as_list, opened.batches(group)):
            file.beat()
            repeated = texts.size_of(batch)
            decoded += repeated + batch.nbytes
            check_expansion(decoded, chunk.source.size, policy)
            if repeated > policy.max_line_bytes:
                for start, few in _slices(batch, READ_SIZE):
                    yield from batch_rows(few, number + start, opened.extras, turns, policy, may_be_long=True)
            else:
                yield from _piece_rows(batch, number, opened.extras, turns, policy)
            number += batch.num_rows


def _piece_rows(
    batch: pyarrow.RecordBatch,
    number: int,
    extras: list[str],
    turns: TurnChecker,
    policy: Policy,
    sizes: Sequence[int] = _PIECES,
) -> Iterator[Rows]:
    """As many rows at once as are plainly good; where one stands out, those around it in smaller pieces."""
    size, *smaller = sizes
    for start, piece in _slices(batch, size):
        at = number + start
        if not smaller:
            is_long = piece.nbytes > policy.max_line_bytes
            yield from batch_rows(piece, at, extras, turns, policy, may_be_long=is_long)
        elif (plain := plain_rows(piece, at, extras, turns, policy)) is not None:
            yield plain
        else:
            left = [few for few in smaller if few < piece.nbytes] or smaller[-1:]
            yield from _piece_rows(piece, at, extras, turns, policy, left)


class _Opened:
    """A parquet file whose footer was found to be fit to be read."""

    def __init__(self, chunk: Chunk, file: WatchedFile, policy: Policy) -> None:
        import pyarrow.parquet as pq

        sniff(file.read(16), "parquet")
        stored = chunk.source.size
        footer_bytes = footer.read(file)
        file.seek(0)
        whole = pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
        self.metadata, schema = whole.metadata, whole.schema_arrow
        footer.check(footer_bytes, self.metadata)
        _check_columns(schema, chunk.source.path)
        self._columns = ["messages", *(name for name in READ_BESIDES if _is_worth_reading(schema, name))]
        self.extras = [name for name in schema.names if name not in self._columns]
        self._leaves = _leaves(self.metadata, self._columns)
        _check_size(self.metadata, self._leaves, stored, policy)
        self._file, self._pages = file, PageWatch(file, stored, policy)
        self._readers: dict[tuple[str, ...], pq.ParquetFile] = {}

    def batches(self, group: int) -> Iterator[pyarrow.RecordBatch]:
        """The rows of a row group, some megabytes at a time.

        Where a column turns out to repeat long texts, the group is read again with its texts shared, from the
        row it was at.
        """
        stored = self.metadata.row_group(group)
        shared = tuple(texts.repeated(stored, self._leaves))
        given = 0
        while True:
            try:
                for batch, end in self._batches_with(shared, group):
                    if end > given:
                        new = batch.slice(max(0, given - end + batch.num_rows))
                        given = end
                        yield new
                return
            except Exception:
                if not isinstance(repeats := self._file.failure, MustStayShared) or repeats.path in shared:
                    raise
                self._file.failure = None
                shared = (*shared, repeats.path)

    def _batches_with(self, shared: tuple[str, ...], group: int) -> Iterator[tuple[pyarrow.RecordBatch, int]]:
        """The batches of a row group from its start, with these columns shared; each with the rows up to its end."""
        stored = self.metadata.row_group(group)
        rows = max(1, min(_MOST_ROWS, _BATCH_BYTES * stored.num_rows // max(stored.total_byte_size, 1)))
        self._pages.expect(self.metadata, group, self._leaves, shared)
        end = 0
        for batch in self._reader(shared).iter_batches(
            rows, row_groups=[group], columns=self._columns, use_threads=False
        ):
            self._pages.given()
            end += batch.num_rows
            yield batch, end

    def _reader(self, shared: tuple[str, ...]) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        if shared not in self._readers:
            try:
                self._readers[shared] = pq.ParquetFile(
                    self._pages, metadata=self.metadata, pre_buffer=False, buffer_size=_BUFFER, read_dictionary=shared
                )
            except KeyError as unknown:
                raise ValueError(f"row groups have column {unknown}, and the schema has not") from unknown
        return self._readers[shared]


def _slices(batch: pyarrow.RecordBatch, size: int) -> Iterator[tuple[int, pyarrow.RecordBatch]]:
    """A batch in pieces of about so many bytes, each with the place of its first row."""
    step = max(1, batch.num_rows * size // max(batch.nbytes, size))
    for start in range(0, batch.num_rows, step):
        yield start, batch.slice(start, step)


def _leaves(metadata: pyarrow.parquet.FileMetaData, columns: list[str]) -> list[int]:
    """The stored columns that are read: those below `messages`, and others."""
    if not metadata.num_row_groups:
        return []
    group = metadata.row_group(0)
    paths = (group.column(at).path_in_schema for at in range(group.num_columns))
    return [at for at, path in enumerate(paths) if path.split(".", 1)[0] in columns]


def _check_size(metadata: pyarrow.parquet.FileMetaData, leaves: list[int], stored: int, policy: Policy) -> None:
    """Stop before anything is read of a file that says itself that it holds too much."""
    if metadata.num_rows > policy.max_rows:
        raise FileRefused("too-many-rows", f"{metadata.num_rows} rows", f"at most {policy.max_rows}")
    size = 0
    for at in range(metadata.num_row_groups):
        group = metadata.row_group(at)
        values = sum(max(0, group.column(leaf).num_values) for leaf in leaves)
        plain = sum(max(0, group.column(leaf).total_uncompressed_size) for leaf in leaves)
        size += max(0, group.total_byte_size, plain) + VALUE_BYTES * values
    check_expansion(size, stored, policy)


def _first_line(damage: BaseException) -> str:
    """What Arrow says, to be put inside a sentence: so without a full stop."""
    return (str(damage).splitlines() or [type(damage).__name__])[0][:120].rstrip(".")


def _check_columns(schema: pyarrow.Schema, path: str) -> None:
    import pyarrow.types as types  # type: ignore[import-untyped]

    expected = "list<struct<role: string, content: string>>"
    if schema.names.count("messages") != 1:
        shown = ", ".join(name[:40] for name in schema.names[:8]) or "none"
        raise FileRefused(
            "messages-column-missing", *_with_shape(f"columns {shown}", "one column messages", schema, path)
        )
    kind = schema.field("messages").type
    if texts.is_list(kind) or _is_list_view(kind):
        turn = kind.value_type
        if types.is_struct(turn):
            fields = [turn.field(at) for at in range(turn.num_fields)]
            wanted = [field for field in fields if field.name in ("role", "content")]
            each_once = len(wanted) == 2 and {field.name for field in wanted} == {"role", "content"}
            if each_once and all(texts.is_text(field.type) for field in wanted):
                return
    raise FileRefused("messages-column-type", *_with_shape(str(kind)[:120], expected, schema, path))


def _with_shape(found: str, expected: str, schema: pyarrow.Schema, path: str) -> tuple[str, str]:
    """What was found and expected, with the format that the columns look like and the command that converts it."""
    from shared.validation.column_shapes import columns_shape

    shape = columns_shape(schema, path)
    return (f"{found}, which looks like {shape.found}", f"{expected}; {shape.fix}") if shape else (found, expected)


def _is_list_view(kind: pyarrow.DataType) -> bool:
    import pyarrow.types as types

    return bool(types.is_list_view(kind) or types.is_large_list_view(kind))


def _as_list(batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
    """The same rows with `messages` as a plain list, which is what everything else here reads."""
    import pyarrow as pa

    at = batch.schema.get_field_index("messages")
    kind = batch.schema.field(at).type
    if not _is_list_view(kind):
        return batch
    return batch.set_column(at, "messages", batch.column(at).cast(pa.large_list(kind.value_type)))


def _is_worth_reading(schema: pyarrow.Schema, name: str) -> bool:
    import pyarrow.types as types

    if schema.names.count(name) != 1:
        return False
    kind = schema.field(name).type
    return texts.is_text(kind) or bool(types.is_integer(kind))
