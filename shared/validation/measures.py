"""Numbers about the good rows, in bounded memory and independent of the order rows come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from shared.validation.meaning import TOKEN_ESTIMATE
from shared.validation.report import Pattern, Spread, Statistics
from shared.validation.turns import Dialogue

_KEPT_NAMES = 1000
_SHOWN = 20


class Distribution:
    """Counts values in buckets of at most 2 % width: enough for percentiles, and small."""

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self._total = 0
        self._minimum: int | None = None
        self._maximum = 0

    def add(self, value: int) -> None:
        """Count one value (not negative)."""
        shift = max(0, value.bit_length() - 7)
        bound = (((value >> shift) + 1) << shift) - 1
        self._buckets[bound] = self._buckets.get(bound, 0) + 1
        self._total += value
        if value > self._maximum:
            self._maximum = value
        if self._minimum is None or value < self._minimum:
            self._minimum = value

    def spread(self) -> Spread:
        """Percentiles and histogram of what was counted."""
        if self._minimum is None:
            return Spread()
        histogram: Counter[int] = Counter()
        for bound, rows in self._buckets.items():
            histogram[(1 << bound.bit_length()) - 1] += rows
        return Spread(
            minimum=self._minimum,
            p50=self._percentile(50),
            p90=self._percentile(90),
            p99=self._percentile(99),
            maximum=self._maximum,
            total=self._total,
            histogram=sorted(histogram.items()),
        )

    def _percentile(self, percent: int) -> int:
        needed = sum(self._buckets.values()) * percent / 100
        counted = 0
        for bound in sorted(self._buckets):
            counted += self._buckets[bound]
            if counted >= needed:
                return min(bound, self._maximum)
        return self._maximum


class Names:
    """Counts names that come from the data, and stops learning new ones before they fill the memory."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, ...]] = Counter()
        self.others = 0

    def add(self, names: tuple[str, ...]) -> None:
        """Count one row with these names."""
        if names in self._counts or len(self._counts) < _KEPT_NAMES:
            self._counts[names] += 1
        else:
            self.others += 1

    def patterns(self) -> tuple[list[Pattern], int]:
        """Role sequences, most frequent first, and the rows of those left out."""
        grouped: Counter[str] = Counter()
        for roles, rows in self._counts.items():
            grouped[pattern_name(roles)] += rows
        ranked = sorted(grouped.items(), key=lambda item: (-item[1], item[0]))
        left_out = self.others + sum(rows for _, rows in ranked[_SHOWN:])
        return [Pattern(roles=name, rows=rows) for name, rows in ranked[:_SHOWN]], left_out

    def singles(self, without: Iterable[str]) -> dict[str, int]:
        """In how many rows each single name was, except those named."""
        counts: Counter[str] = Counter()
        for names, rows in self._counts.items():
            for name in set(names).difference(without):
                counts[name] += rows
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return {name[:80]: rows for name, rows in ranked[:_SHOWN]}


def pattern_name(roles: tuple[str, ...]) -> str:
    """Write a role sequence shortly: `system, (user, assistant) x 3`."""
    parts = list(roles[:1]) if roles[:1] == ("system",) else []
    rest = roles[len(parts) :]
    pairs = list(zip(rest[::2], rest[1::2], strict=False))
    for pair, group in groupby(pairs):
        times = len(list(group))
        parts.append(f"({', '.join(pair)}) x {times}" if times > 1 else ", ".join(pair))
    if len(rest) % 2:
        parts.append(rest[-1])
    return ", ".join(parts)


class Measures:
    """All of a report's statistics."""

    def __init__(self, context_tokens: int) -> None:
        self._context_tokens = context_tokens
        self._rows = self._too_long = 0
        self._turns, self._characters, self._tokens = Distribution(), Distribution(), Distribution()
        self._patterns, self._columns, self._fields = Names(), Names(), Names()

    def add(self, row: dict[str, Any], dialogue: Dialogue, tokens: int) -> None:
        """Count a good row."""
        self._rows += 1
        self._too_long += tokens > self._context_tokens
        self._turns.add(len(dialogue.turns))
        self._characters.add(dialogue.characters)
        self._tokens.add(tokens)
        self._patterns.add(dialogue.roles)
        self._columns.add(tuple(row))
        if row["messages"] is not dialogue.turns:  # turns that hold more than role and content
            self._fields.add(tuple(sorted({name for turn in row["messages"] for name in turn})))

    def statistics(self, duplicates: int) -> Statistics:
        """What was counted, given how many repetitions were not."""
        patterns, others = self._patterns.patterns()
        return Statistics(
            turns=self._turns.spread(),
            characters=self._characters.spread(),
            estimated_tokens=self._tokens.spread(),
            token_estimate=TOKEN_ESTIMATE,
            role_patterns=patterns,
            other_patterns=others,
            extra_columns=self._columns.singles(without=["messages"]),
            extra_message_fields=self._fields.singles(without=["role", "content"]),
            duplicate_share=round(duplicates / max(self._rows + duplicates, 1), 6),
            cut_share=round(self._too_long / max(self._rows, 1), 6),
        )
