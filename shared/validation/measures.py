"""Numbers about the good rows: in bounded memory, and the same in whatever order and parts the rows come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from shared.chatdata.tokens import TOKEN_ESTIMATE
from shared.validation.report import RolePattern, Spread, Statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT_NAMES = 1000
_SHOWN = 20


class Distribution(msgspec.Struct):
    """Counts values in buckets of at most 2 % width: enough for percentiles, and small."""

    exact: dict[int, int] = {}
    """Values that the version before counted one by one, in a result that it left."""
    buckets: dict[int, int] = {}
    """By the highest value of each."""
    total: int = 0
    minimum: int | None = None
    maximum: int = 0

    def add(self, values: NDArray[Any]) -> None:
        """Count values (not negative), many at a time."""
        import numpy

        if not len(values):
            return
        for bound, rows in zip(*numpy.unique_counts(_bounds(values)), strict=True):
            self._count(int(bound), int(rows))
        self.total += int(values.sum())
        lowest = int(values.min())
        self.minimum = lowest if self.minimum is None else min(lowest, self.minimum)
        self.maximum = max(self.maximum, int(values.max()))

    def _count(self, bound: int, rows: int) -> None:
        self.buckets[bound] = self.buckets.get(bound, 0) + rows

    def merge(self, other: Distribution) -> None:
        """Count what another one has counted."""
        import numpy

        for bound, rows in other.buckets.items():
            self._count(bound, rows)
        exact = _bounds(numpy.array([*other.exact], numpy.int64))
        for bound, rows in zip(exact.tolist(), other.exact.values(), strict=True):
            self._count(bound, rows)
        self.total += other.total
        if other.minimum is not None:
            self.minimum = other.minimum if self.minimum is None else min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def spread(self) -> Spread:
        """Percentiles and histogram of what was counted."""
        import numpy

        if self.minimum is None:
            return Spread()
        histogram: Counter[int] = Counter()
        for bound, rows in self.buckets.items():
            histogram[(1 << bound.bit_length()) - 1] += rows
        shares, weights = (0.5, 0.9, 0.99), [*self.buckets.values()]
        percentiles = numpy.quantile([*self.buckets], shares, weights=weights, method="inverted_cdf")
        p50, p90, p99 = (min(int(value), self.maximum) for value in percentiles)
        return Spread(
            minimum=self.minimum,
            p50=p50,
            p90=p90,
            p99=p99,
            maximum=self.maximum,
            total=self.total,
            histogram=sorted(histogram.items()),
        )


def _bounds(values: NDArray[Any]) -> NDArray[Any]:
    """The highest value of the bucket that each is in: the values with the same leading seven bits."""
    import numpy

    bits = numpy.frexp(values)[1]
    shift = numpy.maximum(bits - 7, 0)
    bounds: NDArray[Any] = (((values >> shift) + 1) << shift) - 1
    return bounds


class NameCounts(msgspec.Struct):
    """Counts rows by names that come from the data (roles, columns). Of more names than fit, those with the lowest
    hashes are kept, so that what is kept depends on neither order nor parts, and its counts are exact.
    """

    rows: int = 0
    counts: dict[str, int] = {}
    """By names, with NUL between."""
    highest: int = (1 << 64) - 1

    def add(self, names: str, rows: int = 1) -> None:
        """Count rows with these names (NUL between)."""
        self.rows += rows
        self._count(names, rows)

    def _count(self, names: str, rows: int) -> None:
        if names in self.counts:
            self.counts[names] += rows
        elif _rank(names) < self.highest:
            self.counts[names] = rows
            if len(self.counts) > 2 * _KEPT_NAMES:
                self._forget()

    def _forget(self) -> None:
        ranked = sorted(self.counts, key=_rank)
        if len(ranked) > _KEPT_NAMES:
            self.highest = min(self.highest, _rank(ranked[_KEPT_NAMES]))
            self.counts = {names: self.counts[names] for names in ranked[:_KEPT_NAMES]}

    def merge(self, other: NameCounts) -> None:
        """Count what another one has counted."""
        self.rows += other.rows
        self.highest = min(self.highest, other.highest)
        self.counts = {names: rows for names, rows in self.counts.items() if _rank(names) < self.highest}
        for names, rows in other.counts.items():
            self._count(names, rows)

    def patterns(self) -> tuple[list[RolePattern], int]:
        """Role sequences, most frequent first, and the rows of those left out."""
        self._forget()
        grouped: Counter[str] = Counter()
        for names, rows in self.counts.items():
            grouped[pattern_name(tuple(names.split("\0")))] += rows
        ranked = sorted(grouped.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
        left_out = self.rows - sum(rows for _, rows in ranked)
        return [RolePattern(roles=name, rows=rows) for name, rows in ranked], left_out

    def singles(self, without: Iterable[str]) -> dict[str, int]:
        """In how many rows each single name was, except those named."""
        self._forget()
        counts: Counter[str] = Counter()
        for names, rows in self.counts.items():
            for name in set(names.split("\0")).difference(without):
                counts[name] += rows
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return {name[:80]: rows for name, rows in ranked[:_SHOWN]}


def _rank(names: str) -> int:
    return xxhash.xxh3_64_intdigest(names.encode("utf-8", "surrogatepass"))


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


class Measures(msgspec.Struct):
    """All of a report's statistics, over the good rows."""

    rows: int = 0
    too_long: int = 0
    turns: Distribution = msgspec.field(default_factory=Distribution)
    characters: Distribution = msgspec.field(default_factory=Distribution)
    tokens: Distribution = msgspec.field(default_factory=Distribution)
    patterns: NameCounts = msgspec.field(default_factory=NameCounts)
    columns: NameCounts = msgspec.field(default_factory=NameCounts)
    fields: NameCounts = msgspec.field(default_factory=NameCounts)

    def merge(self, other: Measures) -> None:
        """Count what another one has counted."""
        self.rows += other.rows
        self.too_long += other.too_long
        for name in ("turns", "characters", "tokens", "patterns", "columns", "fields"):
            getattr(self, name).merge(getattr(other, name))

    def statistics(self, duplicates: int) -> Statistics:
        """What was counted, given how many of the rows were repetitions."""
        patterns, others = self.patterns.patterns()
        return Statistics(
            turns=self.turns.spread(),
            characters=self.characters.spread(),
            estimated_tokens=self.tokens.spread(),
            token_estimate=TOKEN_ESTIMATE,
            role_patterns=patterns,
            other_patterns=others,
            extra_columns=self.columns.singles(without=["messages"]),
            extra_message_fields=self.fields.singles(without=["role", "content"]),
            duplicate_share=round(duplicates / max(self.rows, 1), 6),
            cut_share=round(self.too_long / max(self.rows, 1), 6),
        )
