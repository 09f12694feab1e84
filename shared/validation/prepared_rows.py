"""Rows of another shape on their way: sampled, converted, checked by the rules of the app; with counts of everything.

Called by `droptune prepare` for each part of an input, and by imports for each part of a dataset of the Hub.
A row that the app would refuse is left out and counted under the rule's name (docs/validation-rules.md), so that what
is written is accepted. The same input and seed give the same rows.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched, chain, islice
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from shared.conversion import Converter, Reading
from shared.validation.policy import Policy
from shared.validation.rules import RULES
from shared.validation.turns import TurnChecker

FIRST_ROWS = 100
"""So many rows tell the shape."""
_BATCH = 256
_PLACES = 5
_ROLE, _CONTENT = itemgetter("role"), itemgetter("content")


class UnreadableRow(NamedTuple):
    """What stands where a row should be; `reason` is a rule of validation."""

    reason: str


@dataclass(slots=True)
class RowCounts:
    """What became of the rows of one part."""

    read: int = 0
    sampled: int = 0
    written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    first_rows: dict[str, list[int]] = field(default_factory=dict)
    """For each reason and change, the numbers of the first rows."""

    def leave_out(self, reason: str, number: int) -> None:
        """Count a row that is not written."""
        self.left_out[reason] += 1
        self._note(reason, number)

    def change(self, change: str, number: int) -> None:
        """Count a row that is written otherwise than it was read."""
        self.changed[change] += 1
        self._note(change, number)

    def _note(self, what: str, number: int) -> None:
        places = self.first_rows.setdefault(what, [])
        if len(places) < _PLACES:
            places.append(number)


def why_none_left(read: int, left_out: Mapping[str, int]) -> str:
    """What to say where no row of so many is left: the reasons, the most frequent ones first."""
    some = ", ".join(f"{reason} ({count})" for reason, count in Counter(left_out).most_common(5))
    return f"none of {read} rows can be trained on: {some or 'the sample is empty'}"


class Pipeline:
    """Makes lines of JSONL of the rows of one part."""

    def __init__(self, reading: Reading, *, keep_unweighted: bool = False, keep_tools: bool = False) -> None:
        self._converter = Converter(reading, keep_unweighted=keep_unweighted, keep_tools=keep_tools)
        roles = Policy().roles + (("tool",) if keep_tools else ())
        self._policy = Policy(roles=roles, meaning=False)
        self._checker = TurnChecker(self._policy)

    def lines(self, numbered: Iterable[tuple[int, Any]], counts: RowCounts) -> Iterator[bytes]:
        """A line for each good row, with its line feed. `numbered` are rows with their numbers, from 1."""
        for batch in batched(numbered, _BATCH, strict=False):
            found: list[tuple[int, list[Any]]] = []
            for number, row in batch:
                counts.sampled += 1
                if isinstance(row, UnreadableRow):
                    counts.leave_out(row.reason, number)
                    continue
                converted = self._converter.convert(row)
                if converted.messages is None:
                    counts.leave_out(converted.reason, number)
                    continue
                for change in converted.changes:
                    counts.change(change, number)
                found.append((number, converted.messages))
            for number, messages in self._good(found, counts):
                line = self._line(messages)
                if line is None:
                    counts.leave_out("lone-surrogate", number)
                elif len(line) > self._policy.max_line_bytes:
                    counts.leave_out("row-too-long", number)
                else:
                    counts.written += 1
                    yield line

    def _good(self, found: Sequence[tuple[int, list[Any]]], counts: RowCounts) -> Iterable[tuple[int, list[Any]]]:
        """Those without an error by the rules of the app."""
        if self._all_plain([messages for _, messages in found]):
            return found
        good = []
        for number, messages in found:
            dialogue, problems = self._checker.examine({"messages": messages})
            if dialogue is None:
                error = next(problem.rule for problem in problems if RULES[problem.rule].severity == "error")
                counts.leave_out(error, number)
            else:
                good.append((number, messages))
        return good

    def _all_plain(self, dialogues: list[list[Any]]) -> bool:
        """Whether all are good at a glance; no says nothing."""
        try:
            turns = list(chain.from_iterable(dialogues))
            roles, contents = list(map(_ROLE, turns)), list(map(_CONTENT, turns))
        except (TypeError, KeyError):
            return False
        if set(map(len, turns)) != {2}:
            return False
        try:
            return self._checker.glance(roles, contents, list(map(len, dialogues))) is not None
        except UnicodeEncodeError:  # half of a surrogate pair
            return False

    @staticmethod
    def _line(messages: list[Any]) -> bytes | None:
        turns = [one if len(one) == 2 else {"role": one["role"], "content": one["content"]} for one in messages]
        try:
            return orjson.dumps({"messages": turns}, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # half of a surrogate pair, which no UTF-8 has
            return None


def first_rows(rows: Iterator[Any]) -> list[Any]:
    """The rows that tell the shape."""
    return list(islice((row for row in rows if isinstance(row, dict)), FIRST_ROWS))


def sampled(rows: Iterable[Any], fraction: float, seed: int, counts: RowCounts) -> Iterator[tuple[int, Any]]:
    """The rows of a sample with their numbers, in their order: one at random of each 1 / fraction rows.

    So the size of the sample is exact, and nothing has to be known of how many rows there are.
    """
    wanted = _chosen(fraction, seed) if fraction < 1 else None
    following = next(wanted) if wanted else 0
    for at, row in enumerate(rows):
        counts.read += 1
        if wanted is None:
            yield at + 1, row
        elif at == following:
            yield at + 1, row
            following = next(wanted)


def _chosen(fraction: float, seed: int) -> Iterator[int]:
    draw = random.Random(seed)
    step, last, at = 1 / fraction, -1, 0
    while True:
        last = max(last + 1, int((at + draw.random()) * step))
        yield last
        at += 1


def kept_at_random(lines: Iterable[bytes], most: int, seed: int) -> list[bytes]:
    """So many of the lines, each as likely as any other, in their order. Only these are held in memory."""
    draw = random.Random(seed)
    kept: list[tuple[int, bytes]] = []
    for at, line in enumerate(lines):
        if len(kept) < most:
            kept.append((at, line))
        elif (place := draw.randrange(at + 1)) < most:
            kept[place] = (at, line)
    return [line for _, line in sorted(kept)]
