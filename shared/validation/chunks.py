"""A snapshot cut into chunks that can be read on their own, in any order and by anybody; and what each of them left.

A chunk is a whole file, a range of bytes of a JSONL file, or a range of row groups of a parquet file. A range of bytes
owns the lines that start in it, so ranges may be cut anywhere and every line still has one owner. Chunks of a gzip file
are the exception: they are read one after the other, as only who has read one knows where the next begins.

What a chunk leaves (`ChunkResult`) can be added up: counts, places, statistics and row hashes. It can be pickled
(between processes) and written as MessagePack (between instances). Rows count from 1 within the chunk; only the fold
knows what came before.
Nothing in it grows with the rows but the hashes, 28 bytes a good row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec

from shared.chatdata.splits import Split
from shared.validation.measures import Measures
from shared.validation.rules import Problem
from shared.validation.sources import Chunk, Source

_ORDER: dict[Split | None, int] = {"test": 0, "validation": 1, "train": 2, None: 2}


def in_reading_order(sources: Sequence[Source]) -> list[Source]:
    """Held-out files first, so that a dialogue found in both is taken from the training rows."""
    return sorted(sources, key=lambda source: _ORDER[source.split])


def whole_files(sources: Sequence[Source]) -> list[Chunk]:
    """One chunk a file, in reading order."""
    return [Chunk(source) for source in in_reading_order(sources)]


def cut_into_chunks(
    sources: Sequence[Source], size: int, groups_of: Callable[[Source], int] | None = None, zipped: bool = False
) -> Iterator[Chunk]:
    """Chunks of about `size` bytes, in reading order. `zipped`: gzip files are cut as well, by what is in them.

    `groups_of`: how many row groups a parquet file has; without it each large one is opened.
    """
    for source in in_reading_order(sources):
        if source.known_format == "jsonl":
            yield from _cut(source, source.size, size)
        elif source.known_format == "jsonl.gz" and zipped:
            yield from _cut(source, source.size, max(1, size * source.size // max(1, source.text_size)))
        elif is_cut_by_groups(source, size):
            groups = (groups_of or row_groups)(source)
            yield from _cut(source, groups, max(1, groups * size // source.size))
        else:
            yield Chunk(source)


def _cut(source: Source, total: int, step: int) -> Iterator[Chunk]:
    if total <= step:
        yield Chunk(source)
        return
    count = -(-total // step)
    bounds = [total * at // count for at in range(count)]
    for start, end in zip(bounds, [*bounds[1:], None], strict=True):
        yield Chunk(source, start, end)


def is_cut_by_groups(source: Source, size: int) -> bool:
    """Whether it is a parquet file that is larger than one chunk."""
    return source.known_format == "parquet" and source.size > size


def row_groups(source: Source) -> int:
    """How many row groups a parquet file has; 1 if it cannot be read, which whoever reads it will tell."""
    from shared.validation import parquet

    file = source.open()
    try:
        return parquet.row_groups(file)
    finally:
        file.close()


class Allowance(NamedTuple):
    """How much more may be read: what is left of the limits after the chunks before."""

    rows: int
    size: int
    bad: int
    """Bad rows of the file."""


class ChunkLocation(NamedTuple):
    """Where a rule was broken, in a chunk."""

    row: int | None
    byte_offset: int | None
    path: str | None
    found: str
    expected: str


class RuleHits(msgspec.Struct):
    """How often a rule was broken in a chunk, and the first places."""

    count: int = 0
    spots: list[ChunkLocation] = []
    fix: str = ""
    """How to mend it, where more is known than the rule says by itself; that of the first place."""


class StopReason(msgspec.Struct):
    """Why the reading of a chunk ended before its end."""

    rule: str
    found: str
    expected: str


class UndecidedRow(msgspec.Struct):
    """A row that a top-up of the held-out splits may yet move: with the lowest places of its region."""

    place: float
    data: bytes


class StagedBlocks(msgspec.Struct):
    """What a chunk staged: blocks by split and bucket, and the rows it could not assign by itself."""

    rows: dict[Split, int] = {}
    blocks: dict[Split, list[list[str]]] = {}
    cut_rows: int = 0
    below: dict[str, int] = {}
    held: list[UndecidedRow] = []


class ChunkResult(msgspec.Struct):
    """Everything there is to know about a chunk."""

    rows: int = 0
    bad: int = 0
    blank: int = 0
    bytes_out: int = 0
    """After decompression."""
    fault: StopReason | None = None
    findings: dict[str, RuleHits] = {}
    columns: list[str] | None = None
    """Of the first good row."""
    answer: bytes | None = None
    """Hash of the last answer, of all answers if `answers_differ` is false."""
    answers_differ: bool = False
    digests: bytes = b""
    """Hash and place of each good row, sorted: see `digests`."""
    prompts: bytes = b""
    """Hash of the prompt_id and place of each good row that has one."""
    measures: Measures = msgspec.field(default_factory=Measures)
    staged: StagedBlocks = msgspec.field(default_factory=StagedBlocks)
    text_end: int | None = None
    """Of a chunk of gzip: where the text of the next one begins; None when there is none."""

    @property
    def lines(self) -> int:
        """By how many the numbers of the rows after this chunk are higher."""
        return self.rows + self.blank

    @property
    def good(self) -> int:
        """Rows without an error, repeated ones included."""
        return self.rows - self.bad


def going_on(chunk: Chunk, before: ChunkResult, end: int | None = None) -> Chunk:
    """A chunk whose text begins where that of the one before it ended, and ends there if that is known."""
    start = before.text_end
    return replace(chunk, text=(0, 0) if start is None else (start, end))


def with_known_text(chunks: Sequence[Chunk], results: Sequence[ChunkResult]) -> list[Chunk]:
    """The chunks with the text that each turned out to have, so that each can be read again by itself."""
    befores = [ChunkResult(text_end=0), *results]
    return [
        going_on(chunk, before, result.text_end) if chunk.goes_on else replace(chunk, text=(0, result.text_end))
        for chunk, before, result in zip(chunks, befores, results, strict=False)
    ]


class FindingCounter:
    """Counts broken rules and keeps the first places of each; 0 places keeps all."""

    def __init__(self, places: int) -> None:
        self._limit = places
        self.findings: dict[str, RuleHits] = {}

    def add(self, problem: Problem, row: int | None, offset: int | None) -> None:
        """Count a problem found at a row."""
        found = self.findings.get(problem.rule)
        if found is None:
            found = self.findings[problem.rule] = RuleHits(fix=problem.fix)
        found.count += 1
        if len(found.spots) < self._limit or not self._limit:
            where = None if offset is None else offset + problem.shift
            found.spots.append(ChunkLocation(row, where, problem.path, problem.found, problem.expected))
