"""What validation found, as a versioned document: stored, printed by the command line, shown by the API.

`schema_version`, `verdict`, `rows` and `findings` are the stable core other tools may rely on. Same input and
policy give the same report, but for `duration_seconds` and `bytes_per_second`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.validation.rules import Severity

SCHEMA_VERSION = "1.1"
Verdict = Literal["accepted", "rejected"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Location(_Value):
    """One spot a rule was broken at."""

    split: str | None = Field(description="train, validation or test as dropped; null if the file names no split")
    file: str | None = Field(description="null where the finding is about the snapshot as a whole")
    row: int | None = Field(description="from 1; for JSONL the line number (blank lines count); null for a file")
    byte_offset: int | None = Field(description="in the (decompressed) JSONL file; null for parquet")
    path: str | None = Field(description="inside the row, such as messages[2].role")
    found: str = Field(description="bounded and printable, never the content of a turn")
    expected: str


class Finding(_Value):
    """Everything one rule found."""

    rule: str
    severity: Severity
    count: int
    explanation: str
    fix: str
    places: list[Location] = Field(description="the first ones, in reading order")
    more: int = Field(0, description="places that are not listed; 0: all are (since 1.1)")

    def sentences(self) -> str:
        """What the rule means, the first place it was broken at, and the command that mends rows, if there is one."""
        place = self.places[0]
        row = None if place.row is None else f"row {place.row}"
        where = ", ".join(part for part in (place.file, row, place.path) if part)
        found = f"{where}: found" if where else "Found"
        command = f" {self.fix}" if row and "droptune prepare" in self.fix else ""
        return f"{self.explanation} {found} {place.found}; expected {place.expected}.{command}"


class Spread(_Value):
    """How a number is distributed over the good rows. Percentiles are upper bounds, at most 2 % too high."""

    minimum: int = 0
    p50: int = 0
    p90: int = 0
    p99: int = 0
    maximum: int = 0
    total: int = 0
    histogram: list[tuple[int, int]] = Field(default=[], description="(upper bound, rows), powers of two")


class RolePattern(_Value):
    """One sequence of roles and how many rows have it."""

    roles: str
    rows: int


class FileSummary(_Value):
    """One file of the snapshot."""

    file: str
    split: str | None
    format: str | None
    size: int
    rows: int
    bad_rows: int
    blank_lines: int


class Statistics(_Value):
    """What the good rows look like; repeated ones count each time."""

    turns: Spread
    characters: Spread
    estimated_tokens: Spread
    token_estimate: str
    role_patterns: list[RolePattern]
    other_patterns: int = Field(description="rows with a pattern not listed")
    extra_columns: dict[str, int] = Field(description="columns that are not trained on, and in how many rows")
    extra_message_fields: dict[str, int] = Field(description="likewise inside messages")
    duplicate_share: float
    cut_share: float = Field(description="share of rows longer than the model's context, by the estimate")


class ValidationReport(_Value):
    """The outcome of validating one snapshot."""

    schema_version: str = SCHEMA_VERSION
    verdict: Verdict
    summary: str
    rows: int = Field(description="rows read; good + bad + duplicates")
    good_rows: int = Field(description="distinct rows without an error: what would be trained on or held out")
    bad_rows: int
    duplicate_rows: int = Field(description="good rows seen before; kept once")
    blank_lines: int
    findings: list[Finding] = Field(description="errors first, then by rule")
    statistics: Statistics
    files: list[FileSummary]
    splits: dict[str, int] = Field(description="rows per split of the training files")
    notes: list[str] = Field(default=[], description="what else is to be known, such as defaults that are not used")
    bytes_read: int = Field(description="stored size of all files that were read, to the end or not")
    duration_seconds: float
    bytes_per_second: int

    @property
    def accepted(self) -> bool:
        """Whether the snapshot may be trained on."""
        return self.verdict == "accepted"
