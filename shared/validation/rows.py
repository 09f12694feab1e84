"""Rows as they are read, whatever the format of their file, and what is wrong with the file as a whole.

Made by `jsonl` and `parquet`. `FileRefused` ends the reading of a file; rows before it have been given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.validation.dialogues import Dialogue, Dialogues
from shared.validation.lines import BlankRun
from shared.validation.policy import Policy
from shared.validation.rules import RULES, Problem

_EXPANSION_FROM = 64 * 2**20
TELLING = 16  # bytes that tell any format


FEW = 8  # rows that are read one by one when one of them needs a closer look


_MAGIC = (
    (b"PAR1", "parquet"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xff\xfe\0\0", "text in UTF-32"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"ARROW1", "an Arrow file"),
    (b"\xff\xff\xff\xff", "an Arrow stream"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"{\\rtf", "rich text (RTF)"),
    (b"# xet version", "an Xet pointer, which only names the file (`git xet checkout` or `hf download` gets it)"),
    (b"PARE", "an encrypted parquet file"),
    (
        b"version https://",
        "a Git LFS pointer, which only names the file (`git lfs pull` gets it)",
    ),
)


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Good rows that follow each other, by column."""

    number: int
    """Of the first."""
    offsets: Sequence[int | None]
    dialogues: Dialogues
    columns: Sequence[tuple[str, ...]]
    prompts: Sequence[Any]
    prompt_ids: Sequence[Any]

    def __len__(self) -> int:
        return len(self.columns)

    def head(self, count: int) -> RowBatch:
        """The first rows."""
        columns, prompts, prompt_ids = (column[:count] for column in (self.columns, self.prompts, self.prompt_ids))
        return RowBatch(self.number, self.offsets[:count], self.dialogues.head(count), columns, prompts, prompt_ids)


class CheckedRow(NamedTuple):
    """One row as read: its dialogue if it is good, and its problems (errors or warnings) if it has some."""

    number: int
    offset: int | None
    value: Any
    dialogue: Dialogue | None
    problems: Sequence[Problem]
    content: bytes | None

    def as_batch(self) -> RowBatch:
        """A good row by itself."""
        assert self.dialogue is not None
        value, offsets = self.value, [self.offset]
        dialogues = self.dialogue.alone()
        return RowBatch(
            self.number, offsets, dialogues, [tuple(value)], [value.get("prompt")], [value.get("prompt_id")]
        )


type Rows = RowBatch | CheckedRow | BlankRun | None
"""Many rows, or one that needed a closer look, or blank lines (None: one)."""


class FileRefused(Exception):
    """Something is wrong with the file as a whole; reading it ends here."""

    def __init__(self, rule: str, found: str, expected: str) -> None:
        super().__init__(f"{rule}: {found}")
        self.rule, self.found, self.expected = rule, found, expected


def is_bad(problems: list[Problem]) -> bool:
    """Whether one of them is an error."""
    return any(RULES[problem.rule].severity == "error" for problem in problems)


def sniff(start: bytes, expected: str) -> None:
    """Raise if the first bytes of a file are those of some other format."""
    if start[8:12] == b"DUCK":
        raise FileRefused("file-format", "a DuckDB database", expected)
    for magic, name in _MAGIC:
        if start.startswith(magic) and name != expected:
            raise FileRefused("file-format", name, expected)


class ByteMeter:
    """Counts the bytes of a part after decompression, and stops at the limits."""

    def __init__(self, policy: Policy, room: int) -> None:
        self._policy, self._room = policy, room
        self.bytes_out = 0
        self.before = 0
        """So many bytes of the file were counted by those who read the parts before."""

    def add(self, size: int, stored: int) -> None:
        """Count `size` more bytes; up to now the file has given all of them from `stored` ones."""
        self.bytes_out += size
        if self.bytes_out > self._room:
            raise FileRefused("too-large", "more bytes than allowed", f"at most {self._policy.max_total_bytes} bytes")
        check_expansion(self.before + self.bytes_out, stored, self._policy)


def check_expansion(size: int, stored: int, policy: Policy) -> None:
    """Raise if so many bytes are out of proportion to the stored ones they came from."""
    if size > _EXPANSION_FROM and size > policy.max_expansion * stored:
        found = f"{size} bytes from {stored}"
        raise FileRefused("file-expands", found, f"at most {policy.max_expansion:g} times the stored size")


def too_long(length: int, policy: Policy) -> Problem:
    """The problem of a row of so many bytes."""
    return Problem("row-too-long", None, f"{length} bytes", f"at most {policy.max_line_bytes} bytes")
