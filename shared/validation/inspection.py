"""The state of one pass over a snapshot: what was read, found, held out and staged. For `snapshot` only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import xxhash

from shared.splits import SPLITS, Cuts, Cutter, Shares, Split, place_of
from shared.validation import meaning
from shared.validation.index import RowIndex, content_digest
from shared.validation.measures import Measures
from shared.validation.parquet import parquet_rows
from shared.validation.policy import Policy
from shared.validation.problems import Problem
from shared.validation.reading import FileFault, Meter, Row, is_bad, jsonl_rows
from shared.validation.report import FileSummary, Report
from shared.validation.rules import RULES
from shared.validation.shape import Shape
from shared.validation.sources import Source, Watched
from shared.validation.staging import BlockWriter, Staging
from shared.validation.tally import Tally
from shared.validation.turns import Dialogue, Turns

_TRAIN_BUFFER = 24 * 2**20
_HELD_OUT_BUFFER = 4 * 2**20


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is left out of training, for the quarantine."""

    split: Split | None
    file: str
    row: int
    byte_offset: int | None
    rule: str
    message: str
    content: bytes | None
    """The line as it is in the file; None for parquet, and for a line that was too long to be kept."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was staged."""

    cuts: Cuts
    rows: Mapping[Split, int]
    blocks: Mapping[Split, tuple[str, ...]]


@dataclass(slots=True)
class _File:
    source: Source
    rows: int = 0
    bad: int = 0
    blank: int = 0
    size: int = 0

    def summary(self) -> FileSummary:
        source = self.source
        return FileSummary(
            file=source.path,
            split=source.split,
            format=source.known_format,
            size=source.size,
            rows=self.rows,
            bad_rows=self.bad,
            blank_lines=self.blank,
        )


class _Guarded:
    """Staging with a heartbeat, until the snapshot is known to be refused: then blocks would be in vain."""

    def __init__(self, staging: Staging | None, beat: Callable[[], None]) -> None:
        self._staging, self._beat = staging, beat
        self.in_vain = staging is None

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        self._beat()
        if self._staging is not None and not self.in_vain:
            self._staging.stage(split, block_id, data)

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        raise NotImplementedError("a pass never commits")


class Inspection:
    """Takes files one after the other; `finish` once, then `digest` and `report`."""

    def __init__(
        self,
        policy: Policy,
        *,
        seed: int,
        cuts: Cuts,
        shares: Shares,
        given: Sequence[Split],
        staging: Staging | None,
        quarantine: Callable[[BadRow], None] | None,
        heartbeat: Callable[[], None],
    ) -> None:
        self.tally = Tally(policy)
        self._policy, self._seed, self._beat = policy, seed, heartbeat
        self._quarantine = quarantine
        self._turns, self._meter = Turns(policy), Meter(policy)
        self._index, self._prompts = RowIndex(), RowIndex()
        self._staging = _Guarded(staging, heartbeat)
        self._writers = {split: _writer(split, self._staging) for split in SPLITS}
        self._cutter = Cutter(self._write, cuts, shares, given)
        self._files: list[_File] = []
        self._good = self._bad = self._duplicates = 0
        self._measures = Measures(policy.context_tokens)
        self._answer: bytes | None = None
        self._answers_differ = False
        self._first_columns: frozenset[str] | None = None
        self._over = False

    def _write(self, split: Split, place: float, data: bytes) -> None:
        self._writers[split].add(place, data)

    def misshapen(self, wrong: Shape) -> None:
        """Count what is wrong with the snapshot before it is read; nothing more is staged."""
        split, file = (wrong.source.split, wrong.source.path) if wrong.source else (None, None)
        self.tally.add_file(wrong.rule, wrong.found, wrong.expected, split=split, file=file)
        self._staging.in_vain = True

    # -- reading

    def read(self, source: Source) -> None:
        """Read a file to its end, or to where it (or the snapshot) is known to be too much."""
        if self._over:
            return
        file = _File(source)
        self._files.append(file)
        self._index.start_file()
        self._prompts.start_file()
        try:
            self._check_before(source)
            self._read_rows(file)
            if file.rows == 0:
                raise FileFault("file-empty", f"{source.size} bytes, no row", "at least one row")
        except FileFault as fault:
            self.tally.add_file(fault.rule, fault.found, fault.expected, split=source.split, file=source.path)
            self._staging.in_vain = True
            self._over = fault.rule in ("too-large", "too-many-rows")

    def _check_before(self, source: Source) -> None:
        if source.known_format is None:
            name = source.path.rsplit("/", 1)[-1]
            raise FileFault("file-extension", name[-40:], ".jsonl, .jsonl.gz or .parquet")
        if source.size > self._policy.max_file_bytes:
            raise FileFault("too-large", f"{source.size} bytes", f"at most {self._policy.max_file_bytes} bytes")

    def _read_rows(self, file: _File) -> None:
        source = file.source
        watched = Watched(source.open(), self._beat)
        rows_of = parquet_rows if source.known_format == "parquet" else jsonl_rows
        try:
            for row in rows_of(source, watched, self._turns, self._policy, self._meter):
                if row is None:
                    file.blank += 1
                    continue
                file.rows += 1
                self._take(file, row)
                if self._rows() > self._policy.max_rows:
                    raise FileFault("too-many-rows", "more rows than allowed", f"at most {self._policy.max_rows}")
        finally:
            file.size = watched.bytes_read
            watched.close()

    def _rows(self) -> int:
        return self._good + self._duplicates + self._bad

    # -- one row

    def _take(self, file: _File, row: Row) -> None:
        for problem in row.problems:
            self._note(file, row, problem)
        if row.dialogue is None:
            self._leave_out(file, row)
            return
        canonical = row.dialogue.canonical()
        digest = xxhash.xxh3_128_digest(canonical)
        if self._is_known(file, row, digest):
            return
        self._good += 1
        self._measure(file, row, row.dialogue, canonical)
        place = place_of(digest, self._seed)
        data = b"" if self._staging.in_vain else self._training_row(row.dialogue)
        if file.source.split in ("test", "validation"):
            self._write(file.source.split, place, data)
        else:
            self._cutter.add(place, data)

    def _training_row(self, dialogue: Dialogue) -> bytes:
        fold = self._policy.system_turns == "fold" and dialogue.roles[0] == "system"
        turns = folded(dialogue.turns) if fold else dialogue.turns
        return b'{"messages":' + orjson.dumps(turns, option=orjson.OPT_SORT_KEYS) + b"}\n"

    def _note(self, file: _File, row: Row, problem: Problem) -> None:
        self.tally.add_row(problem, file.source.split, file.source.path, row.number, row.offset)

    def _leave_out(self, file: _File, row: Row) -> None:
        file.bad += 1
        self._bad += 1
        if self._policy.max_bad_percent == 0:
            self._staging.in_vain = True
        if self._quarantine is not None:
            problem = next(problem for problem in row.problems if is_bad([problem]))
            where = f" at {problem.path}" if problem.path else ""
            why = RULES[problem.rule].explanation
            message = f"{why} Found {problem.found}{where}; expected {problem.expected}."
            self._quarantine(
                BadRow(
                    file.source.split,
                    file.source.path,
                    row.number,
                    row.offset,
                    problem.rule,
                    message,
                    row.content,
                )
            )

    def _is_known(self, file: _File, row: Row, digest: bytes) -> bool:
        seen = self._index.add(digest, row.number)
        if seen is None:
            return False
        self._duplicates += 1
        first = self._files[seen.file].source
        leaked = (first.split or "train") != (file.source.split or "train")
        where = f"same as row {seen.row}" + ("" if first is file.source else f" of {first.path[-60:]}")
        rule = "leaked-row" if leaked else "duplicate-row"
        self._note(file, row, Problem(rule, None, where, "each dialogue once"))
        return True

    def _measure(self, file: _File, row: Row, dialogue: Dialogue, canonical: bytes) -> None:
        tokens = meaning.estimated_tokens(canonical, len(dialogue.turns))
        self._measures.add(row.value, dialogue, tokens)
        self._compare_columns(file, row)
        if self._policy.meaning:
            for problem in meaning.remarks(row.value, dialogue, canonical, tokens, self._policy):
                self._note(file, row, problem)
            self._compare_prompt_ids(file, row)
            self._compare_answers(dialogue)

    def _compare_columns(self, file: _File, row: Row) -> None:
        """The first good row of each file stands for its columns."""
        if file.rows - file.bad > 1:
            return
        columns = frozenset(row.value)
        if self._first_columns is None:
            self._first_columns = columns
        elif columns != self._first_columns:
            odd = sorted(columns ^ self._first_columns)
            found = ", ".join(name[:40] for name in odd[:5])
            source = file.source
            expected = "the columns of the first file"
            self.tally.add_file("mixed-columns", found, expected, split=source.split, file=source.path)

    def _compare_prompt_ids(self, file: _File, row: Row) -> None:
        identity = row.value.get("prompt_id")
        if isinstance(identity, str | int) and identity not in ("", None):
            seen = self._prompts.add(xxhash.xxh3_128_digest(str(identity).encode("utf-8", "surrogatepass")), row.number)
            if seen is not None:
                first = self._files[seen.file].source
                where = f"that of row {seen.row}" + ("" if first is file.source else f" of {first.path[-60:]}")
                self._note(file, row, Problem("prompt-id-repeated", "prompt_id", where, "one id per dialogue"))

    def _compare_answers(self, dialogue: Dialogue) -> None:
        if self._answers_differ:
            return
        answer = xxhash.xxh3_128_digest(dialogue.turns[-1]["content"].encode())
        self._answers_differ = self._answer is not None and answer != self._answer
        self._answer = answer

    # -- the end

    def finish(self) -> Outcome:
        """Look at what only the end tells, stage the rest, and say what was staged."""
        cuts = self._cutter.finish()
        rows = {split: self._writers[split].rows for split in SPLITS}
        if self.tally.file_errors:
            pass  # what could not be read is not missing
        elif self._good < self._policy.min_rows:
            needed = f"at least {self._policy.min_rows} (MIN_ROWS)"
            self.tally.add_file("too-few-rows", f"{self._good} good rows", needed)
        elif rows["train"] == 0:
            self.tally.add_file("no-train-rows", "0 rows", "at least 1")
        if self._good >= max(2, self._policy.min_rows) and self._policy.meaning and not self._answers_differ:
            self.tally.add_file("identical-answers", f"{self._good} times the same", "different answers")
        if not self._is_accepted():
            self._staging.in_vain = True
        return Outcome(cuts, rows, {split: self._writers[split].finish() for split in SPLITS})

    def _is_accepted(self) -> bool:
        if self.tally.file_errors:
            return False
        return self._bad * 100 <= self._policy.max_bad_percent * max(self._rows(), 1)

    def digest(self, groups: Iterable[tuple[str, int, int]]) -> str:
        """Digest of the content, by split as dropped."""
        read = len(self._files)
        parts: Iterator[tuple[str, Iterable[bytes]]] = (
            (split, self._index.sorted_digests(first, min(end, read))) for split, first, end in groups if first < read
        )
        return content_digest(parts)

    def report(self, seconds: float) -> Report:
        """The report; after `finish`."""
        findings = self.tally.findings()
        accepted, bad, rows = self._is_accepted(), self._bad, self._rows()
        size = sum(file.size for file in self._files)
        return Report(
            verdict="accepted" if accepted else "rejected",
            summary=self._summary(accepted, bad, rows),
            rows=rows,
            good_rows=self._good,
            bad_rows=bad,
            duplicate_rows=self._duplicates,
            blank_lines=sum(file.blank for file in self._files),
            findings=findings,
            statistics=self._measures.statistics(self._duplicates),
            files=[file.summary() for file in self._files],
            splits={split: writer.rows for split, writer in self._writers.items()},
            bytes_read=size,
            duration_seconds=round(seconds, 3),
            bytes_per_second=round(size / seconds) if seconds > 0 else 0,
        )

    def _summary(self, accepted: bool, bad: int, rows: int) -> str:
        errors = [finding for finding in self.tally.findings() if finding.severity == "error"]
        if accepted:
            left_out = f", {bad} bad ones left out" if bad else ""
            return f"{self._good} of {rows} rows are used{left_out}"
        first, *others = errors
        if not bad:
            return first.sentences()
        start, named = (first.sentences() + " ", others) if first.is_about_a_file else ("", errors)
        names = ", ".join(f"{finding.rule} ({finding.count})" for finding in named[:5])
        return f"{start}{bad} of {rows} rows are bad: {names}" + (", ..." if len(named) > 5 else "")


def _writer(split: Split, staging: Staging) -> BlockWriter:
    if split == "train":
        return BlockWriter(split, staging, buffer=_TRAIN_BUFFER, buckets=16)
    return BlockWriter(split, staging, buffer=_HELD_OUT_BUFFER, buckets=4)


def folded(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the leading system turn before the first user turn, an empty line between."""
    system, user, *rest = turns
    return [{"content": f"{system['content']}\n\n{user['content']}", "role": user["role"]}, *rest]
