"""A snapshot cut into parts that can be read on their own, in any order and by anybody.

A part is a whole file, a range of bytes of a JSONL file, or a range of row groups of a parquet file. A range of bytes
owns the lines that start in it, so ranges may be cut anywhere and every line still has one owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.chatdata.splits import Split
from shared.validation.sources import Source

_ORDER: dict[Split | None, int] = {"test": 0, "validation": 1, "train": 2, None: 2}


@dataclass(frozen=True, slots=True)
class Part:
    """One file, or the piece of it from `start` up to `end`: bytes of JSONL, row groups of parquet."""

    source: Source
    start: int = 0
    end: int | None = None


def in_reading_order(sources: Sequence[Source]) -> list[Source]:
    """Held-out files first, so that a dialogue found in both is taken from the training rows."""
    return sorted(sources, key=lambda source: _ORDER[source.split])


def whole(sources: Sequence[Source]) -> list[Part]:
    """One part a file, in reading order."""
    return [Part(source) for source in in_reading_order(sources)]


def pieces(sources: Sequence[Source], size: int) -> Iterator[Part]:
    """Parts of about `size` bytes, in reading order. A gzip file cannot be cut."""
    for source in in_reading_order(sources):
        if source.known_format == "jsonl":
            yield from _cut(source, source.size, size)
        elif source.known_format == "parquet" and source.size > size:
            groups = _row_groups(source)
            yield from _cut(source, groups, max(1, groups * size // source.size))
        else:
            yield Part(source)


def _cut(source: Source, total: int, step: int) -> Iterator[Part]:
    if total <= step:
        yield Part(source)
        return
    count = -(-total // step)
    bounds = [total * at // count for at in range(count)]
    for start, end in zip(bounds, [*bounds[1:], None], strict=True):
        yield Part(source, start, end)


def _row_groups(source: Source) -> int:
    """How many row groups a parquet file has; 1 if it cannot be read, which whoever reads it will tell."""
    from shared.validation.parquet import row_groups

    file = source.open()
    try:
        return row_groups(file)
    finally:
        file.close()
