"""Chunks with their results in reading order, and what they add up to: files, counts, places. Used by `fold`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from shared.chatdata.splits import Split
from shared.validation.chunks import Allowance, ChunkLocation, ChunkResult, StopReason
from shared.validation.digests import RowRef
from shared.validation.policy import Policy
from shared.validation.report import FileSummary, Location
from shared.validation.rules import TOO_MANY_BAD
from shared.validation.sources import Chunk, Source

OVER = ("too-large", "too-many-rows")


def within_limits(
    chunks: Iterable[Chunk],
    policy: Policy,
    inspect_first: Callable[[Chunk, Allowance], ChunkResult],
    again: Callable[[Chunk, Allowance], ChunkResult],
) -> Iterator[tuple[Chunk, ChunkResult]]:
    """The results that count: none after the limits of the snapshot were met, none of a file after damage in it.

    `inspect_first` may have read its chunk without knowing how much room was left. If that was too much, `again` reads
    the chunk with just that room, so that the report is what one reader from front to end would have written.
    """
    room = Allowance(policy.max_rows, policy.max_total_bytes, 0)
    broken: Source | None = None
    read: Source | None = None
    for chunk in chunks:
        if chunk.source is broken:
            continue
        if chunk.source is not read:
            read, room = chunk.source, room._replace(bad=policy.bad_rows_of(chunk.source.size))
        if chunk.source.known_format == "jsonl" and chunk.start == 0 and chunk.source.size > room.size:
            most = f"at most {policy.max_total_bytes} bytes"
            yield chunk, ChunkResult(fault=StopReason("too-large", f"{chunk.source.size} more bytes", most))
            return
        result = inspect_first(chunk, room)
        if (
            result.rows > room.rows + 1
            or result.bad > room.bad + 1
            or (_is_too_much(result, room) and not result.fault)
        ):
            result = again(chunk, room)
        yield chunk, result
        if result.fault:
            if result.fault.rule in OVER:
                return
            broken = chunk.source
        room = Allowance(room.rows - result.rows, room.size - result.bytes_out, room.bad - result.bad)


def _is_too_much(result: ChunkResult, room: Allowance) -> bool:
    return result.rows > room.rows or result.bytes_out > room.size or result.bad > room.bad


@dataclass(slots=True)
class FileOutcome:
    """One file, and what was found out about it as a whole."""

    source: Source
    results: list[ChunkResult] = field(default_factory=list)
    fault: StopReason | None = None

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(result.rows for result in self.results)

    @property
    def bad(self) -> int:
        """Rows with an error."""
        return sum(result.bad for result in self.results)

    @property
    def columns(self) -> list[str] | None:
        """Columns of the first good row, which stands for all."""
        return next((result.columns for result in self.results if result.columns is not None), None)

    def summary(self) -> FileSummary:
        """What the report says of it."""
        source = self.source
        return FileSummary(
            file=source.path,
            split=source.split,
            format=source.known_format,
            size=source.size,
            rows=self.rows,
            bad_rows=self.bad,
            blank_lines=sum(result.blank for result in self.results),
        )


class OrderedResults:
    """All chunks that count, with their results."""

    def __init__(self, counted: Iterable[tuple[Chunk, ChunkResult]]) -> None:
        self.results: list[ChunkResult] = []
        self.files: list[FileOutcome] = []
        self._file_of: list[FileOutcome] = []
        self._lines_before: list[int] = []
        for chunk, result in counted:
            self._append(chunk, result)
        for file in self.files:
            if file.fault is not None and file.fault.rule == TOO_MANY_BAD:  # a chunk knows only of its own rows
                found = f"{file.bad} bad rows in the first {file.rows}"
                file.fault = StopReason(TOO_MANY_BAD, found, file.fault.expected)
            if file.fault is None and file.rows == 0:
                file.fault = StopReason("file-empty", f"{file.source.size} bytes, no row", "at least one row")

    def _append(self, chunk: Chunk, result: ChunkResult) -> None:
        before = 0
        if self.files and self.files[-1].source is chunk.source:
            before = self._lines_before[-1] + self.results[-1].lines
        else:
            self.files.append(FileOutcome(chunk.source))
        file = self.files[-1]
        file.results.append(result)
        file.fault = file.fault or result.fault
        self.results.append(result)
        self._file_of.append(file)
        self._lines_before.append(before)

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(result.rows for result in self.results)

    @property
    def bad(self) -> int:
        """Rows with an error."""
        return sum(result.bad for result in self.results)

    def source(self, chunk: int) -> Source:
        """The file a chunk is of."""
        return self._file_of[chunk].source

    def split(self, chunk: int) -> Split:
        """The split a chunk was dropped as; without a name it is trained on."""
        return self.source(chunk).split or "train"

    def row(self, chunk: int, row: int) -> int:
        """The number in its file of a row of a chunk."""
        return self._lines_before[chunk] + row

    def at(self, chunk: int, spot: ChunkLocation) -> Location:
        """A spot of a chunk as the report shows it."""
        source = self.source(chunk)
        return Location(
            split=source.split,
            file=source.path,
            row=None if spot.row is None else self.row(chunk, spot.row),
            byte_offset=spot.byte_offset,
            path=spot.path,
            found=spot.found,
            expected=spot.expected,
        )

    def name_earlier(self, chunk: int, first: RowRef, what: str) -> str:
        """Name an earlier row, seen from a later chunk."""
        source = self.source(first.chunk)
        where = "" if source is self.source(chunk) else f" of {source.path[-60:]}"
        return f"{what} row {self.row(first.chunk, first.row)}{where}"

    def packed(self, split: Split) -> list[bytes]:
        """The row hashes of the chunks of one split."""
        return [result.digests for at, result in enumerate(self.results) if self.split(at) == split]

    def __iter__(self) -> Iterator[tuple[int, ChunkResult]]:
        return enumerate(self.results)
