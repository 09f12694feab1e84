"""Parts with their partials in reading order, and what they add up to: files, counts, places. Used by `fold`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from shared.chatdata.splits import Split
from shared.validation.digests import At
from shared.validation.inspection import Room
from shared.validation.partial import Fault, Partial, Spot
from shared.validation.parts import Part
from shared.validation.policy import Policy
from shared.validation.report import FileSummary, Place
from shared.validation.sources import Source

OVER = ("too-large", "too-many-rows")


def within_limits(
    parts: Iterable[Part],
    policy: Policy,
    inspected: Callable[[Part, Room], Partial],
    again: Callable[[Part, Room], Partial],
) -> Iterator[tuple[Part, Partial]]:
    """The partials that count: none after the limits of the snapshot were met, none of a file after damage in it.

    `inspected` may have read its part without knowing how much room was left. If that was too much, `again` reads the
    part with just that room, so that the report is what one reader from front to end would have written.
    """
    room = Room(policy.max_rows, policy.max_total_bytes)
    broken: Source | None = None
    for part in parts:
        if part.source is broken:
            continue
        if part.source.known_format == "jsonl" and part.start == 0 and part.source.size > room.size:
            most = f"at most {policy.max_total_bytes} bytes"
            yield part, Partial(fault=Fault("too-large", f"{part.source.size} more bytes", most))
            return
        partial = inspected(part, room)
        if partial.rows > room.rows + 1 or (_is_too_much(partial, room) and not partial.fault):
            partial = again(part, room)
        yield part, partial
        if partial.fault:
            if partial.fault.rule in OVER:
                return
            broken = part.source
        room = Room(room.rows - partial.rows, room.size - partial.bytes_out)


def _is_too_much(partial: Partial, room: Room) -> bool:
    return partial.rows > room.rows or partial.bytes_out > room.size


@dataclass(slots=True)
class File:
    """One file, and what was found out about it as a whole."""

    source: Source
    partials: list[Partial] = field(default_factory=list)
    fault: Fault | None = None

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(partial.rows for partial in self.partials)

    @property
    def columns(self) -> list[str] | None:
        """Columns of the first good row, which stands for all."""
        return next((partial.columns for partial in self.partials if partial.columns is not None), None)

    def summary(self) -> FileSummary:
        """What the report says of it."""
        source = self.source
        return FileSummary(
            file=source.path,
            split=source.split,
            format=source.known_format,
            size=source.size,
            rows=self.rows,
            bad_rows=sum(partial.bad for partial in self.partials),
            blank_lines=sum(partial.blank for partial in self.partials),
        )


class Lineup:
    """All parts that count, with their partials."""

    def __init__(self, counted: Iterable[tuple[Part, Partial]]) -> None:
        self.partials: list[Partial] = []
        self.files: list[File] = []
        self._file_of: list[File] = []
        self._lines_before: list[int] = []
        for part, partial in counted:
            self._append(part, partial)
        for file in self.files:
            if file.fault is None and file.rows == 0:
                file.fault = Fault("file-empty", f"{file.source.size} bytes, no row", "at least one row")

    def _append(self, part: Part, partial: Partial) -> None:
        before = 0
        if self.files and self.files[-1].source is part.source:
            before = self._lines_before[-1] + self.partials[-1].lines
        else:
            self.files.append(File(part.source))
        file = self.files[-1]
        file.partials.append(partial)
        file.fault = file.fault or partial.fault
        self.partials.append(partial)
        self._file_of.append(file)
        self._lines_before.append(before)

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(partial.rows for partial in self.partials)

    @property
    def bad(self) -> int:
        """Rows with an error."""
        return sum(partial.bad for partial in self.partials)

    def source(self, part: int) -> Source:
        """The file a part is of."""
        return self._file_of[part].source

    def split(self, part: int) -> Split:
        """The split a part was dropped as; without a name it is trained on."""
        return self.source(part).split or "train"

    def row(self, part: int, row: int) -> int:
        """The number in its file of a row of a part."""
        return self._lines_before[part] + row

    def at(self, part: int, spot: Spot) -> Place:
        """A spot of a part as the report shows it."""
        source = self.source(part)
        return Place(
            split=source.split,
            file=source.path,
            row=None if spot.row is None else self.row(part, spot.row),
            byte_offset=spot.byte_offset,
            path=spot.path,
            found=spot.found,
            expected=spot.expected,
        )

    def same_as(self, part: int, first: At, what: str) -> str:
        """Name an earlier row, seen from a later part."""
        source = self.source(first.part)
        where = "" if source is self.source(part) else f" of {source.path[-60:]}"
        return f"{what} row {self.row(first.part, first.row)}{where}"

    def packed(self, split: Split) -> list[bytes]:
        """The row hashes of the parts of one split."""
        return [partial.digests for at, partial in enumerate(self.partials) if self.split(at) == split]

    def __iter__(self) -> Iterator[tuple[int, Partial]]:
        return enumerate(self.partials)
