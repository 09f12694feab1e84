"""Findings as they come in: counted without limit, placed up to a limit, so that a report stays small."""

from __future__ import annotations

from shared.splits import Split
from shared.validation.policy import Policy
from shared.validation.problems import Problem
from shared.validation.report import Finding, Place
from shared.validation.rules import RULES


class Tally:
    """Counts broken rules and keeps the first places of each."""

    def __init__(self, policy: Policy) -> None:
        self._limit = policy.places or None
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[Place]] = {}
        self.file_errors = 0

    def add_row(
        self, problem: Problem, split: Split | None, file: str | None, row: int | None, offset: int | None
    ) -> None:
        """Count a problem found at a row."""
        rule = problem.rule
        self._counts[rule] = self._counts.get(rule, 0) + 1
        places = self._places.setdefault(rule, [])
        if self._limit is None or len(places) < self._limit:
            places.append(
                Place(
                    split=split,
                    file=file,
                    row=row,
                    byte_offset=None if offset is None else offset + problem.shift,
                    path=problem.path,
                    found=problem.found,
                    expected=problem.expected,
                )
            )

    def add_file(
        self, rule: str, found: str, expected: str, *, split: Split | None = None, file: str | None = None
    ) -> None:
        """Count a problem of a whole file or of the snapshot."""
        self.add_row(Problem(rule, None, found, expected), split, file, None, None)
        self.file_errors += RULES[rule].severity == "error"

    def findings(self) -> list[Finding]:
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
