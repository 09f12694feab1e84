"""The results of all chunks, folded into one report: exact, and the same however the snapshot was cut into chunks.

What only a look at everything tells is told here: repeated dialogues, leakage, repeated prompt ids, answers that are
all the same, files with other columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.chatdata.formats import printable
from shared.chatdata.splits import Split
from shared.validation.chunks import ChunkLocation
from shared.validation.digests import (
    RepeatedRow,
    RepeatedRows,
    RowSet,
    content_digest,
    digests_of,
    distinct,
    find_repeated,
)
from shared.validation.measures import Measures
from shared.validation.policy import Policy
from shared.validation.report import Finding, Location, ValidationReport
from shared.validation.results import OrderedResults
from shared.validation.rules import RULES, TOO_MANY_BAD
from shared.validation.sources import Source

_FOLLOWS = (TOO_MANY_BAD, "too-few-rows", "no-train-rows", "too-few-train-rows")
"""What mostly follows from other findings."""
_READING_ORDER: tuple[Split, ...] = ("test", "validation", "train")


class Fold:
    """One look at all results. `add` what else is wrong, `judge` by the splits, then ask for the `report`."""

    def __init__(self, ordered: OrderedResults, policy: Policy) -> None:
        self._ordered, self._policy = ordered, policy
        self._counts: Counter[str] = Counter()
        self._places: dict[str, list[Location]] = {}
        self._fixes: dict[str, str] = {}
        self.repeats: dict[int, RowSet] = {}
        """By chunk, its rows that were seen before."""
        self.repeat_others: set[int] = set()
        """The chunks with rows that were seen in an earlier chunk."""
        self._repeats_of: Counter[Split] = Counter()
        for file in ordered.files:
            if file.fault:
                self.add(file.fault.rule, file.fault.found, file.fault.expected, file.source)
        self._compare_columns()
        for at, result in ordered:
            for rule, found in result.findings.items():
                self._fixes.setdefault(rule, found.fix)
                self._count(rule, found.count, (ordered.at(at, spot) for spot in found.spots))
        self._find_repeated_rows()
        self._find_repeated_prompts()

    # -- counts

    @property
    def duplicates(self) -> int:
        """Good rows that were seen before."""
        return self._repeats_of.total()

    @property
    def good(self) -> int:
        """Good rows, repeated ones once."""
        return self._ordered.rows - self._ordered.bad - self.duplicates

    def distinct(self, split: Split) -> int:
        """Good rows first seen in a file of this split."""
        own = (result.good for at, result in self._ordered if self._ordered.split(at) == split)
        return sum(own) - self._repeats_of[split]

    def train_digests(self) -> Iterator[bytes]:
        """Hashes of the distinct rows that may be trained on, end to end, many at a time, in any order."""
        ordered = self._ordered
        if not self.repeats:
            return map(digests_of, ordered.packed("train"))
        return distinct(ordered.packed("train"), [*ordered.packed("test"), *ordered.packed("validation")])

    @property
    def _has_file_error(self) -> bool:
        return any(RULES[rule].scope == "file" and RULES[rule].severity == "error" for rule in self._counts)

    @property
    def is_accepted(self) -> bool:
        """Whether the snapshot may be trained on, by what was found so far."""
        return not self._has_file_error and not self._too_many_bad

    @property
    def _too_many_bad(self) -> bool:
        return self._ordered.bad * 100 > self._policy.max_bad_percent * max(self._ordered.rows, 1)

    def digest(self) -> str:
        """Digest of the content, by split as dropped."""
        groups: list[tuple[str, Iterable[bytes]]] = []
        known: list[bytes] = []
        for split in _READING_ORDER:
            if packed := self._ordered.packed(split):
                groups.append((split, distinct(packed, known)))
                known = [*known, *packed]
        return content_digest(groups)

    # -- findings

    def add(self, rule: str, found: str, expected: str, source: Source | None = None) -> None:
        """Something is wrong with a file, or with the snapshot as a whole."""
        split, path = (source.split, source.path) if source else (None, None)
        place = Location(split=split, file=path, row=None, byte_offset=None, path=None, found=found, expected=expected)
        self._count(rule, 1, [place])

    def judge(self, train_rows: int) -> None:
        """Look at what is told only when it is known how many rows are left, and left to train on."""
        policy, good = self._policy, self.good
        if self._has_file_error:
            pass  # what could not be read is not missing
        elif good < policy.min_rows:
            self.add(
                "too-few-rows", f"{good} good row{'' if good == 1 else 's'}", f"at least {policy.min_rows} (MIN_ROWS)"
            )
        elif train_rows == 0:
            self.add("no-train-rows", "0 rows", "at least 1")
        elif train_rows < policy.min_train_rows:
            found = f"{train_rows} row{'' if train_rows == 1 else 's'} to train on"
            self.add("too-few-train-rows", found, f"at least {policy.min_train_rows}")
        results = self._ordered.results
        answers = {result.answer for result in results if result.answer}
        differ = len(answers) > 1 or any(result.answers_differ for result in results)
        if policy.meaning and good >= max(2, policy.min_rows) and not differ:
            self.add("identical-answers", f"{good} times the same", "different answers")

    def _count(self, rule: str, count: int, places: Iterable[Location]) -> None:
        self._counts[rule] += count
        kept = self._places.setdefault(rule, [])
        for place in places:
            if self._policy.places and len(kept) >= self._policy.places:
                break
            kept.append(place)

    def _compare_columns(self) -> None:
        first: frozenset[str] | None = None
        for file in self._ordered.files:
            if file.columns is None:
                continue
            columns = frozenset(file.columns)
            if first is None:
                first = columns
            elif columns != first:
                odd = ", ".join(printable(name) for name in sorted(columns ^ first)[:5])
                self.add("mixed-columns", odd, "the columns of the first file", file.source)

    def _find_repeated_rows(self) -> None:
        first = {rule: _Firsts(self._policy.places) for rule in ("duplicate-row", "leaked-row")}
        for found in find_repeated([result.digests for result in self._ordered.results]):
            self._leave_out(found)
            leaked = self._are_leaked(found)
            first["leaked-row"].add(found.where(leaked))
            first["duplicate-row"].add(found.where(~leaked))
        for rule, firsts in first.items():
            self._count_same(rule, firsts, None, "same as", "each dialogue once")

    def _leave_out(self, found: RepeatedRows) -> None:
        """Remembers which rows of which chunks were seen before."""
        ordered, again, rows = self._ordered, found.again.chunks, found.again.rows
        for chunk in sorted(set(again.tolist())):
            own = again == chunk
            self.repeats.setdefault(chunk, RowSet(ordered.results[chunk].lines)).add_all(rows[own])
            if (found.first.chunks[own] != chunk).any():
                self.repeat_others.add(chunk)
            self._repeats_of[ordered.split(chunk)] += int(own.sum())

    def _are_leaked(self, found: RepeatedRows) -> Any:
        """An array: which of them are of another split than the first of their kind."""
        import numpy

        splits = [self._ordered.split(chunk) for chunk in range(len(self._ordered.results))]
        number = numpy.array([_READING_ORDER.index(split) for split in splits], numpy.int8)
        return number[found.again.chunks] != number[found.first.chunks]

    def _find_repeated_prompts(self) -> None:
        """The same id on different dialogues; a repeated dialogue has been told already."""
        firsts = _Firsts(self._policy.places)
        for found in find_repeated([result.prompts for result in self._ordered.results], self.repeats):
            firsts.add(found)
        self._count_same("prompt-id-repeated", firsts, "prompt_id", "that of", "one id per dialogue")

    def _count_same(self, rule: str, firsts: _Firsts, path: str | None, what: str, expected: str) -> None:
        if firsts.count:
            places = (self._same(found, path, what, expected) for found in firsts.kept())
            self._count(rule, firsts.count, places)

    def _same(self, found: RepeatedRow, path: str | None, what: str, expected: str) -> Location:
        again = found.again
        where = self._ordered.name_earlier(again.chunk, found.first, what)
        return self._ordered.at(again.chunk, ChunkLocation(again.row, again.offset, path, where, expected))

    # -- the report

    def report(self, splits: Mapping[Split, int], seconds: float) -> ValidationReport:
        """The report, given how many rows each training file has."""
        ordered = self._ordered
        size = sum(file.source.size for file in ordered.files)
        measures = Measures()
        for result in ordered.results:
            measures.merge(result.measures)
        return ValidationReport(
            verdict="accepted" if self.is_accepted else "rejected",
            summary=self._summary(),
            rows=ordered.rows,
            good_rows=self.good,
            bad_rows=ordered.bad,
            duplicate_rows=self.duplicates,
            blank_lines=sum(result.blank for result in ordered.results),
            findings=self._findings(),
            statistics=measures.statistics(self.duplicates),
            files=[file.summary() for file in ordered.files],
            splits=dict(splits),
            bytes_read=size,
            duration_seconds=round(seconds, 3),
            bytes_per_second=round(size / seconds) if seconds > 0 else 0,
        )

    def _findings(self) -> list[Finding]:
        """All of them: errors first, then in the order of the rules page; what only follows from others comes last."""
        ordered = [rule for rule in RULES.values() if rule.id in self._counts]
        ordered.sort(key=lambda rule: (rule.severity, rule.id in _FOLLOWS))
        return [
            Finding(
                rule=rule.id,
                severity=rule.severity,
                count=self._counts[rule.id],
                explanation=rule.explanation,
                fix=self._fixes.get(rule.id) or rule.fix,
                places=self._places[rule.id],
                more=self._counts[rule.id] - len(self._places[rule.id]),
            )
            for rule in ordered
        ]

    def _summary(self) -> str:
        rows, bad = self._ordered.rows, self._ordered.bad
        if self.is_accepted:
            left_out = f", {bad} bad {'one' if bad == 1 else 'ones'} left out" if bad else ""
            return f"{self.good} of {rows} rows are used{left_out}"
        errors = [finding for finding in self._findings() if finding.severity == "error"]
        of_files = [finding for finding in errors if RULES[finding.rule].scope == "file"]
        if self._too_many_bad and of_files and of_files[0].rule == "too-few-rows":
            of_files = []  # few are good because many are bad
        sentences = [finding.sentences() for finding in of_files[:1]]
        if bad:
            named = [finding for finding in errors if RULES[finding.rule].scope != "file"]
            names = ", ".join(f"{finding.rule} ({finding.count})" for finding in named[:5])
            verb = "is" if bad == 1 else "are"
            sentences.append(f"{bad} of {rows} rows {verb} bad: {names}" + (", and others." if len(named) > 5 else "."))
            sentences.append(named[0].sentences())
        return " ".join(sentences)


class _Firsts:
    """Counts repeated rows and keeps the first ones in reading order; a limit of 0 keeps all."""

    def __init__(self, limit: int) -> None:
        self._limit, self._kept = limit, list[RepeatedRow]()
        self.count = 0

    def add(self, found: RepeatedRows) -> None:
        self.count += len(found.again)
        self._kept += found.first_in_order(self._limit)
        if self._limit and len(self._kept) > 8 * self._limit:
            self._kept = self.kept()

    def kept(self) -> list[RepeatedRow]:
        return sorted(self._kept)[: self._limit or None]
