"""The partials of all parts, folded into one report: exact, and the same however the snapshot was cut into parts.

What only a look at everything tells is told here: repeated dialogues, leakage, repeated prompt ids, answers that are
all the same, files with other columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from shared.chatdata.formats import printable
from shared.chatdata.splits import Split
from shared.validation.digests import Repeated, RowSet, content_digest, distinct, repeated, unpacked
from shared.validation.lineup import Lineup
from shared.validation.measures import Measures
from shared.validation.partial import Spot
from shared.validation.policy import Policy
from shared.validation.report import Finding, Place, Report
from shared.validation.rules import RULES
from shared.validation.sources import Source

_READING_ORDER: tuple[Split, ...] = ("test", "validation", "train")


class Fold:
    """One look at all partials. `add` what else is wrong, `judge` by the splits, then ask for the `report`."""

    def __init__(self, lineup: Lineup, policy: Policy) -> None:
        self._lineup, self._policy = lineup, policy
        self._counts: Counter[str] = Counter()
        self._places: dict[str, list[Place]] = {}
        self.repeats: dict[int, RowSet] = {}
        """By part, its rows that were seen before."""
        self.repeat_others: set[int] = set()
        """The parts with rows that were seen in an earlier part."""
        self._repeats_of: Counter[Split] = Counter()
        for file in lineup.files:
            if file.fault:
                self.add(file.fault.rule, file.fault.found, file.fault.expected, file.source)
        self._compare_columns()
        for at, partial in lineup:
            for rule, found in partial.findings.items():
                self._count(rule, found.count, (lineup.at(at, spot) for spot in found.spots))
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
        return self._lineup.rows - self._lineup.bad - self.duplicates

    def distinct(self, split: Split) -> int:
        """Good rows first seen in a file of this split."""
        own = (partial.good for at, partial in self._lineup if self._lineup.split(at) == split)
        return sum(own) - self._repeats_of[split]

    def train_digests(self) -> Iterator[list[bytes]]:
        """Hashes of the distinct rows that may be trained on, many at a time, in any order."""
        lineup = self._lineup
        if not self.repeats:
            return map(unpacked, lineup.packed("train"))
        return distinct(lineup.packed("train"), [*lineup.packed("test"), *lineup.packed("validation")])

    @property
    def _has_file_error(self) -> bool:
        return any(RULES[rule].scope == "file" and RULES[rule].severity == "error" for rule in self._counts)

    @property
    def is_accepted(self) -> bool:
        """Whether the snapshot may be trained on, by what was found so far."""
        return not self._has_file_error and not self._too_many_bad

    @property
    def _too_many_bad(self) -> bool:
        return self._lineup.bad * 100 > self._policy.max_bad_percent * max(self._lineup.rows, 1)

    def digest(self) -> str:
        """Digest of the content, by split as dropped."""
        groups: list[tuple[str, Iterable[list[bytes]]]] = []
        known: list[bytes] = []
        for split in _READING_ORDER:
            if packed := self._lineup.packed(split):
                groups.append((split, distinct(packed, known)))
                known = [*known, *packed]
        return content_digest(groups)

    # -- findings

    def add(self, rule: str, found: str, expected: str, source: Source | None = None) -> None:
        """Something is wrong with a file, or with the snapshot as a whole."""
        split, path = (source.split, source.path) if source else (None, None)
        place = Place(split=split, file=path, row=None, byte_offset=None, path=None, found=found, expected=expected)
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
        partials = self._lineup.partials
        answers = {partial.answer for partial in partials if partial.answer}
        differ = len(answers) > 1 or any(partial.answers_differ for partial in partials)
        if policy.meaning and good >= max(2, policy.min_rows) and not differ:
            self.add("identical-answers", f"{good} times the same", "different answers")

    def _count(self, rule: str, count: int, places: Iterable[Place]) -> None:
        self._counts[rule] += count
        kept = self._places.setdefault(rule, [])
        for place in places:
            if self._policy.places and len(kept) >= self._policy.places:
                break
            kept.append(place)

    def _compare_columns(self) -> None:
        first: frozenset[str] | None = None
        for file in self._lineup.files:
            if file.columns is None:
                continue
            columns = frozenset(file.columns)
            if first is None:
                first = columns
            elif columns != first:
                odd = ", ".join(printable(name) for name in sorted(columns ^ first)[:5])
                self.add("mixed-columns", odd, "the columns of the first file", file.source)

    def _find_repeated_rows(self) -> None:
        lineup = self._lineup
        told = {rule: _Firsts(self._policy.places) for rule in ("duplicate-row", "leaked-row")}
        for found in repeated([partial.digests for partial in lineup.partials]):
            part = found.again.part
            if part not in self.repeats:
                self.repeats[part] = RowSet(lineup.partials[part].lines)
            self.repeats[part].add(found.again.row)
            if part != found.first.part:
                self.repeat_others.add(part)
            self._repeats_of[lineup.split(part)] += 1
            leaked = lineup.split(part) != lineup.split(found.first.part)
            told["leaked-row" if leaked else "duplicate-row"].add(found)
        for rule, firsts in told.items():
            self._count_same(rule, firsts, None, "same as", "each dialogue once")

    def _find_repeated_prompts(self) -> None:
        """The same id on different dialogues; a repeated dialogue has been told already."""
        firsts = _Firsts(self._policy.places)
        for found in repeated([partial.prompts for partial in self._lineup.partials], self.repeats):
            firsts.add(found)
        self._count_same("prompt-id-repeated", firsts, "prompt_id", "that of", "one id per dialogue")

    def _count_same(self, rule: str, firsts: _Firsts, path: str | None, what: str, expected: str) -> None:
        if firsts.count:
            places = (self._same(found, path, what, expected) for found in firsts.kept())
            self._count(rule, firsts.count, places)

    def _same(self, found: Repeated, path: str | None, what: str, expected: str) -> Place:
        again = found.again
        where = self._lineup.same_as(again.part, found.first, what)
        return self._lineup.at(again.part, Spot(again.row, again.offset, path, where, expected))

    # -- the report

    def report(self, splits: Mapping[Split, int], seconds: float) -> Report:
        """The report, given how many rows each training file has."""
        lineup = self._lineup
        size = sum(file.source.size for file in lineup.files)
        measures = Measures()
        for partial in lineup.partials:
            measures.merge(partial.measures)
        return Report(
            verdict="accepted" if self.is_accepted else "rejected",
            summary=self._summary(),
            rows=lineup.rows,
            good_rows=self.good,
            bad_rows=lineup.bad,
            duplicate_rows=self.duplicates,
            blank_lines=sum(partial.blank for partial in lineup.partials),
            findings=self._findings(),
            statistics=measures.statistics(self.duplicates),
            files=[file.summary() for file in lineup.files],
            splits=dict(splits),
            bytes_read=size,
            duration_seconds=round(seconds, 3),
            bytes_per_second=round(size / seconds) if seconds > 0 else 0,
        )

    def _findings(self) -> list[Finding]:
        """All of them: errors first, then in the order of the rules page."""
        ordered = [rule for rule in RULES.values() if rule.id in self._counts]
        ordered.sort(key=lambda rule: rule.severity)
        return [
            Finding(
                rule=rule.id,
                severity=rule.severity,
                count=self._counts[rule.id],
                explanation=rule.explanation,
                fix=rule.fix,
                places=self._places[rule.id],
                more=self._counts[rule.id] - len(self._places[rule.id]),
            )
            for rule in ordered
        ]

    def _summary(self) -> str:
        rows, bad = self._lineup.rows, self._lineup.bad
        if self.is_accepted:
            left_out = f", {bad} bad ones left out" if bad else ""
            return f"{self.good} of {rows} rows are used{left_out}"
        errors = [finding for finding in self._findings() if finding.severity == "error"]
        told = [finding.sentences() for finding in errors if RULES[finding.rule].scope == "file"][:1]
        if told and self._too_many_bad and errors[0].rule == "too-few-rows":
            told = []  # few are good because many are bad
        if bad:
            named = [finding for finding in errors if RULES[finding.rule].scope != "file"]
            names = ", ".join(f"{finding.rule} ({finding.count})" for finding in named[:5])
            told.append(f"{bad} of {rows} rows are bad: {names}" + (", and others." if len(named) > 5 else "."))
            told.append(named[0].sentences())
        return " ".join(told)


class _Firsts:
    """Counts repeated rows and keeps the first ones in reading order; a limit of 0 keeps all."""

    def __init__(self, limit: int) -> None:
        self._limit, self._kept = limit, list[Repeated]()
        self.count = 0

    def add(self, found: Repeated) -> None:
        self.count += 1
        self._kept.append(found)
        if self._limit and len(self._kept) > 8 * self._limit:
            self._kept = self.kept()

    def kept(self) -> list[Repeated]:
        return sorted(self._kept)[: self._limit or None]
