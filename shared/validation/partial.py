"""What one part of a snapshot left behind: counts, places, statistics and row hashes, all of which can be added up.

Made by `inspection`, put together by `fold`. It can be pickled (between processes) and written as MessagePack (between
instances). Rows count from 1 within the part; only the fold knows what came before. Nothing in it grows with the rows
but the hashes, 28 bytes a good row.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from shared.chatdata.splits import Split
from shared.validation.measures import Measures


class Spot(NamedTuple):
    """Where a rule was broken, in a part."""

    row: int | None
    byte_offset: int | None
    path: str | None
    found: str
    expected: str


class Found(msgspec.Struct):
    """How often a rule was broken in a part, and the first places."""

    count: int = 0
    spots: list[Spot] = []


class Fault(msgspec.Struct):
    """Why the reading of a part ended before its end."""

    rule: str
    found: str
    expected: str


class HeldRow(msgspec.Struct):
    """A row that a top-up of the held-out splits may yet move: with the lowest places of its region."""

    place: float
    data: bytes


class Staged(msgspec.Struct):
    """What a part staged: blocks by split and bucket, and the rows it could not assign by itself."""

    rows: dict[Split, int] = {}
    blocks: dict[Split, list[list[str]]] = {}
    cut_rows: int = 0
    below: dict[str, int] = {}
    held: list[HeldRow] = []


class Partial(msgspec.Struct):
    """Everything there is to know about a part."""

    rows: int = 0
    bad: int = 0
    blank: int = 0
    bytes_out: int = 0
    """After decompression."""
    fault: Fault | None = None
    findings: dict[str, Found] = {}
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
    staged: Staged = msgspec.field(default_factory=Staged)

    @property
    def lines(self) -> int:
        """By how many the numbers of the rows after this part are higher."""
        return self.rows + self.blank

    @property
    def good(self) -> int:
        """Rows without an error, repeated ones included."""
        return self.rows - self.bad
