"""Which row is trained on, which is held out: a pure function of the row's content and the dataset's seed.

Used by `shared.validation` (one pass over a snapshot) and by whoever must name a file's split. No I/O.

What it promises when repeated: the same rows, seed and cuts give the same splits, in any order, format and
on any machine. Cuts never decrease, so a row once held out by hash stays held out in every later snapshot
of the dataset.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import xxhash

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

# The words that the Hub's `datasets` looks for in file names (docs/hub: datasets-file-names-and-splits).
WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "heldout": "test",
    "holdout": "test",
}
# What people write behind such a word without a separator.
_TAIL = r"(?:data|dataset|set|split|file|rows?|samples?|examples?|sft|gen|v(?=\d))?"
_WORD = re.compile(rf"(?<![a-z])({'|'.join(sorted(WORDS, key=len, reverse=True))}){_TAIL}(?![a-z])")
_OUT = re.compile("(held|hold)[-_ .]out")
_HUMP = re.compile("(?<=[a-z])(?=[A-Z])")
_ALONE = re.compile(r"(?P<word>[a-z]+)(?:_(?:sft|gen))?(?:[-_. ]?\(?\d+\)?(?:-of-\d+)?(?:-[0-9a-f]{6,})?)?")


def splits_in(file_name: str) -> frozenset[Split]:
    """The splits that a file's name has words for, anywhere in it: one, none, or too many to tell."""
    name = _HUMP.sub("-", file_name.rsplit("/", 1)[-1]).lower()
    words = _WORD.findall(_OUT.sub(r"\1out", name))
    return frozenset(WORDS[word] for word in words)


def split_of(file_name: str) -> Split | None:
    """Say which split a file's name means: `support_train-00000-of-00003.parquet` is train; None if none, or several.

    The rule is that of the Hub: a word for the split, anywhere in the name, with no letter beside it.
    """
    found = splits_in(file_name)
    return next(iter(found)) if len(found) == 1 else None


def is_named_like_a_split(file_name: str) -> bool:
    """Whether a name is but a word for a split, perhaps with numbers: `test.jsonl`, not `test-bot.jsonl`."""
    alone = _ALONE.fullmatch(file_name.rsplit("/", 1)[-1].lower().split(".", 1)[0])
    return alone is not None and alone["word"] in WORDS


@dataclass(frozen=True, slots=True)
class Shares:
    """How much is held out when the person who dropped the data did not say."""

    test: float = 0.05
    validation: float = 0.05
    minimum_rows: int = 8  # each held-out split is topped up to this many ...
    at_most_one_in: int = 10  # ... but never beyond this part of the rows, so that most are trained on

    def __post_init__(self) -> None:
        if not (min(self.test, self.validation) >= 0 and self.test + self.validation < 1):
            raise ValueError(f"shares must leave something to train on: {self}")

    def wanted(self, rows: int) -> int:
        """Rows each held-out split must have at least, out of `rows`."""
        return min(self.minimum_rows, max(1, rows // self.at_most_one_in)) if rows > 1 else 0


@dataclass(frozen=True, slots=True)
class Cuts:
    """Thresholds on a row's place in [0, 1): below `test`, else below `validation`, else train.

    Stored with the dataset once a snapshot of it is accepted.
    """

    test: float = 0.0
    validation: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.test <= self.validation <= 1:
            raise ValueError(f"cuts must be ordered in [0, 1]: {self}")

    def raised(self, test: float = 0.0, validation: float = 0.0) -> Cuts:
        """Return cuts that hold out at least as much as both: thresholds never decrease."""
        higher = max(self.test, test)
        return Cuts(higher, max(self.validation, validation, higher))

    def split_of(self, place: float) -> Split:
        """Split of the row at `place`."""
        return "test" if place < self.test else "validation" if place < self.validation else "train"


def place_of(digest: bytes, seed: int) -> float:
    """Where a row stands in [0, 1) for this dataset: a seeded hash of its content digest."""
    return (xxhash.xxh3_64_intdigest(digest, seed & 0xFFFFFFFFFFFFFFFF) >> 11) / 9007199254740992.0


def places_of(digests: bytes, seed: int) -> NDArray[float64]:
    """Where many rows stand, whose digests of 16 bytes each are given end to end."""
    import numpy

    place, seed = xxhash.xxh3_64_intdigest, seed & 0xFFFFFFFFFFFFFFFF
    hashes = (place(digests[at : at + 16], seed) for at in range(0, len(digests), 16))
    return (numpy.fromiter(hashes, numpy.uint64, len(digests) // 16) >> 11) / 9007199254740992.0


Emit = Callable[[Split, float, bytes], None]


@dataclass(slots=True)
class _Lowest:
    """The few rows with the lowest places among those offered; hands back all others."""

    capacity: int
    rows: list[tuple[float, int, bytes]] = field(default_factory=list)
    _offered: int = 0

    def offer(self, place: float, data: bytes) -> tuple[float, bytes] | None:
        self._offered += 1
        entry = (-place, self._offered, data)
        if len(self.rows) < self.capacity:
            heapq.heappush(self.rows, entry)
            return None
        if self.capacity == 0:
            return place, data
        highest = heapq.heappushpop(self.rows, entry)
        return -highest[0], highest[2]

    def drain(self) -> list[tuple[float, bytes]]:
        """Give up everything, lowest first."""
        rows = sorted(((-negative, data) for negative, _, data in self.rows), key=lambda row: row[0])
        self.rows, self.capacity = [], 0
        return rows


class SuspendedCut(NamedTuple):
    """What a suspended cutter knows: rows, rows below each cut, and the rows (place, data) that may yet be moved."""

    rows: int
    below: dict[str, int]
    held: list[tuple[float, bytes]]


class Cutter:
    """Cuts held-out rows from the rows not assigned by the person, in one pass and with bounded memory.

    Only the few lowest rows that a top-up could need are kept back until `finish`; all others are emitted
    at once. When one held-out split was given by the person, everything held out here goes to the other
    one.
    """

    def __init__(self, emit: Emit, cuts: Cuts, shares: Shares, given: Iterable[Split] = ()) -> None:
        self._emit, self._shares = emit, shares
        missing = [split for split in ("test", "validation") if split not in set(given)]
        if missing == ["test", "validation"]:
            self.cuts = cuts.raised(test=shares.test)
            self.cuts = self.cuts.raised(validation=self.cuts.test + shares.validation)
        elif missing == ["test"]:
            self.cuts = cuts.raised(test=shares.test)
        elif missing == ["validation"]:
            self.cuts = cuts.raised(validation=shares.validation)
        else:
            self.cuts = cuts
        self._first: Split = "test" if "test" in missing else "validation"
        self._second: Split = "validation" if "validation" in missing else "test"
        self._cutting = bool(missing)
        self._rows = 0
        self._below = {"test": 0, "validation": 0}
        spare = shares.minimum_rows
        self._next_validation = _Lowest(spare if self._two else 0)
        self._next_train = _Lowest(2 * spare if self._cutting else 0)

    @property
    def _two(self) -> bool:
        return self._first != self._second

    def add(self, place: float, data: bytes) -> None:
        """Assign one row (never the same content twice)."""
        if not self._cutting:
            self._emit("train", place, data)
            return
        self._rows += 1
        region = self.cuts.split_of(place)
        if region == "test":
            self._below["test"] += 1
            self._emit(self._first, place, data)
        elif region == "validation":
            self._below["validation"] += 1
            self._hold(self._next_validation, self._second, place, data)
        else:
            self._hold(self._next_train, "train", place, data)

    def add_places(self, places: NDArray[float64]) -> Mapping[Split, int]:
        """Count rows (never the same content twice, in any order) without their data; how many surely go where.

        All others are emitted, with no data.
        """
        if not self._cutting:
            return {"train": len(places)}
        places.sort()
        undecided = int(places.searchsorted(self.cuts.validation)) + self._next_train.capacity
        decided = 0
        for place in places[:undecided]:
            if self._enough():
                break
            self.add(float(place), b"")
            decided += 1
        below = places[decided:].searchsorted((self.cuts.test, self.cuts.validation)).tolist()
        test, validation, rest = below[0], below[1] - below[0], len(places) - decided - below[1]
        self._below["test"] += test
        self._below["validation"] += validation
        self._rows += test + validation + rest
        return Counter({self._first: test}) + Counter({self._second: validation}) + Counter({"train": rest})

    def suspend(self) -> SuspendedCut:
        """Hand over what this cutter could not decide by itself, to be resumed by one that knows all rows."""
        held = [*self._next_validation.drain(), *self._next_train.drain()]
        return SuspendedCut(self._rows, dict(self._below), held)

    def resume(self, some: Sequence[SuspendedCut]) -> None:
        """Go on where others were suspended, each of which had rows of its own."""
        for waiting in some:
            self._rows += waiting.rows
            for region, rows in waiting.below.items():
                self._below[region] += rows
        for waiting in some:
            for place, data in waiting.held:
                if self.cuts.split_of(place) == "validation":
                    self._hold(self._next_validation, self._second, place, data)
                else:
                    self._hold(self._next_train, "train", place, data)

    def _hold(self, lowest: _Lowest, split: Split, place: float, data: bytes) -> None:
        if lowest.capacity and self._enough():
            self._release()
        out = lowest.offer(place, data)
        if out is not None:
            self._emit(split, *out)

    def _enough(self) -> bool:
        """Whether no number of further rows can make a top-up necessary."""
        least = self._shares.minimum_rows
        if self._two:
            return min(self._below.values()) >= least
        return sum(self._below.values()) >= least

    def _release(self) -> None:
        for place, data in self._next_validation.drain():
            self._emit(self._second, place, data)
        for place, data in self._next_train.drain():
            self._emit("train", place, data)

    def finish(self) -> Cuts:
        """Top up from the lowest places, emit what was kept back, and return the cuts now in force."""
        if self._cutting:
            wanted = self._shares.wanted(self._rows)
            if self._two:
                self._top_up_both(wanted)
            else:
                self._top_up_one(wanted)
            self._release()
        return self.cuts

    def _top_up_one(self, wanted: int) -> None:
        taken = self._take(self._next_train, wanted - sum(self._below.values()), self._first)
        if taken is not None:
            test = taken if self._first == "test" else 0.0
            self.cuts = self.cuts.raised(test=test, validation=taken)

    def _top_up_both(self, wanted: int) -> None:
        lacking = wanted - self._below["test"]
        before = len(self._next_validation.rows)
        taken = self._take(self._next_validation, lacking, "test")
        moved = before - len(self._next_validation.rows)
        further = self._take(self._next_train, lacking - moved, "test")
        if taken is not None or further is not None:
            self.cuts = self.cuts.raised(test=max(taken or 0.0, further or 0.0))
        remaining = self._below["validation"] - moved
        last = self._take(self._next_train, wanted - remaining, "validation")
        if last is not None:
            self.cuts = self.cuts.raised(validation=last)

    def _take(self, lowest: _Lowest, count: int, split: Split) -> float | None:
        """Emit the `count` lowest rows as `split`; return the threshold just above the last one."""
        if count <= 0 or not lowest.rows:
            return None
        capacity, rows = lowest.capacity, lowest.drain()
        for place, data in rows[:count]:
            self._emit(split, place, data)
        lowest.capacity = capacity
        for place, data in rows[count:]:
            lowest.offer(place, data)
        return math.nextafter(rows[:count][-1][0], 1.0)
