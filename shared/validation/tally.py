"""Broken rules as they come in: counted without limit, placed up to a limit, so that a report stays small."""

from __future__ import annotations

from shared.validation.partial import Found, Spot
from shared.validation.problems import Problem


class Tally:
    """Counts broken rules and keeps the first places of each; 0 places keeps all."""

    def __init__(self, places: int) -> None:
        self._limit = places
        self.findings: dict[str, Found] = {}

    def add(self, problem: Problem, row: int | None, offset: int | None) -> None:
        """Count a problem found at a row."""
        found = self.findings.get(problem.rule)
        if found is None:
            found = self.findings[problem.rule] = Found()
        found.count += 1
        if len(found.spots) < self._limit or not self._limit:
            where = None if offset is None else offset + problem.shift
            found.spots.append(Spot(row, where, problem.path, problem.found, problem.expected))
